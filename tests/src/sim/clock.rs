//! One machine's clocks: how they run against the time of the world.

use std::time::Duration;

use fleet_registry::{Mono, Now};

/// What the wall clocks of the world show at its beginning.
const EPOCH: i64 = 1_800_000_000_000;

/// One machine's clocks. CLOCK_BOOTTIME begins at its boot and runs a little too fast or too slow; the wall clock can be
/// set to anything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// The world's time of the boot.
    booted: Mono,
    /// Parts in a million that it is fast; slow when negative.
    ppm: i64,
    /// By how much the wall clock is wrong, in milliseconds.
    wall: i64,
}

impl Clock {
    /// Clocks of a machine that boots now.
    pub(super) fn new(booted: Mono, ppm: i64) -> Self {
        Self { booted, ppm, wall: 0 }
    }

    /// The machine boots again: its time begins anew.
    pub(super) fn reboot(&mut self, now: Mono) {
        self.booted = now;
    }

    /// When it booted, or will be on again.
    pub(super) fn booted(&self) -> Mono {
        self.booted
    }

    /// Someone sets the wall clock.
    pub(super) fn step_wall(&mut self, millis: i64) {
        self.wall += millis;
    }

    /// How much longer something takes than this clock says, if it is slow.
    pub(super) fn lag(&self, time: Duration) -> Duration {
        time * u32::try_from(-self.ppm).unwrap_or(0) / (1_000_000 - 100_000)
    }

    /// What the machine's clocks show at a time of the world.
    pub(super) fn at(&self, world: Mono) -> Now {
        let since = nanos(world.saturating_sub(self.booted));
        let mono = Duration::from_nanos(unsigned(since + since.saturating_mul(self.ppm) / 1_000_000));
        let millis = i64::try_from(world.as_millis()).unwrap_or(i64::MAX);
        Now { mono, wall: unsigned(EPOCH.saturating_add(millis).saturating_add(self.wall)) }
    }

    /// The first time of the world at which the machine's clock shows this time or a later one.
    pub(super) fn when(&self, local: Mono) -> Mono {
        let local_nanos = nanos(local);
        let since = local_nanos - local_nanos.saturating_mul(self.ppm) / (1_000_000 + self.ppm);
        let mut world = self.booted + Duration::from_nanos(unsigned(since));
        while self.at(world).mono < local {
            world += Duration::from_micros(1);
        }
        world
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_drifts_wakes_no_one_too_early_and_hardly_late() {
        for ppm in [-50_000, -1_000, 0, 1_000, 50_000] {
            let clock = Clock::new(Duration::from_secs(7), ppm);
            for millis in [0, 1, 999, 10_000, 3_600_000] {
                let local = Duration::from_millis(millis);
                let world = clock.when(local);
                let shows = clock.at(world).mono;
                assert!(shows >= local && shows <= local + Duration::from_micros(10), "{ppm}: {local:?}, {shows:?}");
            }
        }
    }

    #[test]
    fn a_fast_clock_runs_ahead() {
        let clock = Clock::new(Duration::ZERO, 1_000);
        assert_eq!(clock.at(Duration::from_secs(1_000)).mono, Duration::from_secs(1_001));
    }
}
