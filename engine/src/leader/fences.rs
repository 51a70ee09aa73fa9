//! How long a lost machine may still be running what asks for `OnDisconnect=stop` (invariant 2).
//!
//! Such a unit's machine stops it by itself: systemd takes it down a moment before the lease can end, and stopping takes
//! at most what the unit's text allows. So it may run elsewhere once that bound has passed since the lease was seen to be
//! gone. A leader that did not see it go counts from its own first look. The bound follows from texts: of the one that
//! the machine was given, and of the one that it said it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_registry::planted::{self, Fault};
use fleet_registry::{Mono, View};
use fleet_units::{MachineId, UnitName};

use super::facts::{self, Digests};
use super::{Ground, Leader};
use crate::placement::MachineFacts;

/// Clocks are assumed to run within this part of each other's rate.
const CLOCK_RATE: u32 = 1000;

/// For units of which no bound is known: one that cannot be read any more.
const UNBOUNDED: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Units that a lost machine may still be running at `now`, each with the whole time to wait; and when that changes next.
fn fencing(
    view: &View,
    digests: &Digests,
    id: &MachineId,
    lost: Lost,
    now: Mono,
) -> (BTreeMap<UnitName, Duration>, Option<Mono>) {
    let mut fencing = BTreeMap::new();
    let mut next: Option<Mono> = None;
    let Some(schedule) = view.schedules.get(id).map(|schedule| &schedule.value) else { return (fencing, next) };
    let names: BTreeSet<&UnitName> = schedule.units.keys().chain(schedule.leaving.keys()).collect();
    for name in names {
        let given = schedule.units.get(name).map(|assignment| &assignment.content);
        let wanted = view.units.get(name).map(|unit| &unit.value.content);
        let state = view.states.get(name).and_then(|states| states.get(id)).map(|state| &state.value);
        let texts = given.into_iter().chain(wanted).chain(state.map(|state| &state.content));
        let Some(bound) = texts.filter_map(|content| digests.stop_bound(content)).max() else { continue };
        // What systemd itself made of it, should the machine have its own idea of the unit.
        let said = state.and_then(|state| state.stop_bound_ms).map(Duration::from_millis).unwrap_or_default();
        let wait = lost.wait(bound.max(said));
        let until = lost.since + wait;
        if until > now && !planted::is(Fault::StopBoundIgnored) {
            fencing.insert(name.clone(), wait);
            next = Some(next.map_or(until, |next| next.min(until)));
        }
    }
    (fencing, next)
}

/// When a machine was lost, and by which lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost {
    /// When its lease was seen to be gone.
    pub(crate) since: Mono,
    /// How long leases live.
    pub(crate) ttl: Duration,
}

impl Lost {
    fn wait(self, bound: Duration) -> Duration {
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
pub fn stop_bound(files: &[fleet_units::UnitFile]) -> Option<Duration> {
    match fleet_units::Fence::of(files) {
        Ok(fence) => fence.map(|fence| fence.stop_bound()),
        // No version of fleet accepts such a text; whoever wrote it, nothing is known of how it stops.
        Err(_) => Some(UNBOUNDED),
    }
}

impl Leader {
    /// What is to be decided upon about a machine.
    pub(super) fn machine_facts(&mut self, ground: Ground<'_>, id: &MachineId) -> MachineFacts {
        self.fences.remove(id);
        let fencing = ground.absence.lost(id).map(|lost| {
            let (units, next) = fencing(ground.view, ground.digests, id, lost, ground.now.mono);
            self.fences.extend(next.map(|next| (id.clone(), next)));
            units
        });
        facts::machine(ground.view, id, fencing)
    }

    /// Lost machines must have stopped what they may have been stopping until now.
    pub(super) fn pass_fences(&mut self, ground: Ground<'_>) {
        let due = self.fences.iter().filter(|(_, at)| **at <= ground.now.mono).map(|(id, _)| id.clone());
        for id in due.collect::<Vec<_>>() {
            self.fences.remove(&id);
            self.machine_changed(ground, &id);
        }
    }
}
