//! One connection's worth of work with systemd.

mod fence;
mod resync;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fleet_units::UnitName;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use resync::{Resync, Why};

use super::calls::Calls;
use super::lanes::{Go, Lanes};
use super::signals::Signal;
use super::{End, refuse};
use crate::effect::{Event, FenceReport, Job, Op, SystemdEffect, SystemdError, SystemdEvent, UnitReport};
use crate::reconcile::Residue;

/// Calls under way at once: a message bus limits how many answers one connection may wait for.
const CALLS: usize = 64;
/// Jobs that ended before the answer to their call arrived are remembered, this many.
const EARLY_JOBS: usize = 8192;
/// Units whose details are read at once.
const INSPECTIONS: usize = 8;
/// How often what is known is compared with what systemd says, in case a signal was lost.
const RESYNC: Duration = Duration::from_secs(300);
/// Details that signals don't carry are read once nothing else has happened for this long...
const QUIET: Duration = Duration::from_millis(500);
/// ...but not later than this, where something always happens.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a call under way has come to.
enum Done {
    Listed(Op, Asked, Result<BTreeMap<UnitName, UnitReport>, SystemdError>),
    Linked(Op, BTreeMap<UnitName, Result<bool, SystemdError>>),
    Unlinked(Op, BTreeMap<UnitName, Result<Residue, SystemdError>>),
    Reloaded(Op, Result<(), SystemdError>),
    /// A job of this unit was queued, under this path.
    Asked(Op, UnitName, Result<String, SystemdError>),
    /// One of the fence's was.
    Queued(Op, Result<String, SystemdError>),
    /// States of watched units and jobs under way, read because signals may have been missed.
    Resynced(Box<Resync>),
    Inspected(UnitName, Asked, UnitReport),
    Fence(Op, Result<FenceReport, SystemdError>),
}

/// How many signals had been taken in when systemd was asked: what a later one says is newer than the answer.
type Asked = u64;

/// One connection's worth of work with systemd.
pub(super) struct Session<'a> {
    calls: Calls,
    permits: Arc<Semaphore>,
    watched: &'a mut BTreeSet<UnitName>,
    events: &'a UnboundedSender<Event>,
    done: UnboundedSender<Done>,
    done_rx: Option<UnboundedReceiver<Done>>,
    /// Effects that are not answered yet.
    open: BTreeMap<Op, SystemdEffect>,
    /// Jobs asked for, and those that wait to be.
    lanes: Lanes,
    /// Units whose job was asked for and whose call is not answered yet, with what was asked for meanwhile: calls that are
    /// under way at once may arrive in any order.
    asking: BTreeMap<UnitName, VecDeque<Go>>,
    /// Jobs under way, by path; systemd merges one into another of the same unit where it can.
    jobs: HashMap<String, Vec<Op>>,
    /// Jobs that ended before their path was known.
    early: HashMap<String, String>,
    early_order: VecDeque<String>,
    reports: BTreeMap<UnitName, UnitReport>,
    /// Signals taken in so far, and which was the last of each unit.
    signals: Asked,
    last_signal: BTreeMap<UnitName, Asked>,
    /// Units whose details are to be read.
    details: BTreeSet<UnitName>,
    inspecting: usize,
    /// Whether systemd may wake the machine for a timer; found out by trying.
    wakes: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(calls: Calls, watched: &'a mut BTreeSet<UnitName>, events: &'a UnboundedSender<Event>) -> Self {
        let (done, done_rx) = mpsc::unbounded_channel();
        Self {
            calls,
            permits: Arc::new(Semaphore::new(CALLS)),
            watched,
            events,
            done,
            done_rx: Some(done_rx),
            open: BTreeMap::new(),
            lanes: Lanes::default(),
            asking: BTreeMap::new(),
            jobs: HashMap::new(),
            early: HashMap::new(),
            early_order: VecDeque::new(),
            reports: BTreeMap::new(),
            signals: 0,
            last_signal: BTreeMap::new(),
            details: BTreeSet::new(),
            inspecting: 0,
            wakes: true,
        }
    }

    /// Works until the connection breaks or the agent is gone.
    pub(super) async fn run(
        &mut self,
        effects: &mut UnboundedReceiver<SystemdEffect>,
        mut signals: UnboundedReceiver<Signal>,
    ) -> End {
        let Some(mut done) = self.done_rx.take() else { return End::Owner };
        let quiet = tokio::time::sleep(QUIET);
        tokio::pin!(quiet);
        let routine = tokio::time::sleep(RESYNC);
        tokio::pin!(routine);
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        let why = loop {
            if self.details.is_empty() {
                patience.set(tokio::time::sleep(PATIENCE));
            }
            let wanted = self.inspecting == 0 && !self.details.is_empty();
            // A job may take as long as it likes: a start or a stop that hangs keeps nothing else from being known.
            let idle = wanted && self.open.values().all(|effect| matches!(effect, SystemdEffect::Job { .. }));
            tokio::select! {
                effect = effects.recv() => match effect {
                    Some(effect) => self.perform(effect),
                    None => return End::Owner,
                },
                Some(done) = done.recv() => self.on_done(done),
                signal = signals.recv() => {
                    let mut next = signal;
                    let mut changed = BTreeSet::new();
                    let ended = loop {
                        match next {
                            Some(Signal::Ended) | None => break true,
                            Some(signal) => self.on_signal(signal, &mut changed),
                        }
                        // What is there already is taken together: a change comes as several signals.
                        match signals.try_recv() {
                            Ok(signal) => next = Some(signal),
                            Err(_) => break false,
                        }
                    };
                    self.report(changed);
                    if ended {
                        break "the connection has ended".to_owned();
                    }
                }
                () = &mut routine => {
                    self.resync(Why::Routine);
                    routine.set(tokio::time::sleep(RESYNC));
                    continue;
                }
                () = &mut patience, if wanted => {
                    self.inspect();
                    patience.set(tokio::time::sleep(PATIENCE));
                    continue;
                }
                () = &mut quiet, if idle => {
                    self.inspect();
                    continue;
                }
            }
            quiet.set(tokio::time::sleep(QUIET));
        };
        for effect in std::mem::take(&mut self.open).into_values() {
            refuse(effect, &why, self.watched, self.events);
        }
        End::Broken(why)
    }

    fn send(&self, event: SystemdEvent) {
        // When the agent is gone, the effects end too, and with them this session.
        let _ = self.events.send(Event::Systemd(event));
    }

    /// Makes calls on a task of their own.
    fn spawn<F>(&self, work: impl FnOnce(Calls) -> F)
    where
        F: Future<Output = Done> + Send + 'static,
    {
        let (work, done, permits) = (work(self.calls.clone()), self.done.clone(), Arc::clone(&self.permits));
        tokio::spawn(async move {
            let _permit = permits.acquire_owned().await;
            // The session may have ended meanwhile: then everything was answered already.
            let _ = done.send(work.await);
        });
    }

    fn perform(&mut self, effect: SystemdEffect) {
        match &effect {
            SystemdEffect::Watch(units) => self.watched.extend(units.iter().cloned()),
            SystemdEffect::Unwatch(units) => {
                for unit in units {
                    self.watched.remove(unit);
                    self.reports.remove(unit);
                    self.last_signal.remove(unit);
                    self.details.remove(unit);
                }
            }
            SystemdEffect::List { op, units } => {
                let (op, units, asked) = (*op, units.clone(), self.signals);
                self.spawn(|calls| async move { Done::Listed(op, asked, calls.list(&units).await) });
                self.open.insert(op, effect);
            }
            SystemdEffect::Link { op, units } => {
                let (op, units) = (*op, units.clone());
                self.spawn(|calls| async move { Done::Linked(op, calls.link(&units).await) });
                self.open.insert(op, effect);
            }
            SystemdEffect::Unlink { op, units } => {
                let (op, units) = (*op, units.clone());
                self.spawn(|calls| async move { Done::Unlinked(op, calls.unlink(&units).await) });
                self.open.insert(op, effect);
            }
            SystemdEffect::Reload { op } => {
                let op = *op;
                self.spawn(|calls| async move { Done::Reloaded(op, calls.reload().await) });
                self.open.insert(op, effect);
            }
            SystemdEffect::Job { op, unit, job } => {
                let superseded = self.lanes.supersede(unit);
                let go = self.lanes.enter(Go { op: *op, unit: unit.clone(), job: *job });
                self.open.insert(*op, effect);
                self.ask_for(go);
                if let Some(op) = superseded {
                    self.job_ended(op, "canceled");
                }
            }
            SystemdEffect::Fence { op, act } => {
                self.ask_for_fence(*op, act.clone());
                self.open.insert(*op, effect);
            }
        }
    }

    /// Asks for a job for which there is room.
    fn ask_for(&mut self, go: Option<Go>) {
        let Some(go) = go else { return };
        match self.asking.get_mut(&go.unit) {
            Some(behind) => behind.push_back(go),
            None => {
                self.asking.insert(go.unit.clone(), VecDeque::new());
                self.call(go);
            }
        }
    }

    fn call(&self, Go { op, unit, job }: Go) {
        // Whoever asks for a start of what has failed wants it tried, whatever limit of starts it has hit.
        let failed = self.reports.get(&unit).is_some_and(|report| report.active == "failed");
        self.spawn(move |calls| async move {
            if failed && job != Job::Stop {
                calls.reset_failed(&unit).await;
            }
            let result = calls.job(&unit, job).await;
            Done::Asked(op, unit, result)
        });
    }

    /// Whether calls are unanswered that queue a job.
    fn expects_paths(&self) -> bool {
        !self.asking.is_empty() || self.open.values().any(|effect| matches!(effect, SystemdEffect::Fence { .. }))
    }

    /// The call for a unit's job was answered: the next one may be made.
    fn asked(&mut self, unit: &UnitName) {
        match self.asking.get_mut(unit).and_then(VecDeque::pop_front) {
            Some(next) => self.call(next),
            None => _ = self.asking.remove(unit),
        }
        if !self.expects_paths() {
            self.early.clear();
            self.early_order.clear();
        }
    }

    /// A job is done with: which it was. The next one has its room.
    fn close_job(&mut self, op: Op) -> Option<(UnitName, Job)> {
        let Some(SystemdEffect::Job { unit, job, .. }) = self.open.remove(&op) else { return None };
        let next = self.lanes.leave(op);
        self.ask_for(next);
        Some((unit, job))
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Listed(op, asked, result) => {
                self.open.remove(&op);
                if let Ok(reports) = &result {
                    for (unit, listed) in reports {
                        self.take_listed(unit, asked, listed);
                        // In full when there is time.
                        self.details.insert(unit.clone());
                    }
                }
                self.send(SystemdEvent::Listed { op, result });
                self.inspect();
            }
            Done::Linked(op, units) => {
                self.open.remove(&op);
                self.send(SystemdEvent::Linked { op, units });
            }
            Done::Unlinked(op, units) => {
                self.open.remove(&op);
                self.send(SystemdEvent::Unlinked { op, units });
            }
            Done::Reloaded(op, result) => {
                self.open.remove(&op);
                self.send(SystemdEvent::Reloaded { op, result });
            }
            Done::Asked(op, unit, Ok(path)) => {
                self.queued(op, path);
                self.asked(&unit);
            }
            Done::Queued(op, Ok(path)) => self.queued(op, path),
            Done::Queued(op, Err(error)) => self.fence_done(op, Err(error)),
            Done::Fence(op, result) => self.fence_done(op, result),
            Done::Asked(op, unit, Err(error)) => {
                self.asked(&unit);
                if let Some((unit, _)) = self.close_job(op) {
                    let report = self.reports.get(&unit).cloned();
                    self.send(SystemdEvent::JobDone { op, unit, result: Err(error), report });
                }
            }
            Done::Resynced(resync) => self.on_resynced(*resync),
            Done::Inspected(unit, asked, inspected) => {
                self.inspecting -= 1;
                if self.watched.contains(&unit) {
                    let newer = self.is_newer(&unit, asked);
                    let report = self.reports.entry(unit.clone()).or_default();
                    match newer {
                        // Signals carry everything but this.
                        true => report.stop_bound_ms = inspected.stop_bound_ms,
                        false => *report = inspected,
                    }
                    let report = report.clone();
                    self.send(SystemdEvent::Changed { unit, report });
                }
                self.inspect();
            }
        }
    }

    /// A job is known by its path from now on, unless it has ended already.
    fn queued(&mut self, op: Op, path: String) {
        match self.early.get(&path).cloned() {
            Some(result) => self.job_ended(op, &result),
            None => self.jobs.entry(path).or_default().push(op),
        }
    }

    /// Whether a signal of the unit was taken in since systemd was asked.
    fn is_newer(&self, unit: &UnitName, asked: Asked) -> bool {
        self.last_signal.get(unit).is_some_and(|last| *last > asked)
    }

    /// Takes a listed state into a unit's report; whether it differs.
    fn take_listed(&mut self, unit: &UnitName, asked: Asked, listed: &UnitReport) -> bool {
        let newer = self.is_newer(unit, asked);
        let report = self.reports.entry(unit.clone()).or_default();
        let same = (&report.load, &report.active, &report.sub) == (&listed.load, &listed.active, &listed.sub);
        // Signals never carry this.
        report.load.clone_from(&listed.load);
        if newer {
            return false;
        }
        report.active.clone_from(&listed.active);
        report.sub.clone_from(&listed.sub);
        !same
    }

    fn on_signal(&mut self, signal: Signal, changed: &mut BTreeSet<UnitName>) {
        match signal {
            Signal::Unit { unit, change } if self.watched.contains(&unit) => {
                let complete = change.complete;
                self.signals += 1;
                self.last_signal.insert(unit.clone(), self.signals);
                change.apply(self.reports.entry(unit.clone()).or_default());
                if complete {
                    changed.insert(unit);
                }
            }
            Signal::Unit { .. } => {}
            Signal::JobRemoved { job, result } => {
                for op in self.jobs.remove(&job).unwrap_or_default() {
                    self.job_ended(op, &result);
                }
                // One that was merged into it may not know yet that it was.
                self.remember_early(job, result);
            }
            Signal::Reloaded => self.resync(Why::Reloaded),
            Signal::Ended => {}
        }
    }

    fn remember_early(&mut self, job: String, result: String) {
        // Only jobs of this agent matter, and only while one of its calls is unanswered.
        if !self.expects_paths() {
            return;
        }
        self.early_order.push_back(job.clone());
        self.early.insert(job, result);
        if self.early_order.len() > EARLY_JOBS
            && let Some(oldest) = self.early_order.pop_front()
        {
            self.early.remove(&oldest);
        }
    }

    fn job_ended(&mut self, op: Op, result: &str) {
        if self.is_fence(op) {
            return self.fence_job_ended(op, result);
        }
        let Some((unit, job)) = self.close_job(op) else { return };
        if job != Job::Stop {
            self.details.insert(unit.clone());
            // What was started is loaded, whatever was wrong with a text that it had before.
            if let Some(report) = self.reports.get_mut(&unit).filter(|r| result == "done" && r.load != "merged") {
                report.load = "loaded".into();
            }
        }
        let report = self.reports.get(&unit).cloned();
        let result = match result {
            "done" => Ok(()),
            "skipped" => Err(SystemdError::Refused("a condition of the unit was not met".into())),
            other => {
                let why = report.as_ref().map(|r| r.result.as_str()).filter(|r| !r.is_empty() && *r != "success");
                let why = why.map(|w| format!(" ({w})")).unwrap_or_default();
                Err(SystemdError::Refused(format!("its job ended with \"{other}\"{why}")))
            }
        };
        self.send(SystemdEvent::JobDone { op, unit, result, report });
    }

    fn report(&self, changed: BTreeSet<UnitName>) {
        for unit in changed {
            if let Some(report) = self.reports.get(&unit).cloned() {
                self.send(SystemdEvent::Changed { unit, report });
            }
        }
    }

    /// Reads the details of some units at once.
    fn inspect(&mut self) {
        while self.inspecting < INSPECTIONS
            && let Some(unit) = self.details.pop_first()
        {
            if !self.watched.contains(&unit) {
                continue;
            }
            self.inspecting += 1;
            let (asked, report) = (self.signals, self.reports.get(&unit).cloned().unwrap_or_default());
            self.spawn(|calls| async move {
                let report = calls.inspect(&unit, report).await;
                Done::Inspected(unit, asked, report)
            });
        }
    }
}
