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
        let mut found = Vec::new();
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
        let wanted = &self.units[name].requirements;
        if wanted.memory.is_some() || wanted.cpu_millis.is_some() || wanted.group(name).is_some() {
            // Whether there would be room is left to the scenarios.
            return false;
        }
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
        self.is_open(id)
            && !self.is_kept_from(name, id)
            && self.suits(name, id)
            && stay.all(|other| !self.conflict(name, other))
            && written.units.keys().all(|other| !self.drives_away(other, name))
            && written.leaving.keys().all(|other| !self.conflict(name, other))
    }
}
