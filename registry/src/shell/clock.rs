//! Clocks.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId as TimerClock, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId, clock_gettime};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::step::{Mono, Now};

/// The time. Monotonic time is CLOCK_BOOTTIME: it goes on while the machine sleeps, as leases do.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place that reads clocks")]
pub fn boot_now() -> Now {
    // Linux has had this clock since 2.6.39; without it nothing that fleet promises about leases would hold.
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("the kernel has CLOCK_BOOTTIME");
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { mono: Duration::from(boot), wall: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX) }
}

/// How long the machine has slept since it was booted: what CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC, at least.
#[must_use]
pub fn slept() -> Duration {
    // The monotonic clock is read first: what passes in between makes this a little more, and a deadline earlier.
    let awake = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the kernel has CLOCK_MONOTONIC");
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("the kernel has CLOCK_BOOTTIME");
    Duration::from(boot).saturating_sub(Duration::from(awake))
}

/// Lets tokio watch a timer.
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// An alarm on CLOCK_BOOTTIME: after the machine has slept it rings at once, where tokio's timers would wait on.
pub(super) struct Alarm {
    timer: AsyncFd<Timer>,
    at: Option<Mono>,
}

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(TimerClock::CLOCK_BOOTTIME, flags)?;
        // SAFETY: the descriptor belongs to the timer, which nothing closes or replaces before the `AsyncFd` drops it.
        let timer = unsafe { AsyncFd::register_with_interest(Timer(timer), Interest::READABLE) }?;
        Ok(Self { timer, at: None })
    }

    /// Sets when it rings next; none for never.
    pub(super) fn set(&mut self, at: Option<Mono>) -> io::Result<()> {
        if at == self.at {
            return Ok(());
        }
        match at {
            Some(at) => {
                // A timer set to zero is off.
                let at = TimeSpec::from(at.max(Duration::from_nanos(1)));
                self.timer.get_ref().0.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
            None => self.timer.get_ref().0.unset()?,
        }
        self.at = at;
        Ok(())
    }

    /// Waits until it rings.
    pub(super) async fn ring(&mut self) -> io::Result<()> {
        if self.at.is_none() {
            return pending().await;
        }
        loop {
            let mut ready = self.timer.readable().await?;
            // Reading it makes it quiet again.
            match ready.try_io(|timer| {
                let mut count = [0_u8; 8];
                nix::unistd::read(&timer.get_ref().0, &mut count).map_err(io::Error::from)
            }) {
                Ok(read) => {
                    self.at = None;
                    return read.map(|_| ());
                }
                Err(_would_block) => {}
            }
        }
    }
}
