//! What becomes of the registry's changes: each is told to whom it concerns, presence to absence, all else to the leader.

use fleet_registry::{Change, Key, Now};
use fleet_units::{MachineId, UnitName};

use super::{Engine, EngineEffect};
use crate::leader::{Leader, facts, knowledge};
use crate::report::Report;

impl Engine {
    /// The mirror's first load is done: who is there, and who is not.
    pub(super) fn loaded(&mut self, now: Now) {
        self.is_loaded = true;
        for id in &knowledge::machines(&self.view) {
            if self.view.is_present(id) {
                self.absence.present_before(id);
                if self.view.is_unreadable(|| Key::Machine(id.clone())) {
                    self.absence.garbled(id);
                }
            } else {
                let known = self.view.schedules.contains_key(id);
                let holds_units =
                    !known || facts::holds_units(&self.view, &self.digests, id) || facts::owes_units(&self.view, id);
                self.absence.absent_before(now, id, holds_units);
            }
        }
        let found = self.view.brake.clone();
        self.absence.brake_found(now, found.as_ref());
    }

    pub(super) fn changed(&mut self, now: Now, change: Change, out: &mut Vec<EngineEffect>) {
        match change {
            Change::Unit { name, .. } => {
                self.watch_for_text(&name);
                self.with_leader(now, out, |leader, ground, _| leader.unit_changed(ground, &name));
            }
            Change::Content { key, record: Some(record) } => {
                self.digests.insert(key.clone(), &record);
                for name in self.textless.remove(&key).unwrap_or_default() {
                    self.with_leader(now, out, |leader, ground, _| leader.unit_changed(ground, &name));
                }
            }
            Change::Content { key, record: None } => self.digests.remove(&key),
            Change::Machine { id, old } => {
                let left = old.as_ref().is_some_and(|old| facts::has_left(&self.view, &self.digests, &id, &old.value));
                self.machine_changed(now, &id, old.is_some(), left, out);
            }
            Change::Operator { id } => {
                self.with_leader(now, out, |leader, ground, _| leader.machine_changed(ground, &id));
            }
            Change::Schedule { id, .. } => {
                self.with_leader(now, out, |leader, ground, wishes| leader.schedule_changed(ground, &id, wishes));
                self.forget_unknown(now, &id, out);
            }
            Change::Applied { id, .. } => {
                self.with_leader(now, out, |leader, ground, _| leader.applied_changed(ground, &id));
            }
            Change::Brake { .. } => {
                let writes = self.leader.as_ref().is_some_and(Leader::is_writing_brake);
                if self.is_loaded && !writes {
                    let found = self.view.brake.clone();
                    self.absence.brake_found(now, found.as_ref());
                }
            }
            Change::State { machine, unit, .. } => {
                self.forget_unknown(now, &machine, out);
                self.with_leader(now, out, |leader, ground, _| leader.state_changed(ground, &unit));
            }
            Change::Note { unit } => self.with_leader(now, out, |leader, ground, _| leader.note_changed(ground, &unit)),
            Change::Unreadable { key } => {
                if self.leader.is_some() {
                    out.extend(self.unreadable(&key));
                }
                self.unreadable_changed(now, key, out);
            }
            Change::Cluster | Change::Leader { .. } | Change::Standby => {}
        }
    }

    /// A value that cannot be read came, or went again: whatever hangs on it is looked at anew.
    fn unreadable_changed(&mut self, now: Now, key: Key, out: &mut Vec<EngineEffect>) {
        match key {
            Key::Unit(name) => self.with_leader(now, out, |leader, ground, _| leader.unit_changed(ground, &name)),
            Key::Machine(id) => {
                self.machine_changed(now, &id, true, false, out);
                if self.view.is_unreadable(|| Key::Machine(id.clone())) {
                    self.absence.garbled(&id);
                }
            }
            Key::Operator(id) => self.with_leader(now, out, |leader, ground, _| leader.machine_changed(ground, &id)),
            Key::Schedule(id) => {
                self.with_leader(now, out, |leader, ground, wishes| leader.schedule_changed(ground, &id, wishes));
                self.forget_unknown(now, &id, out);
            }
            Key::Applied(id) => self.with_leader(now, out, |leader, ground, _| leader.applied_changed(ground, &id)),
            Key::Note(unit) => self.with_leader(now, out, |leader, ground, _| leader.note_changed(ground, &unit)),
            Key::Cluster | Key::Content(_) | Key::State(..) | Key::Leader | Key::Standby(_) | Key::Brake => {}
        }
    }

    /// A machine whose records are all gone was forgotten.
    fn forget_unknown(&mut self, now: Now, id: &MachineId, out: &mut Vec<EngineEffect>) {
        if !knowledge::knows(&self.view, id) {
            self.absence.forget(id);
            self.with_leader(now, out, |leader, ground, _| leader.machine_changed(ground, id));
        }
    }

    pub(super) fn unreadable(&self, key: &Key) -> Option<EngineEffect> {
        let found = self.view.unreadable.get(key)?;
        let (key, why) = (self.view.name_of(key), found.why.clone());
        Some(EngineEffect::Log(Report::Unreadable { key, why }))
    }

    /// Remembers a unit whose text has not come, so that it is looked at again when it does.
    fn watch_for_text(&mut self, name: &UnitName) {
        if let Some(record) = self.view.units.get(name)
            && !self.view.contents.contains_key(&record.value.content)
        {
            self.textless.entry(record.value.content.clone()).or_default().insert(name.clone());
        }
    }

    fn machine_changed(&mut self, now: Now, id: &MachineId, was_there: bool, left: bool, out: &mut Vec<EngineEffect>) {
        let is_there = self.view.is_present(id);
        if self.is_loaded {
            if is_there {
                self.absence.present(now, id);
            } else if left {
                self.absence.left(now, id);
            } else {
                self.absence.gone(now, id);
            }
            let report = match (was_there, is_there) {
                (false, true) => Some(Report::Returned { machine: id.clone() }),
                (true, false) if left => Some(Report::Left { machine: id.clone() }),
                (true, false) => Some(Report::Absent { machine: id.clone() }),
                _ => None,
            };
            if self.leader.is_some() {
                out.extend(report.map(EngineEffect::Log));
            }
        }
        self.with_leader(now, out, |leader, ground, _| leader.machine_changed(ground, id));
    }
}
