//! Units that somebody asked to leave a machine: one leaves as soon as another can take it with all that must be with
//! it, and is placed there again only where no other can. Where it goes is decided as ever.

use fleet_units::{MachineId, UnitName};

use super::cluster::Cluster;
use super::slots::{MachineIx, UnitIx};

impl Cluster {
    /// Tells which machine a unit is to keep away from; none for any.
    pub fn set_avoided(&mut self, name: &UnitName, machine: Option<MachineId>) {
        let Some(unit) = self.units.find(name.as_str()) else { return };
        if self.units[unit].rare.avoids == machine {
            return;
        }
        self.units[unit].rare.avoids = machine;
        self.note_leaving(unit);
        self.touch(unit);
    }

    /// Whether a unit is to leave this machine because it was asked to.
    pub(super) fn leaves_when_asked(&self, unit: UnitIx, machine: MachineIx) -> bool {
        let asked = self.units[unit].rare.avoids.as_ref() == Some(&self.machines[machine].facts.id);
        asked && self.has_alternative(unit, machine)
    }

    /// A unit that is to leave its machine once another can take it is looked at again whenever one may.
    pub(super) fn note_leaving(&mut self, unit: UnitIx) {
        let entry = &self.units[unit];
        if entry.rare.failures.leaves || entry.rare.avoids.is_some() {
            self.failing.insert(unit);
        } else {
            self.failing.remove(&unit);
        }
    }
}
