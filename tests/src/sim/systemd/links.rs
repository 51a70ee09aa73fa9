//! Unit files: linked, unlinked, read anew.

use std::collections::BTreeMap;

use fleet_agent::reconcile::Residue;
use fleet_agent::{LinkUnit, SystemdError};
use fleet_units::{Fence, UnitName};

use super::Systemd;
use crate::sim::disk::Disk;

impl Systemd {
    pub(super) fn link_all(
        &mut self,
        units: Vec<LinkUnit>,
        disk: &Disk,
    ) -> BTreeMap<UnitName, Result<bool, SystemdError>> {
        self.links += 1;
        units.into_iter().map(|u| (u.unit.clone(), self.link(u.unit, disk))).collect()
    }

    fn link(&mut self, unit: UnitName, disk: &Disk) -> Result<bool, SystemdError> {
        if self.refused.contains(&unit) {
            return Err(SystemdError::Refused("Invalid argument".into()));
        }
        if !disk.texts.contains_key(&unit) {
            return Err(SystemdError::Refused("No such file or directory".into()));
        }
        let fenced = disk.texts.get(&unit).is_some_and(|text| text.drop_ins.contains_key(Fence::DROP_IN));
        if fenced {
            self.fences.tied.insert(unit.clone());
        } else {
            self.fences.tied.remove(&unit);
        }
        let held = self.units.contains_key(&unit);
        self.linked.insert(unit);
        Ok(held)
    }

    pub(super) fn unlink_all(&mut self, units: Vec<UnitName>) -> BTreeMap<UnitName, Result<Residue, SystemdError>> {
        units.into_iter().map(|unit| (unit.clone(), Ok(self.unlink(&unit)))).collect()
    }

    fn unlink(&mut self, unit: &UnitName) -> Residue {
        self.linked.remove(unit);
        match self.units.get(unit) {
            Some(held) if held.active => Residue::Active,
            Some(_) if self.referred.contains(unit) => Residue::Inactive,
            _ => {
                self.units.remove(unit);
                Residue::Gone
            }
        }
    }

    pub(super) fn reload(&mut self) {
        self.reloads += 1;
        let linked = &self.linked;
        self.units.retain(|name, unit| unit.active || linked.contains(name));
    }
}
