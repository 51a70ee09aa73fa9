//! Trouble that systemd has with a unit.

use std::time::Duration;

use fleet_units::{DesiredState, UnitName};

use super::operator::{is_moved, is_single};
use super::reality::number;
use super::systemd::Systemd;
use super::world::World;

/// Longer than any story.
const FOREVER: Duration = Duration::from_secs(1_000_000);
/// As long as a story.
const LONG: Duration = Duration::from_secs(300);

impl Systemd {
    /// Whether it hangs for good with this unit.
    pub(super) fn hangs(&self, unit: &UnitName) -> bool {
        [&self.slow_start, &self.slow_stop].into_iter().any(|slow| slow.get(unit) == Some(&FOREVER))
    }
}

impl World {
    /// systemd hangs for good with a unit there where it is, and is asked for that.
    pub(super) fn hang(&mut self, n: usize, unit: &UnitName, stop: bool) {
        let n = self.truth.listed(unit).next().map_or(n, |(id, _)| number(id));
        self.reality.trouble(self.now, n, unit.clone());
        let systemd = &mut self.machines[n].systemd;
        if stop {
            // Of what is fenced a stop has an end.
            systemd.slow_stop.insert(unit.clone(), if is_single(unit) { LONG } else { FOREVER });
            self.change(unit, "no more", |record| record.desired = DesiredState::Inactive);
        } else {
            systemd.slow_start.insert(unit.clone(), FOREVER);
            self.change(unit, "restart", |record| record.restarts += 1);
        }
    }

    /// A unit's start fails on so many of four machines, and it is started anew.
    pub(super) fn break_most(&mut self, unit: &UnitName, from: usize, of_four: usize) {
        for n in (0..self.machines.len()).filter(|n| (n + from) % 4 < of_four) {
            self.reality.trouble(self.now, n, unit.clone());
            self.machines[n].systemd.broken.insert(unit.clone());
        }
        self.change(unit, "restart", |record| record.restarts += 1);
    }

    /// What a machine's systemd did wrong is over; what it refuses to link it refuses for good: the file is at fault.
    pub(super) fn heal(&mut self, n: usize) {
        self.heal_units(n, |_| true);
    }

    /// The same, but what asks to be moved for failing fails on: it is to find where it works.
    pub(super) fn heal_in_the_end(&mut self, n: usize) {
        self.heal_units(n, |unit| !is_moved(unit));
    }

    fn heal_units(&mut self, n: usize, heals: impl Fn(&UnitName) -> bool) {
        let systemd = &mut self.machines[n].systemd;
        let ends = |_: &UnitName, time: &mut Duration| *time != FOREVER;
        let broken = systemd.broken.extract_if(.., heals).collect::<Vec<_>>();
        let slow = systemd.slow_start.extract_if(.., ends).map(|(unit, _)| unit).collect::<Vec<_>>();
        systemd.slow_stop.retain(|_, time| *time == FOREVER);
        for unit in broken.into_iter().chain(slow) {
            self.reality.trouble(self.now, n, unit);
        }
    }
}
