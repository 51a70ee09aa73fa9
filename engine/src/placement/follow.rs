//! A cluster that follows what others decide: it takes schedules as they are written, whatever it would have decided.

use std::collections::{BTreeMap, BTreeSet};

use fleet_units::{MachineId, UnitName};

use super::cluster::Cluster;
use super::slots::UnitIx;

impl Cluster {
    /// Tells what a machine's schedule lists now, and which units it has not acknowledged as gone: others that were listed
    /// there are there no more. Answers those that were there and are destroyed, of which this may have been the last trace
    /// ([`Self::forget_if_gone`]).
    pub fn replace_schedule(
        &mut self,
        id: &MachineId,
        units: &BTreeSet<&UnitName>,
        leaving: &BTreeMap<&UnitName, u64>,
    ) -> Vec<UnitName> {
        let mut destroyed = Vec::new();
        if let Some(machine) = self.machines.find(id.as_str()) {
            let is_listed = |unit: &UnitIx| units.contains(&self.units[*unit].name);
            let entry = &self.machines[machine];
            let gone: Vec<UnitIx> = entry.units.iter().copied().filter(|unit| !is_listed(unit)).collect();
            let left: Vec<UnitIx> = entry.leaving.keys().copied().collect();
            let of_none = |unit: &&UnitIx| self.units[**unit].spec.is_none();
            let held = gone.iter().chain(&left).filter(of_none);
            destroyed.extend(held.map(|unit| self.units[*unit].name.clone()));
            for unit in gone {
                self.unlist(unit, machine);
                self.forget_start(unit, machine);
                self.dirty.insert(unit);
            }
            for unit in left {
                self.has_left(unit, machine);
                self.dirty.insert(unit);
            }
        }
        let leaving = leaving.iter().map(|(name, generation)| (*name, *generation));
        self.set_schedule(id, units.iter().copied(), leaving);
        destroyed
    }

    /// Forgets a unit that was destroyed once no machine has anything to do with it: whoever decides forgets it then.
    pub fn forget_if_gone(&mut self, name: &UnitName) {
        let Some(unit) = self.units.find(name.as_str()) else { return };
        let entry = &self.units[unit];
        if entry.spec.is_none() && entry.places.is_empty() && entry.leaving.is_empty() {
            self.forget_unit(unit);
        }
    }
}
