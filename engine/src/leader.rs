//! What a leader does: keeps the cluster's facts, decides, and writes what it decided.
//!
//! It writes only on top of what it knows: a compare that fails, or an outcome that is unknown, makes it drop what it
//! had in mind, find out, and decide again from the records.

mod answers;
mod changes;
pub(crate) mod facts;
mod failures;
mod fences;
mod ghosts;
pub(crate) mod knowledge;
mod notes;
mod outlook;
mod retention;
mod starts;
mod sweeper;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fleet_registry::planted::{self, Fault};
use fleet_registry::record::{BrakeRecord, FORMAT, Record, ScheduleRecord};
use fleet_registry::store::{Compare, DeleteRequest, Operation, PutRequest, Request, TxnRequest};
use fleet_registry::{Key, Mono, Now, View};
use fleet_units::{MachineId, UnitName};

use crate::absence::Absence;
use crate::placement::{Cluster, MachineFacts, MachinePlan};
use crate::report::Report;
use facts::Digests;
use failures::Failures;
use notes::Notes;
pub use outlook::{Outlook, Texts, Touched, Wanted};
use retention::Retention;
use sweeper::Sweeper;
use write::{Batch, Write, Writer};

/// After a write that failed, so that a store in trouble is not made busier.
const PAUSE: Duration = Duration::from_millis(100);

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
    record: Arc<ScheduleRecord>,
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
    passes: u64,
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
            passes: 0,
        }
    }

    /// The last name given to a call.
    pub(crate) fn names(&self) -> u64 {
        self.names
    }

    /// How often it has decided about what changed.
    pub(crate) fn passes(&self) -> u64 {
        self.passes
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
                self.stored
                    .insert(id.clone(), Stored { record: Arc::clone(&found.value), revision: found.mod_revision });
            }
        }
        let known: Vec<MachineFacts> =
            knowledge::machines(view).iter().map(|id| self.machine_facts(ground, id)).collect();
        let machines = known.len();
        let mut cluster = knowledge::cluster(view, ground.digests, known, &self.stored, self.fence);
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
        let mut told = Vec::new();
        self.decide(ground, &mut told);
        let Some(cluster) = &mut self.cluster else { return };
        let plans = cluster.take_plan().into_iter();
        // What cannot be read is left alone.
        let plans = plans.filter(|plan| !ground.view.is_unreadable(|| Key::Schedule(plan.id.clone())));
        let plans: Vec<MachinePlan> = plans.collect();
        let writes = plans.into_iter().filter_map(|plan| self.plan_write(ground, plan)).collect();
        self.writer.enqueue(writes);
        self.send(ground, wishes);
        // People are told while the registry is at work.
        wishes.append(&mut told);
        self.write_notes(ground, wishes);
        if self.writer.is_busy() {
            // What can wait does, until the schedules are written.
            self.awaits_registry = true;
            return;
        }
        let schedules = self.stored.values().map(|stored| &*stored.record);
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
        self.passes += u64::from(cluster.is_dirty());
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
            let (Some(unit), Some(said)) = (ground.view.units.get(&name), cluster.said(&name)) else { continue };
            if let Some(reason) = remark.as_ref().and_then(|remark| remark.reason.clone()) {
                wishes.push(Wish::Tell(Report::Failed { unit: name.clone(), what: reason }));
            }
            self.notes.say(ground.now, &name, unit.create_revision, said, 0, remark);
        }
    }

    /// The write that makes the registry say what is planned; none if it does already.
    fn plan_write(&mut self, ground: Ground<'_>, mut plan: MachinePlan) -> Option<Write> {
        let stored = self.stored.get(&plan.id);
        let (replaces, old) = stored.map_or((0, None), |stored| (stored.revision, Some(&*stored.record)));
        let machine = ground.view.machines.get(&plan.id);
        let seen = machine.map_or(0, |machine| machine.value.schedule_seen);
        let acknowledged = ground.view.applied.get(&plan.id).map_or(0, |applied| applied.value.generation);
        let written = old.map_or(0, |old| old.generation);
        let units = knowledge::units(ground.view, &mut plan, old);
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
        Some(Write { absent, takes_from_lost: plan.lost, ..Write::new(plan.id, record, replaces) })
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
}
