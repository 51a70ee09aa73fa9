//! How long a lost machine may still be running what asks for `OnDisconnect=stop` (invariant 2).
//!
//! Such a unit's machine stops it by itself: systemd takes it down a moment before the lease can end, and stopping takes
//! at most what the unit's text allows. So it may run elsewhere once that bound has passed since the lease was seen to be
//! gone. A leader that did not see it go counts from its own first look.

use std::time::Duration;

use fleet_registry::Mono;
use fleet_units::{Fence, UnitFile};

/// Clocks are assumed to run within this part of each other's rate.
const CLOCK_RATE: u32 = 1000;

/// For units of which no bound is known: one that cannot be read any more.
const UNBOUNDED: Duration = Duration::from_secs(10 * 365 * 86_400);

/// When a machine was lost, and by which lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost {
    /// When its lease was seen to be gone.
    pub(crate) since: Mono,
    /// How long leases live.
    pub(crate) ttl: Duration,
}

impl Lost {
    /// How long to wait for a unit whose stop takes so long.
    pub(crate) fn wait(self, bound: Duration) -> Duration {
        fence_wait(bound, self.ttl)
    }
}

/// How long to wait, from when a machine's lease is seen to be gone, for a unit whose stop takes so long by the machine's
/// own clock. That clock may be slower than this one, and may have been slower than the registry's while the lease ran
/// out.
#[must_use]
pub fn fence_wait(bound: Duration, ttl: Duration) -> Duration {
    bound + (bound + ttl) / CLOCK_RATE
}

/// The bound on stopping a unit of this text and its drop-ins; none where it is not to be stopped.
#[must_use]
pub fn stop_bound(files: &[UnitFile]) -> Option<Duration> {
    match Fence::of(files) {
        Ok(fence) => fence.map(|fence| fence.stop_bound()),
        // No version of fleet accepts such a text; whoever wrote it, nothing is known of how it stops.
        Err(_) => Some(UNBOUNDED),
    }
}
