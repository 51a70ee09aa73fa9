//! What changed in the registry, as a leader takes it in.

use std::sync::Arc;

use fleet_registry::Key;
use fleet_registry::record::BrakeRecord;
use fleet_units::{MachineId, UnitName};

use super::{Ground, Leader, Wish, facts, knowledge, starts};

impl Leader {
    /// A unit was submitted, changed or destroyed, or its text came.
    pub(crate) fn unit_changed(&mut self, ground: Ground<'_>, name: &UnitName) {
        self.failures.touch(ground.view, name);
        let Some(cluster) = &mut self.cluster else { return };
        match facts::unit(ground.view, ground.digests, name) {
            Some(spec) => cluster.set_unit(name, spec),
            None => cluster.remove_unit(name),
        }
        cluster.set_found(name, knowledge::found(ground.view, name));
        starts::tell(cluster, ground.view, name);
        cluster.set_avoided(name, facts::avoided(ground.view, name));
    }

    /// A machine says something else of a unit.
    pub(crate) fn state_changed(&mut self, ground: Ground<'_>, name: &UnitName) {
        self.failures.touch(ground.view, name);
        if let Some(cluster) = &mut self.cluster {
            cluster.set_found(name, knowledge::found(ground.view, name));
            starts::tell(cluster, ground.view, name);
        }
    }

    /// A machine came, went, or changed, or what an operator said of it.
    pub(crate) fn machine_changed(&mut self, ground: Ground<'_>, id: &MachineId) {
        if self.cluster.is_none() {
            return;
        }
        let facts = self.machine_facts(ground, id);
        let Some(cluster) = &mut self.cluster else { return };
        let listed = ground.view.schedules.get(id).into_iter().flat_map(|schedule| schedule.value.units.keys());
        for name in listed {
            self.failures.touch(ground.view, name);
            starts::tell(cluster, ground.view, name);
        }
        let known = ground.view.machines.get(id);
        if !self.stored.contains_key(id) && !knowledge::knows(ground.view, id) {
            return cluster.remove_machine(id);
        }
        cluster.set_machine(facts);
        let stored = self.stored.get(id).filter(|stored| stored.revision > 0);
        let stored = stored.map_or(0, |stored| stored.record.generation);
        // It has no schedule yet, or has seen a newer one than there is: the registry was restored.
        if known.is_some_and(|machine| stored == 0 || machine.value.schedule_seen > stored) {
            cluster.plan_anyway(id);
        }
    }

    /// A machine acknowledged a generation.
    pub(crate) fn applied_changed(&mut self, ground: Ground<'_>, id: &MachineId) {
        let Some(cluster) = &mut self.cluster else { return };
        if let Some(applied) = ground.view.applied.get(id) {
            cluster.acknowledge(id, applied.value.generation, &applied.value.stopping);
        }
        self.ask_for_acknowledgement(ground, id);
    }

    /// Where units are leaving a machine and its acknowledgement is not there, or cannot be read, it is to write another.
    pub(super) fn ask_for_acknowledgement(&mut self, ground: Ground<'_>, id: &MachineId) {
        let Some(cluster) = &mut self.cluster else { return };
        let heard = ground.view.applied.contains_key(id) && !ground.view.is_unreadable(|| Key::Applied(id.clone()));
        let leaves = self.stored.get(id).is_some_and(|stored| !stored.record.leaving.is_empty());
        if leaves && !heard && ground.view.machines.contains_key(id) {
            self.ask_again.insert(id.clone());
            cluster.plan_anyway(id);
        }
    }

    /// What stands there as a unit's note came, went, or cannot be read.
    pub(crate) fn note_changed(&mut self, ground: Ground<'_>, unit: &UnitName) {
        self.notes.changed(ground.view, ground.revision, unit);
    }

    /// A schedule was written or deleted, by this leader as a rule.
    pub(crate) fn schedule_changed(&mut self, ground: Ground<'_>, id: &MachineId, wishes: &mut Vec<Wish>) {
        if ground.view.is_unreadable(|| Key::Schedule(id.clone())) {
            return self.start_over(format!("the schedule of {} cannot be read", id.short()), wishes);
        }
        let Some(found) = ground.view.schedules.get(id) else {
            match self.stored.get_mut(id).filter(|_| ground.view.is_present(id)) {
                Some(stored) => stored.revision = 0,
                None => drop(self.stored.remove(id)),
            }
            if self.retention.has_deleted(id) {
                return self.machine_changed(ground, id);
            }
            return self.start_over(format!("the schedule of {} was deleted", id.short()), wishes);
        };
        // It is kept once, whichever comes first: this, or the answer to the write.
        let stored = self.stored.get_mut(id);
        if let Some(stored) = stored.filter(|stored| found.mod_revision <= stored.revision) {
            if found.mod_revision == stored.revision && found.value == stored.record {
                stored.record = Arc::clone(&found.value);
            }
            return;
        }
        if self.cluster.is_none() {
            return;
        }
        let mut under_way = self.writer.in_flight.values_mut().filter_map(|batch| batch.write_of(id));
        match under_way.find(|write| write.record == found.value) {
            Some(write) => write.record = Arc::clone(&found.value),
            None => self.start_over(format!("the schedule of {} was written by another", id.short()), wishes),
        }
    }

    /// The brake is to be written, or deleted.
    pub(crate) fn set_brake(&mut self, brake: Option<BrakeRecord>) {
        self.brake = Some(brake);
    }

    /// Whether the brake in the registry may not be what is wanted.
    pub(crate) fn is_writing_brake(&self) -> bool {
        self.brake.is_some() || self.brake_call.is_some()
    }
}
