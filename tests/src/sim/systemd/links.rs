//! Unit files: linked, unlinked, read anew; and which units systemd keeps in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet_agent::reconcile::Residue;
use fleet_agent::{LinkUnit, SystemdError};
use fleet_registry::Mono;
use fleet_units::{Fence, UnitName};

use super::Systemd;
use super::definition::Definition;
use super::unit::{State, Unit};
use crate::sim::disk::Disk;

impl Systemd {
    /// What the files say of a unit now.
    fn read(&mut self, name: &UnitName, disk: &Disk) -> Arc<Definition> {
        if self.masked.contains(name) {
            return Arc::new(Definition::masked());
        }
        let Some(content) = disk.texts.get(name).filter(|_| self.linked.contains(name)) else {
            return Arc::new(Definition::not_found());
        };
        match self.definitions.get(name) {
            Some((text, definition)) if Arc::ptr_eq(text, content) => Arc::clone(definition),
            _ => {
                let definition = Arc::new(Definition::read(name, content));
                self.definitions.insert(name.clone(), (Arc::clone(content), Arc::clone(&definition)));
                definition
            }
        }
    }

    /// The unit in memory; it is read if it is not there.
    pub(super) fn load(&mut self, name: &UnitName, disk: &Disk) -> &Unit {
        if !self.units.contains_key(name) {
            let unit = Unit::new(self.read(name, disk));
            self.units.insert(name.clone(), unit);
        }
        &self.units[name]
    }

    /// systemd forgets a unit that nothing keeps.
    pub(super) fn forget_idle(&mut self, name: &UnitName) {
        let idle = self.units.get(name).is_some_and(|unit| unit.state == State::Dead);
        if idle && !self.jobs.contains_key(name) && !self.referred.contains(name) {
            self.units.remove(name);
        }
    }

    pub(super) fn link_all(
        &mut self,
        units: Vec<LinkUnit>,
        disk: &Disk,
    ) -> BTreeMap<UnitName, Result<bool, SystemdError>> {
        self.links += 1;
        units.into_iter().map(|u| (u.unit.clone(), self.link(u.unit, disk))).collect()
    }

    fn link(&mut self, name: UnitName, disk: &Disk) -> Result<bool, SystemdError> {
        if self.refused.contains(&name) {
            return Err(SystemdError::Refused("Invalid argument".into()));
        }
        if !disk.texts.contains_key(&name) {
            return Err(SystemdError::NoSuchUnit);
        }
        let fenced = disk.texts.get(&name).is_some_and(|text| text.drop_ins.contains_key(Fence::DROP_IN));
        if fenced {
            self.fences.tied.insert(name.clone());
        } else {
            self.fences.tied.remove(&name);
        }
        let held = self.units.get(&name).is_some_and(|unit| unit.definition.load != "not-found");
        self.linked.insert(name);
        Ok(held)
    }

    pub(super) fn unlink_all(
        &mut self,
        now: Mono,
        units: Vec<UnitName>,
    ) -> BTreeMap<UnitName, Result<Residue, SystemdError>> {
        units.into_iter().map(|unit| (unit.clone(), Ok(self.unlink(now, &unit)))).collect()
    }

    fn unlink(&mut self, now: Mono, name: &UnitName) -> Residue {
        self.linked.remove(name);
        // As fleetd does: only of a unit that has failed, or its starts would be counted anew.
        if let Some(unit) = self.units.get_mut(name).filter(|unit| unit.state == State::Failed) {
            unit.reset_failed(now);
            self.settle(now, name);
        }
        match self.units.get(name) {
            Some(held) if !held.state.is_idle() => Residue::Active,
            Some(_) => Residue::Inactive,
            None => Residue::Gone,
        }
    }

    /// systemd executes itself anew: it reads its files, and all that it knew of units is left.
    pub fn reexecute(&mut self, now: Mono, disk: &Disk) {
        self.reload(now, disk);
    }

    pub(super) fn reload(&mut self, now: Mono, disk: &Disk) {
        self.reloads += 1;
        let names: Vec<UnitName> = self.units.keys().cloned().collect();
        for name in names {
            let definition = self.read(&name, disk);
            if definition.load == "not-found" {
                self.referred.remove(&name);
            }
            if let Some(unit) = self.units.get_mut(&name) {
                unit.definition = definition;
            }
            self.forget_idle(&name);
        }
        self.resync(now, disk);
    }
}
