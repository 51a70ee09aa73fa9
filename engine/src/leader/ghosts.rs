//! Batches of unknown outcome: whether they took effect is found out, and those that did not never will.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fleet_registry::Key;
use fleet_registry::record::{FORMAT, ScheduleRecord};
use fleet_registry::store::{Operation, RangeRequest, Request, TxnRequest, TxnResponse};
use fleet_units::MachineId;

use super::answers::revision_of;
use super::write::Write;
use super::{Ground, Leader, Wish};

/// Schedules that one read looks at.
const MAX_LOOKS: usize = 120;

impl Leader {
    /// Finds out which batches of unknown outcome took effect.
    pub(super) fn look_for_ghosts(&mut self, ground: Ground<'_>, wishes: &mut Vec<Wish>) {
        if self.looking.is_some() {
            return;
        }
        let layout = ground.view.layout();
        let look = |key: Bytes| Operation::Range(RangeRequest { keys_only: true, ..RangeRequest::key(key) });
        let mut success = vec![look(layout.encode(&Key::Leader))];
        for id in self.ghost_machines() {
            success.push(look(layout.encode(&Key::Schedule(id))));
        }
        let call = self.call(Request::Txn(TxnRequest { success, ..TxnRequest::default() }), wishes);
        self.looking = Some(call);
    }

    /// The machines of as many ghosts as one read can look at.
    fn ghost_machines(&self) -> Vec<MachineId> {
        let mut machines = BTreeSet::new();
        for ghost in &self.ghosts {
            let own = ghost.writes.iter().map(|write| write.machine.clone());
            if !machines.is_empty() && machines.len() + ghost.writes.len() > MAX_LOOKS {
                break;
            }
            machines.extend(own);
        }
        machines.into_iter().collect()
    }

    /// A ghost that took effect is in the registry; one that did not yet must never do: one of the values that it
    /// compares is written again, so that its compare fails for ever.
    pub(super) fn lay_ghosts(&mut self, txn: &TxnResponse, wishes: &mut Vec<Wish>) {
        let mut found = txn.responses.iter().map(revision_of);
        if found.next().flatten().map(|kv| kv.create_revision) != Some(self.fence) {
            return wishes.push(Wish::Fenced);
        }
        let machines = self.ghost_machines();
        let found: BTreeMap<MachineId, i64> =
            machines.into_iter().zip(found.map(|kv| kv.map_or(0, |kv| kv.mod_revision))).collect();
        let mut again = BTreeMap::new();
        for ghost in std::mem::take(&mut self.ghosts) {
            let looked = ghost.writes.iter().all(|write| found.contains_key(&write.machine));
            if !looked {
                self.ghosts.push(ghost);
                continue;
            }
            let moved = ghost.writes.iter().find(|write| found.get(&write.machine) != Some(&write.replaces));
            match (moved, ghost.writes.first()) {
                (Some(write), _) => match found.get(&write.machine) {
                    Some(&revision) if revision > 0 => self.await_revision = self.await_revision.max(revision),
                    _ => drop(self.await_gone.insert(write.machine.clone())),
                },
                (None, Some(write)) => {
                    let old = self.stored.get(&write.machine).map(|stored| ScheduleRecord::clone(&stored.record));
                    let empty = || ScheduleRecord {
                        v: FORMAT,
                        generation: 0,
                        units: BTreeMap::new(),
                        leaving: BTreeMap::new(),
                        extra: BTreeMap::new(),
                    };
                    let mut record = old.unwrap_or_else(empty);
                    record.generation = write.record.generation;
                    let write = Write::new(write.machine.clone(), record, write.replaces);
                    again.insert(write.machine.clone(), write);
                }
                (None, None) => {}
            }
        }
        self.writer.enqueue(again.into_values().collect());
    }
}
