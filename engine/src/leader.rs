//! What a leader does: keeps the cluster's facts, decides, and writes what it decided.
//!
//! It writes only on top of what it knows: a compare that fails, or an outcome that is unknown, makes it drop what it
//! had in mind, find out, and decide again from the records.

pub(crate) mod facts;
mod failures;
mod fences;
pub(crate) mod knowledge;
mod notes;
mod retention;
mod sweeper;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use fleet_registry::planted::{self, Fault};
use fleet_registry::record::{BrakeRecord, FORMAT, Record, ScheduleRecord};
use fleet_registry::store::{
    Compare, DeleteRequest, KeyValue, Operation, OperationResponse, PutRequest, RangeRequest, Request, Response,
    ResponseBody, StoreError, TxnRequest, TxnResponse,
};
use fleet_registry::{Key, Mono, Now, View};
use fleet_units::{MachineId, UnitName};

use crate::absence::Absence;
use crate::placement::{Cluster, MachinePlan};
use crate::report::Report;
use facts::Digests;
use failures::Failures;
pub(crate) use fences::Lost;
pub use fences::{fence_wait, stop_bound};
use notes::Notes;
use retention::Retention;
use sweeper::Sweeper;
use write::{Batch, Write, Writer};

/// After a write that failed, so that a store in trouble is not made busier.
const PAUSE: Duration = Duration::from_millis(100);

/// Schedules that one read looks at.
const MAX_LOOKS: usize = 120;

/// What a leader decides upon.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) now: Now,
    pub(crate) view: &'a View,
    pub(crate) digests: &'a Digests,
    pub(crate) absence: &'a Absence,
    /// Everything up to here is in the view.
    pub(crate) revision: i64,
}

/// What a leader wants done.
#[derive(Debug)]
pub(crate) enum Wish {
    /// This request, under this name.
    Call(u64, Request),
    /// Tell people.
    Tell(Report),
    /// Another leads: find out.
    Fenced,
}

/// A schedule as the registry has it, as far as is known; revision 0 once somebody deleted it under a machine that is
/// there.
#[derive(Debug, Clone)]
struct Stored {
    record: ScheduleRecord,
    revision: i64,
}

/// A leader.
#[derive(Debug, Clone)]
pub(crate) struct Leader {
    pub(crate) fence: i64,
    names: u64,
    /// None before it is built from the records, and again when they are not what was thought.
    cluster: Option<Cluster>,
    stored: BTreeMap<MachineId, Stored>,
    writer: Writer,
    notes: Notes,
    failures: Failures,
    sweeper: Sweeper,
    retention: Retention,
    /// When lost machines must have stopped the next of the units that they may still be stopping.
    fences: BTreeMap<MachineId, Mono>,
    /// Batches that may still take effect.
    ghosts: Vec<Batch>,
    /// The read that tells which of them did.
    looking: Option<u64>,
    /// Not decided before the view has got here.
    await_revision: i64,
    /// Nor while the view still has these schedules.
    await_gone: BTreeSet<MachineId>,
    /// Machines whose acknowledgement is not there to be read: they are asked for another by another generation.
    ask_again: BTreeSet<MachineId>,
    /// Not written before then.
    pause_until: Mono,
    /// It can do nothing before it hears from the registry: an answer, or a change.
    awaits_registry: bool,
    /// The brake as it should be in the registry, when that is to be written.
    brake: Option<Option<BrakeRecord>>,
    brake_call: Option<u64>,
    is_ready: bool,
}

impl Leader {
    /// A leader with this fence, whose calls are named from here on, and which keeps lost machines' records for so long.
    pub(crate) fn new(fence: i64, names: u64, retention: Duration) -> Self {
        Self {
            fence,
            names,
            cluster: None,
            stored: BTreeMap::new(),
            writer: Writer::default(),
            notes: Notes::default(),
            failures: Failures::default(),
            sweeper: Sweeper::default(),
            retention: Retention::new(retention),
            fences: BTreeMap::new(),
            ghosts: Vec::new(),
            looking: None,
            await_revision: fence,
            await_gone: BTreeSet::new(),
            ask_again: BTreeSet::new(),
            pause_until: Mono::ZERO,
            awaits_registry: false,
            brake: None,
            brake_call: None,
            is_ready: false,
        }
    }

    /// The last name given to a call.
    pub(crate) fn names(&self) -> u64 {
        self.names
    }

    /// When it wants to work again by itself.
    pub(crate) fn wakeup(&self) -> Option<Mono> {
        if self.pause_until > Mono::ZERO {
            return Some(self.pause_until);
        }
        if self.awaits_registry && !planted::is(Fault::WakesInVain) {
            // What it hears from there wakes it; a time that passes meanwhile would wake it again and again.
            return None;
        }
        // Records are not looked at while a lost machine may still be stopping something.
        let retention = self.retention.wakeup().filter(|_| self.fences.is_empty());
        let others = [self.sweeper.wakeup(), retention, self.failures.wakeup()];
        others.into_iter().flatten().chain(self.fences.values().copied()).min()
    }

    fn call(&mut self, request: Request, wishes: &mut Vec<Wish>) -> u64 {
        self.names += 1;
        wishes.push(Wish::Call(self.names, request));
        self.names
    }

    // --- facts ---

    /// A unit was submitted, changed or destroyed, or its text came.
    pub(crate) fn unit_changed(&mut self, ground: Ground<'_>, name: &UnitName) {
        self.failures.touch(ground.view, name);
        let Some(cluster) = &mut self.cluster else { return };
        match facts::unit(ground.view, ground.digests, name) {
            Some(spec) => cluster.set_unit(name, spec),
            None => cluster.remove_unit(name),
        }
    }

    /// A machine says something else of a unit.
    pub(crate) fn state_changed(&mut self, ground: Ground<'_>, name: &UnitName) {
        self.failures.touch(ground.view, name);
    }

    /// A machine came, went, or changed, or what an operator said of it.
    pub(crate) fn machine_changed(&mut self, ground: Ground<'_>, id: &MachineId) {
        if self.cluster.is_none() {
            return;
        }
        let facts = self.machine_facts(ground, id);
        let Some(cluster) = &mut self.cluster else { return };
        let listed = ground.view.schedules.get(id).into_iter().flat_map(|schedule| schedule.value.units.keys());
        listed.for_each(|name| self.failures.touch(ground.view, name));
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
    fn ask_for_acknowledgement(&mut self, ground: Ground<'_>, id: &MachineId) {
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
        let stored = self.stored.get(id).map_or(0, |stored| stored.revision);
        if found.mod_revision <= stored || self.cluster.is_none() {
            return;
        }
        let mut under_way = self.writer.in_flight.values().flat_map(|batch| &batch.writes);
        if !under_way.any(|write| write.machine == *id && write.record == found.value) {
            self.start_over(format!("the schedule of {} was written by another", id.short()), wishes);
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

    /// Drops what was in mind; the cluster is built anew from the records.
    pub(crate) fn start_over(&mut self, why: String, wishes: &mut Vec<Wish>) {
        if self.cluster.take().is_some() {
            wishes.push(Wish::Tell(Report::WriteFailed { why }));
        }
        self.writer.drop_queue();
    }

    /// The registry is another, or an older one.
    pub(crate) fn restored(&mut self, wishes: &mut Vec<Wish>) {
        self.stored.clear();
        self.await_revision = 0;
        self.await_gone.clear();
        self.start_over("the registry was restored".to_owned(), wishes);
    }

    fn build(&mut self, ground: Ground<'_>, wishes: &mut Vec<Wish>) {
        let view = ground.view;
        self.stored.retain(|id, stored| view.schedules.contains_key(id) || stored.revision == 0 && view.is_present(id));
        for (id, found) in &view.schedules {
            let newer = self.stored.get(id).is_none_or(|stored| stored.revision < found.mod_revision);
            if newer {
                self.stored.insert(id.clone(), Stored { record: found.value.clone(), revision: found.mod_revision });
            }
        }
        let mut cluster = Cluster::new();
        let known = knowledge::machines(view);
        for id in &known {
            cluster.set_machine(self.machine_facts(ground, id));
        }
        let unreadable = view.unreadable.keys().filter_map(|key| match key {
            Key::Unit(name) => Some(name),
            _ => None,
        });
        for name in view.units.keys().chain(unreadable) {
            if let Some(spec) = facts::unit(view, ground.digests, name) {
                cluster.set_unit(name, spec);
            }
        }
        knowledge::load(&mut cluster, view, &self.stored, self.fence);
        for (id, applied) in &view.applied {
            cluster.acknowledge(id, applied.value.generation, &applied.value.stopping);
        }
        let machines = known.len();
        if !self.is_ready {
            self.failures = Failures::load(view);
        }
        self.failures.tell(&mut cluster);
        self.cluster = Some(cluster);
        for id in view.machines.keys() {
            self.machine_changed(ground, id);
            self.ask_for_acknowledgement(ground, id);
        }
        if !self.is_ready {
            self.is_ready = true;
            self.notes = Notes::load(view);
            wishes.push(Wish::Tell(Report::Ready { units: view.units.len(), machines, revision: ground.revision }));
        }
    }

    // --- work ---

    /// Does what can be done now.
    pub(crate) fn work(&mut self, ground: Ground<'_>, wishes: &mut Vec<Wish>) {
        if ground.now.mono < self.pause_until {
            return;
        }
        self.pause_until = Mono::ZERO;
        self.failures.expire(ground.now.mono);
        self.write_brake(ground, wishes);
        self.awaits_registry = true;
        if self.writer.is_busy() {
            return self.send(ground, wishes);
        }
        if !self.ghosts.is_empty() {
            return self.look_for_ghosts(ground, wishes);
        }
        let still_there = |id: &MachineId| ground.view.schedules.contains_key(id);
        if ground.revision < self.await_revision || self.await_gone.iter().any(still_there) {
            return;
        }
        self.awaits_registry = false;
        self.await_gone.clear();
        if self.cluster.is_none() {
            self.build(ground, wishes);
        }
        self.pass_fences(ground);
        self.decide(ground, wishes);
        let Some(cluster) = &mut self.cluster else { return };
        let plans = cluster.take_plan().into_iter();
        // What cannot be read is left alone.
        let plans = plans.filter(|plan| !ground.view.is_unreadable(|| Key::Schedule(plan.id.clone())));
        let plans: Vec<MachinePlan> = plans.collect();
        let writes = plans.into_iter().filter_map(|plan| self.plan_write(ground, plan)).collect();
        self.writer.enqueue(writes);
        self.send(ground, wishes);
        self.write_notes(ground, wishes);
        let schedules = self.stored.values().map(|stored| &stored.record);
        if let Some(txn) = self.sweeper.sweep(ground.now.mono, ground.view, schedules, self.fence) {
            let call = self.call(Request::Txn(txn), wishes);
            self.sweeper.sent(call);
        }
        // With a machine's records the next leader would lose what it may still be stopping.
        if self.fences.is_empty()
            && let Some((id, txn)) = self.retention.look(ground, self.fence)
        {
            let call = self.call(Request::Txn(txn), wishes);
            self.retention.sent(call, id);
        }
    }

    /// Looks at what failed, decides, and takes down what there is to say of it.
    fn decide(&mut self, ground: Ground<'_>, wishes: &mut Vec<Wish>) {
        let Some(cluster) = &mut self.cluster else { return };
        let mut failed: BTreeSet<UnitName> =
            self.failures.look(ground, cluster, |name| self.notes.is_written(name)).into_iter().collect();
        let decisions = if cluster.is_dirty() { cluster.pass() } else { Vec::new() };
        for decision in &decisions {
            self.failures.touch(ground.view, &decision.unit);
        }
        failed.extend(self.failures.look(ground, cluster, |name| self.notes.is_written(name)));
        for decision in decisions {
            failed.remove(&decision.unit);
            self.notes.decided(ground.now, &decision, self.failures.remark(&decision.unit));
            wishes.push(Wish::Tell(Report::Decided(decision)));
        }
        for name in failed {
            let remark = self.failures.remark(&name);
            let (Some(unit), Some(outcome)) = (ground.view.units.get(&name), cluster.outcome(&name)) else { continue };
            if let Some(reason) = remark.as_ref().and_then(|remark| remark.reason.clone()) {
                wishes.push(Wish::Tell(Report::Failed { unit: name.clone(), what: reason }));
            }
            self.notes.say(ground.now, &name, unit.create_revision, outcome, 0, remark);
        }
    }

    /// The write that makes the registry say what is planned; none if it does already.
    fn plan_write(&mut self, ground: Ground<'_>, plan: MachinePlan) -> Option<Write> {
        let stored = self.stored.get(&plan.id);
        let (replaces, old) = stored.map_or((0, None), |stored| (stored.revision, Some(&stored.record)));
        let machine = ground.view.machines.get(&plan.id);
        let seen = machine.map_or(0, |machine| machine.value.schedule_seen);
        let acknowledged = ground.view.applied.get(&plan.id).map_or(0, |applied| applied.value.generation);
        let written = old.map_or(0, |old| old.generation);
        let units = knowledge::units(ground.view, &plan, old);
        let same = replaces > 0 && old.is_some_and(|old| old.units == units);
        let news = plan.leaving.values().any(Option::is_none) || self.ask_again.remove(&plan.id);
        if same && !news && seen <= written {
            return None;
        }
        let generation = written.max(seen).max(acknowledged) + 1;
        let leaving = plan.leaving.into_iter().map(|(name, given)| (name, given.unwrap_or(generation))).collect();
        let extra = old.map(|old| old.extra.clone()).unwrap_or_default();
        let record = ScheduleRecord { v: FORMAT, generation, units, leaving, extra };
        let mut absent = plan.relies_on_loss;
        if plan.lost {
            absent.insert(plan.id.clone());
        }
        if let Some(cluster) = &mut self.cluster {
            cluster.set_generation(&plan.id, generation);
        }
        Some(Write { machine: plan.id, record, replaces, absent, takes_from_lost: plan.lost })
    }

    fn send(&mut self, ground: Ground<'_>, wishes: &mut Vec<Wish>) {
        while let Some(batch) = self.writer.next() {
            let request = Request::Txn(batch.request(ground.view.layout(), self.fence));
            let call = self.call(request, wishes);
            self.writer.in_flight.insert(call, batch);
        }
    }

    fn write_notes(&mut self, ground: Ground<'_>, wishes: &mut Vec<Wish>) {
        if let Some(txn) = self.notes.request(ground.view, ground.revision, self.fence, self.names + 1) {
            self.call(Request::Txn(txn), wishes);
        }
    }

    fn write_brake(&mut self, ground: Ground<'_>, wishes: &mut Vec<Wish>) {
        if self.brake_call.is_some() {
            return;
        }
        let Some(brake) = self.brake.as_ref().filter(|_| !ground.view.is_unreadable(|| Key::Brake)) else { return };
        let layout = ground.view.layout();
        let key = layout.encode(&Key::Brake);
        let operation = match brake {
            Some(record) => Operation::Put(PutRequest::new(key, record.encode())),
            None => Operation::Delete(DeleteRequest { key, ..DeleteRequest::default() }),
        };
        let txn = TxnRequest {
            compare: vec![Compare::created_at(layout.encode(&Key::Leader), self.fence)],
            success: vec![operation],
            failure: Vec::new(),
        };
        let call = self.call(Request::Txn(txn), wishes);
        self.brake_call = Some(call);
    }

    /// Finds out which batches of unknown outcome took effect.
    fn look_for_ghosts(&mut self, ground: Ground<'_>, wishes: &mut Vec<Wish>) {
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
    fn lay_ghosts(&mut self, txn: &TxnResponse, wishes: &mut Vec<Wish>) {
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
                    let old = self.stored.get(&write.machine).map(|stored| stored.record.clone());
                    let empty = || ScheduleRecord {
                        v: FORMAT,
                        generation: 0,
                        units: BTreeMap::new(),
                        leaving: BTreeMap::new(),
                        extra: BTreeMap::new(),
                    };
                    let mut record = old.unwrap_or_else(empty);
                    record.generation = write.record.generation;
                    let write = Write {
                        machine: write.machine.clone(),
                        record,
                        replaces: write.replaces,
                        absent: BTreeSet::new(),
                        takes_from_lost: false,
                    };
                    again.insert(write.machine.clone(), write);
                }
                (None, None) => {}
            }
        }
        self.writer.enqueue(again.into_values().collect());
    }

    // --- answers ---

    /// Takes in the answer to a call.
    pub(crate) fn answered(
        &mut self,
        now: Now,
        call: u64,
        result: Result<Response, StoreError>,
        wishes: &mut Vec<Wish>,
    ) {
        let (revision, result) = match result {
            Ok(Response { header, body: ResponseBody::Txn(txn) }) => (header.revision, Ok(txn)),
            Ok(_) => return,
            Err(error) => (0, Err(error)),
        };
        if result.is_err() {
            self.pause_until = now.mono + PAUSE;
        }
        if let Some(batch) = self.writer.in_flight.remove(&call) {
            return self.batch_answered(batch, revision, result, wishes);
        }
        if self.looking == Some(call) {
            self.looking = None;
            if let Ok(txn) = &result {
                self.lay_ghosts(txn, wishes);
            }
            return;
        }
        if self.sweeper.answered(call) {
            return;
        }
        let succeeded = result.as_ref().is_ok_and(|txn| txn.succeeded);
        if let Some(deleted) = self.retention.answered(call, now.mono, succeeded) {
            return wishes.extend(deleted.map(|machine| Wish::Tell(Report::Forgotten { machine })));
        }
        if self.brake_call == Some(call) {
            self.brake_call = None;
            if succeeded {
                self.brake = None;
            }
        } else if self.notes.answered(call, succeeded.then_some(revision)) {
            self.failures.notes_written();
        } else {
            return;
        }
        if result.is_ok() && !succeeded {
            wishes.push(Wish::Fenced);
        }
    }

    fn batch_answered(
        &mut self,
        batch: Batch,
        revision: i64,
        result: Result<TxnResponse, StoreError>,
        wishes: &mut Vec<Wish>,
    ) {
        match result {
            Ok(txn) if txn.succeeded => {
                for write in batch.writes {
                    let newer = self.stored.get(&write.machine).is_none_or(|stored| stored.revision < revision);
                    if newer {
                        self.stored.insert(write.machine, Stored { record: write.record, revision });
                    }
                }
            }
            Ok(txn) => self.batch_refused(&batch, &txn, wishes),
            Err(error) => {
                self.start_over(error.to_string(), wishes);
                if error.outcome_unknown() && !planted::is(Fault::UnknownIsFailed) {
                    self.ghosts.push(batch);
                }
            }
        }
    }

    /// A compare failed: what stands in the way comes with the answer, and the view will show it.
    fn batch_refused(&mut self, batch: &Batch, txn: &TxnResponse, wishes: &mut Vec<Wish>) {
        let mut found = txn.responses.iter().map(revision_of);
        if found.next().flatten().map(|kv| kv.create_revision) != Some(self.fence) {
            return wishes.push(Wish::Fenced);
        }
        let mut why = Vec::new();
        for (write, kv) in batch.writes.iter().zip(found.by_ref()) {
            let revision = kv.map_or(0, |kv| kv.mod_revision);
            if revision == write.replaces {
                continue;
            }
            why.push(format!("the schedule of {} is another", write.machine.short()));
            if revision > 0 {
                self.await_revision = self.await_revision.max(revision);
            } else {
                self.await_gone.insert(write.machine.clone());
            }
        }
        for (machine, kv) in batch.absent().iter().zip(found) {
            if let Some(kv) = kv {
                why.push(format!("{} is back", machine.short()));
                self.await_revision = self.await_revision.max(kv.mod_revision);
            }
        }
        self.start_over(why.join(", "), wishes);
    }
}

/// The key that a look found.
fn revision_of(response: &OperationResponse) -> Option<&KeyValue> {
    match response {
        OperationResponse::Range(range) => range.kvs.first(),
        _ => None,
    }
}
