//! Who may displace whom, checked by brute force and without a look at the engine's code.

use std::collections::BTreeSet;

use fleet_engine::placement::Outcome;
use fleet_units::{MachineId, UnitName};

use crate::model::Model;

impl Model {
    fn priority(&self, name: &UnitName) -> i32 {
        self.units.get(name).map_or(0, |unit| unit.requirements.priority)
    }

    fn may_preempt(&self, name: &UnitName) -> bool {
        self.tied(name).iter().any(|unit| self.units.get(unit).is_some_and(|unit| unit.requirements.preempt))
    }

    /// Whether a unit waits for something to stop on a machine.
    fn waits_for_stop(&self, name: &UnitName, id: &MachineId) -> bool {
        self.cluster.outcome(name).and_then(Outcome::waits_for_stop_on) == Some(id)
    }

    /// Whether a machine is kept for a unit that ranks above this one.
    pub(crate) fn is_kept_from(&self, name: &UnitName, id: &MachineId) -> bool {
        let above = self.units.keys().filter(|other| self.priority(other) > self.priority(name));
        let mut waiting = above.filter(|other| self.waits_for_stop(other, id));
        waiting.any(|other| self.may_preempt(other))
    }

    /// Every unit that was displaced by an equal, by one that must not, or for nothing; and every one that may displace
    /// others, could be given a machine by that, and has none.
    pub(crate) fn outranked(&self) -> Vec<String> {
        let mut found = self.needlessly_many();
        let listed = self.listed();
        for (name, id, by) in &self.displaced {
            if self.priority(by) <= self.priority(name) {
                found.push(format!("{name} was displaced by {by}, which does not rank above it"));
            }
            if !self.may_preempt(by) {
                found.push(format!("{name} was displaced by {by}, which must not"));
            }
            if self.awaited_by(by).contains(name) {
                found.push(format!("{name} was displaced by {by}, whose start waits for it"));
            }
            let came = listed.get(by).is_some_and(|places| places.contains(id)) || self.waits_for_stop(by, id);
            let left = self.displaced.iter().any(|(unit, at, _)| unit == by && at == id);
            if !came && !left {
                found.push(format!("{name} was displaced from {id} by {by}, which does not come there"));
            }
        }
        for name in self.units.keys().filter(|name| self.wanted(name) && self.units[*name].requirements.preempt) {
            let alone = self.tied(name).len() == 1 && self.peers(name).is_empty() && !self.has_nobody_to_be_with(name);
            let is_nowhere = matches!(self.cluster.outcome(name), Some(Outcome::Unplaceable { .. }));
            if !alone || !is_nowhere || self.may_run_somewhere(name) {
                continue;
            }
            let able = self.machines.keys().filter(|id| self.could_displace(name, id));
            found.extend(able.map(|id| format!("{name} could displace others on {id}")));
        }
        found
    }

    /// Whether a machine could be given a unit if those that rank below it were not there.
    fn could_displace(&self, name: &UnitName, id: &MachineId) -> bool {
        let written = &self.written[id];
        let awaited = self.awaited_by(name);
        let is_below = |other: &UnitName| {
            self.wanted(other) && self.priority(other) < self.priority(name) && !awaited.contains(other)
        };
        let below: BTreeSet<&UnitName> = written
            .units
            .keys()
            .filter(|other| self.tied(other).iter().all(|tied| is_below(tied) || !written.units.contains_key(tied)))
            .collect();
        let mut stay = written.units.keys().filter(|other| !below.contains(other));
        let others: BTreeSet<&UnitName> = stay.clone().chain(written.leaving.keys()).collect();
        self.is_open(id)
            && !self.is_kept_from(name, id)
            && self.suits(name, id)
            && stay.all(|other| !self.conflict(name, other))
            && written.units.keys().all(|other| !self.drives_away(other, name))
            && written.leaving.keys().all(|other| !self.conflict(name, other))
            && self.fits(name, id, &others)
    }

    /// Whether a machine has room, and the numbers allow it, for a unit beside these alone.
    fn fits(&self, name: &UnitName, id: &MachineId, others: &BTreeSet<&UnitName>) -> bool {
        let capacity = &self.machines[id].capacity;
        let has_room = [capacity.memory, capacity.cpu_millis].into_iter().enumerate().all(|(n, capacity)| {
            let asked = self.asks(name)[n];
            let used: u64 = others.iter().filter(|other| **other != name).map(|other| self.asks(other)[n]).sum();
            asked == 0 || capacity.is_some_and(|capacity| used + asked <= capacity)
        });
        has_room && self.in_number(name, &others.iter().copied().chain([name]).collect())
    }

    /// Every unit that alone would have been enough where several were displaced for one. What is on the machine by now
    /// takes no less room than what was there then.
    fn needlessly_many(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (_, id, by) in &self.displaced {
            let left = self.displaced.iter().filter(|(_, at, other)| (at, other) == (id, by)).count();
            let (Some(written), true) = (self.written.get(id), left > 1 && self.tied(by).len() == 1) else { continue };
            let all: BTreeSet<&UnitName> = written.units.keys().chain(written.leaving.keys()).chain([by]).collect();
            let awaited = self.awaited_by(by);
            for &one in &all {
                let others: BTreeSet<&UnitName> = all.iter().copied().filter(|other| *other != one).collect();
                let mut neighbours = others.iter().filter(|other| **other != by);
                let may_leave = self.wanted(one) && self.priority(one) < self.priority(by) && !awaited.contains(one);
                if may_leave
                    && self.tied(one).len() == 1
                    && neighbours.all(|other| !self.conflict(by, other) && !self.drives_away(other, by))
                    && self.fits(by, id, &others)
                {
                    found.push(format!("{one} alone would have been enough for {by} on {id}"));
                }
            }
        }
        found
    }
}
