//! Units that a machine holds already though no schedule gave them to it: CoreOS fleet left them there, or the registry
//! was restored from a backup. When people ask for such a unit, it is given to the machine that has it, which takes it
//! over as it runs.

use std::collections::BTreeSet;

use fleet_units::{MachineId, UnitName};

use super::cluster::Cluster;
use super::decision::Blocker;
use super::facts::Presence;
use super::rejection::Rejection;
use super::slots::{MachineIx, UnitIx};

impl Cluster {
    /// Tells which machines hold a unit, in its very text, without having been given it.
    pub fn set_found(&mut self, name: &UnitName, machines: BTreeSet<MachineId>) {
        let Some(unit) = self.units.find(name.as_str()) else { return };
        if self.units[unit].rare.found == machines {
            return;
        }
        self.units[unit].rare.found = machines;
        if self.units[unit].places.is_empty() {
            self.touch(unit);
        }
    }

    /// The machines that are present and hold one of these.
    fn finders<'a>(&'a self, members: &'a [UnitIx]) -> impl Iterator<Item = MachineIx> + 'a {
        let found = members.iter().flat_map(|&unit| &self.units[unit].rare.found);
        let present = |machine: &MachineIx| self.machines[*machine].facts.presence == Presence::Present;
        found.filter_map(|id| self.machines.find(id.as_str())).filter(present)
    }

    /// The machine that holds one of these already, if it can take all of them.
    pub(super) fn find_finder(&self, members: &[UnitIx]) -> Option<MachineIx> {
        self.finders(members).find(|&machine| self.rejection_of(members, machine).is_none())
    }

    /// What these wait for where the machine that holds one of them can take them in a moment: elsewhere it would run
    /// twice.
    pub(super) fn awaits_finder(&self, members: &[UnitIx]) -> Option<Blocker> {
        if self.find_finder(members).is_some() {
            return None;
        }
        let catches_up =
            |machine: &MachineIx| matches!(self.rejection_of(members, *machine), Some((Rejection::CatchingUp, _)));
        let machine = self.finders(members).find(catches_up)?;
        Some(Blocker::CatchingUp { machine: self.machines[machine].facts.id.clone() })
    }
}
