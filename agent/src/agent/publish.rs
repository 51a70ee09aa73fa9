//! Observed states and acknowledgements on their way to the store.
//!
//! Changes are collected for a few milliseconds and written in batches, one batch at a time. A unit that flaps may
//! write a few times at once and then twice a second; its last state is always written in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_registry::planted::{self, Fault};
use fleet_registry::record::{AppliedRecord, Extra, FORMAT, Record, StateRecord, Target};
use fleet_registry::store::{DeleteRequest, Operation, PutRequest, Response, StoreError};
use fleet_registry::{Key, Layout, Mono, Now};
use fleet_units::{MachineId, UnitName};

use super::Agent;
use super::ending::Mode;
use super::progress::Progress;
use super::store::Purpose;
use super::unit::Unit;
use super::write::Fenced;
use crate::effect::Effect;
use crate::reconcile::Action;
use crate::report::Report;

/// How long changes are collected.
const COLLECT: Duration = Duration::from_millis(5);
/// How long an acknowledgement that nobody waits for may wait for a state to go along with.
const LEISURE: Duration = Duration::from_millis(100);
/// At most this many operations a transaction: etcd takes 128, compares included.
const BATCH: usize = 100;
/// A unit that keeps changing writes this often...
const INTERVAL: Duration = Duration::from_millis(500);
/// ...after this many writes at once.
const BURST: u32 = 5;

/// What a unit's state in the store should be.
#[derive(Debug, Clone, PartialEq)]
enum Wanted {
    /// Not known yet: what is written stays.
    Unknown,
    /// This.
    Record(Box<StateRecord>),
    /// None.
    Nothing,
}

/// Observed states and acknowledgements on their way to the store.
#[derive(Debug)]
pub(super) struct Publisher {
    machine: MachineId,
    layout: Layout,
    /// What the store holds; `None` where it holds something that cannot be read, or that may not be what was last
    /// sent.
    written: BTreeMap<UnitName, Option<StateRecord>>,
    /// Units to look at, with the time from which on.
    due: BTreeMap<UnitName, Mono>,
    /// For units that wrote lately: when their allowance is whole again.
    spent: BTreeMap<UnitName, Mono>,
    /// Units that were just started, and until when nothing is written of them.
    held: BTreeMap<UnitName, Mono>,
    /// What is under way.
    in_flight: Option<Batch>,
    /// Nothing is sent before then.
    pause: Option<Mono>,
    /// The acknowledgement in the store, and the one to write.
    applied: Option<Progress>,
    applied_wanted: Option<(Progress, Mono)>,
}

#[derive(Debug)]
struct Batch {
    states: BTreeMap<UnitName, Option<StateRecord>>,
    applied: Option<Progress>,
}

impl Publisher {
    pub(super) fn new(machine: MachineId, layout: Layout) -> Self {
        Self {
            machine,
            layout,
            written: BTreeMap::new(),
            due: BTreeMap::new(),
            spent: BTreeMap::new(),
            held: BTreeMap::new(),
            in_flight: None,
            pause: None,
            applied: None,
            applied_wanted: None,
        }
    }

    /// The store's own view of what this machine wrote.
    pub(super) fn load(&mut self, applied: Option<AppliedRecord>, states: BTreeMap<UnitName, Option<StateRecord>>) {
        self.applied = applied.map(|a| Progress { generation: a.generation, stopping: a.stopping });
        self.applied_wanted = None;
        self.written = states;
        (self.in_flight, self.pause) = (None, None);
    }

    /// Units that have a state in the store.
    pub(super) fn written(&self) -> impl Iterator<Item = &UnitName> {
        self.written.keys()
    }

    /// What was under way may or may not have been written.
    pub(super) fn lost(&mut self) {
        if let Some(batch) = self.in_flight.take() {
            for name in batch.states.into_keys() {
                self.due.insert(name.clone(), Mono::ZERO);
                self.written.insert(name, None);
            }
        }
        self.pause = None;
    }

    /// Whether anything is under way.
    pub(super) fn is_writing(&self) -> bool {
        self.in_flight.is_some()
    }

    /// None of it was written: it is to be tried again.
    fn take_back(&mut self, batch: Batch, now: Mono) {
        if let Some(progress) = batch.applied {
            // Something newer may have come up meanwhile.
            self.applied_wanted.get_or_insert((progress, now));
        }
        for name in batch.states.into_keys() {
            self.touch(&name, now);
        }
    }

    /// A unit's state may have changed: it is written from `at` on.
    pub(super) fn touch(&mut self, unit: &UnitName, at: Mono) {
        let due = self.due.entry(unit.clone()).or_insert(at);
        *due = (*due).min(at);
    }

    /// This is to be acknowledged; in a moment, if more is about to follow, and with the next state that is written, if
    /// one is soon and nobody waits for it.
    pub(super) fn acknowledge(&mut self, progress: Progress, now: Mono, is_awaited: bool) {
        let at = match progress.stopping.is_empty() {
            true if is_awaited => now,
            true => now + LEISURE,
            false => now + COLLECT,
        };
        let since = self.applied_wanted.as_ref().map_or(at, |(_, since)| at.min(*since));
        self.applied_wanted = Some((progress, since));
    }

    /// This was acknowledged.
    pub(super) fn acknowledged(&mut self, progress: Progress) {
        self.applied = Some(progress);
        self.applied_wanted = None;
    }

    /// What was to be acknowledged is acknowledged in another way.
    pub(super) fn withdraw(&mut self) {
        self.applied_wanted = None;
    }

    /// Whether an acknowledgement is under way.
    pub(super) fn is_acknowledging(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|batch| batch.applied.is_some())
    }

    /// The last word: what is acknowledged, or is about to be.
    pub(super) fn said(&self) -> Option<&Progress> {
        let wanted = self.applied_wanted.as_ref().map(|(progress, _)| progress);
        let in_flight = || self.in_flight.as_ref().and_then(|batch| batch.applied.as_ref());
        wanted.or_else(in_flight).or(self.applied.as_ref())
    }

    /// Whether nothing is to be written.
    pub(super) fn idle(&self) -> bool {
        self.due.is_empty() && self.in_flight.is_none() && self.applied_wanted.is_none()
    }

    /// When something is to be written.
    pub(super) fn due(&self) -> Option<Mono> {
        if self.in_flight.is_some() {
            return None;
        }
        let due = self.due.iter().map(|(unit, at)| self.allowed(unit).max(*at)).min();
        let at = due.into_iter().chain(self.applied_wanted.as_ref().map(|(_, at)| *at)).min()?;
        Some(self.pause.map_or(at, |pause| pause.max(at)))
    }

    /// When this unit may write again.
    fn allowed(&self, unit: &UnitName) -> Mono {
        let spent = self.spent.get(unit).map_or(Mono::ZERO, |whole| whole.saturating_sub(INTERVAL * (BURST - 1)));
        self.held.get(unit).map_or(spent, |until| spent.max(*until))
    }

    /// Nothing is written of a unit until then; a hold that it has already stays as it is.
    pub(super) fn hold(&mut self, unit: &UnitName, until: Mono) {
        self.held.entry(unit.clone()).or_insert(until);
    }

    /// There is something to say of it after all.
    pub(super) fn release(&mut self, unit: &UnitName) {
        self.held.remove(unit);
    }

    fn spend(&mut self, unit: &UnitName, now: Mono) {
        let whole = self.spent.entry(unit.clone()).or_insert(now);
        *whole = (*whole).max(now) + INTERVAL;
    }

    /// The operation that makes the store hold `wanted`, if it does not already.
    fn operation(&self, unit: &UnitName, wanted: &Option<StateRecord>) -> Option<Operation> {
        let key = self.layout.encode(&Key::State(self.machine.clone(), unit.clone()));
        match (wanted, self.written.get(unit)) {
            (None, None) => None,
            (None, Some(_)) => Some(Operation::Delete(DeleteRequest { key, ..DeleteRequest::default() })),
            (Some(record), Some(Some(known))) if record == known => None,
            (Some(record), _) => Some(Operation::Put(PutRequest::new(key, record.encode()))),
        }
    }
}

impl Agent {
    /// A unit changed: its state is written in a moment, with what else changes until then.
    pub(super) fn publish_soon(&mut self, unit: &UnitName, now: Mono) {
        self.publisher.touch(unit, now + COLLECT);
    }

    /// A unit came to the end of a step that people wait for.
    pub(super) fn publish_now(&mut self, unit: &UnitName, now: Mono) {
        self.publisher.touch(unit, now);
    }

    /// Writes what is due.
    pub(super) fn flush(&mut self, now: Now, out: &mut Vec<Effect>) {
        if !self.standing.registered() || self.in_doubt || self.publisher.due().is_none_or(|at| at > now.mono) {
            return;
        }
        // What is due in this very moment's collection goes along.
        let horizon = now.mono + COLLECT;
        let due =
            self.publisher.due.iter().filter(|(unit, at)| **at <= horizon && self.publisher.allowed(unit) <= now.mono);
        let names: Vec<UnitName> = due.map(|(unit, _)| unit.clone()).collect();
        let mut batch = Batch { states: BTreeMap::new(), applied: None };
        let mut operations = Vec::new();
        for name in names {
            if operations.len() == BATCH {
                break;
            }
            self.publisher.due.remove(&name);
            let wanted = match self.state_of(&name) {
                Wanted::Unknown => continue,
                Wanted::Nothing => None,
                Wanted::Record(record) => Some(*record),
            };
            if let Some(operation) = self.publisher.operation(&name, &wanted) {
                self.publisher.spend(&name, now.mono);
                operations.push(operation);
                batch.states.insert(name, wanted);
            }
        }
        if let Some((progress, _)) = self.publisher.applied_wanted.take() {
            operations.push(self.applied_record(&progress));
            batch.applied = Some(progress);
        }
        self.publisher.spent.retain(|_, whole| *whole > now.mono);
        self.publisher.held.retain(|_, until| *until > now.mono);
        if operations.is_empty() {
            return;
        }
        self.publisher.in_flight = Some(batch);
        self.transact(Purpose::Publish, self.fenced(operations), out);
    }

    pub(super) fn on_published(&mut self, now: Now, result: Result<Response, StoreError>, out: &mut Vec<Effect>) {
        let Some(batch) = self.publisher.in_flight.take() else { return };
        match self.fenced_outcome(result) {
            Fenced::Written { .. } => {
                for (name, state) in batch.states {
                    if planted::is(Fault::StaleStates) {
                        self.publisher.due.remove(&name);
                    }
                    match state {
                        Some(record) => _ = self.publisher.written.insert(name, Some(record)),
                        None => _ = self.publisher.written.remove(&name),
                    }
                }
                if batch.applied.is_some() {
                    self.publisher.applied = batch.applied;
                }
            }
            Fenced::Overtaken => self.publisher.take_back(batch, now.mono),
            Fenced::Gone => self.unregistered(now, "it is not there any more", out),
            Fenced::Failed(error) if error.outcome_unknown() => return self.doubt(now, &error, out),
            Fenced::Failed(error) => {
                self.say(Report::StoreTrouble { why: error.message }, out);
                self.publisher.take_back(batch, now.mono);
                let pause = self.jitter.between(self.config.ttl / 8, self.config.ttl / 6);
                self.publisher.pause = Some(now.mono + pause);
                return;
            }
        }
        self.publisher.pause = None;
        self.trouble = None;
    }

    /// What the store should hold of a unit's state.
    fn state_of(&self, name: &UnitName) -> Wanted {
        let Some(unit) = self.units.get(name) else { return Wanted::Nothing };
        let (uid, content, restarts) = match (&unit.held, &unit.wanted) {
            (Some(held), _) => (held.uid, held.content.clone(), held.restarts),
            // It cannot be written or fetched: there is nothing of it but what went wrong.
            (None, Some(wanted)) if !unit.trouble().is_empty() => (wanted.uid, wanted.content.clone(), 0),
            (None, Some(_)) if self.mode == Mode::Running => return Wanted::Unknown,
            (None, _) => return Wanted::Nothing,
        };
        let mut record = StateRecord {
            v: FORMAT,
            uid,
            content,
            restarts,
            reached: reached(unit),
            load: "not-found".into(),
            active: "inactive".into(),
            sub: "dead".into(),
            result: String::new(),
            since: 0,
            n_restarts: 0,
            main_pid: 0,
            stop_bound_ms: None,
            error: unit.trouble().to_owned(),
            extra: Extra::new(),
        };
        match &unit.report {
            Some(report) => {
                record.load.clone_from(&report.load);
                record.active.clone_from(&report.active);
                record.sub.clone_from(&report.sub);
                record.result.clone_from(&report.result);
                record.since = report.since;
                record.n_restarts = report.n_restarts;
                record.main_pid = report.main_pid;
                record.stop_bound_ms = report.stop_bound_ms;
            }
            None if unit.trouble().is_empty() => return Wanted::Unknown,
            None => {}
        }
        // Before it is linked, systemd may speak of an older text.
        let linked = record.reached.is_some();
        if record.error.is_empty() && linked && !matches!(record.load.as_str(), "loaded" | "merged" | "stub") {
            record.error = format!("systemd does not load it: {}", record.load);
        }
        if unit.held.is_some() && !unit.is_own(self.cluster.as_ref()) {
            record.extra.insert("orphan".into(), true.into());
        }
        Wanted::Record(Box::new(record))
    }
}

/// How far fleet got with a unit; a start that was asked for counts from then on.
fn reached(unit: &Unit) -> Option<Target> {
    match &unit.running {
        Some(running) if matches!(running.action, Action::Start | Action::Restart) => Some(Target::Launched),
        _ => unit.held.as_ref()?.reached(),
    }
}
