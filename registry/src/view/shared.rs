//! Names that many records say are kept once: what a record says of a unit, a machine, or a text that the view knows is
//! said with the very name that it knows it by.

use fleet_units::{MachineId, UnitName};

use super::View;
use crate::record::{ContentKey, ScheduleRecord};

impl View {
    /// The same name, shared where it can be.
    pub(super) fn shared_unit(&self, name: UnitName) -> UnitName {
        let known = self.units.get_key_value(&name).map(|(known, _)| known);
        known.or_else(|| Some(self.states.get_key_value(&name)?.0)).cloned().unwrap_or(name)
    }

    /// The same id, shared where it can be.
    pub(super) fn shared_machine(&self, id: MachineId) -> MachineId {
        self.machines.get_key_value(&id).map_or(id, |(known, _)| known.clone())
    }

    /// Shares the key of a text.
    pub(super) fn share_content(&self, key: &mut ContentKey) {
        if let Some((known, _)) = self.contents.get_key_value(key) {
            key.clone_from(known);
        }
    }

    /// Shares the names of what a machine is to run, and the keys of its texts.
    pub(super) fn share_schedule(&self, schedule: &mut ScheduleRecord) {
        let units = std::mem::take(&mut schedule.units).into_iter().map(|(name, mut given)| {
            self.share_content(&mut given.content);
            (self.shared_unit(name), given)
        });
        schedule.units = units.collect();
    }
}
