//! Driving units: one action a unit at a time, all units beside each other.
//!
//! Links, unlinks, and reloads are collected: while one such call is under way, what else comes up waits for the next,
//! which takes all of it. A lone unit therefore never waits, and a thousand cost a few calls.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fleet_registry::planted::{self, Fault};
use fleet_registry::record::{Assignment, ContentKey, ContentRecord, Target};
use fleet_registry::{Mono, Now};
use fleet_units::{Fence, UnitFile, UnitName};

use super::ending::Mode;
use super::membership::Fate;
use super::unit::{Running, Unit};
use super::{Agent, Local, Standing};
use crate::effect::{DiskEffect, Effect, Job, LinkUnit, Op, SystemdEffect};
use crate::note::Note;
use crate::reconcile::{self, Action, Stage};
use crate::report::Report;

/// The first pause after a failure that may pass; it doubles up to [`LONGEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest pause between two attempts.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// A text on its way from the store to the disk.
#[derive(Debug, Default)]
pub(super) struct Fetch {
    /// The text, once it is here.
    pub content: Option<Arc<ContentRecord>>,
    /// Who waits for it.
    pub waiting: BTreeSet<UnitName>,
}

/// What is being done with units.
#[derive(Debug, Default)]
pub(super) struct Work {
    next_op: Op,
    /// Units to look at.
    pub dirty: BTreeSet<UnitName>,
    /// The list that was asked for last.
    pub listing: Option<Op>,
    /// Units that wait to be linked, and the call under way.
    link_queue: BTreeMap<UnitName, bool>,
    pub linking: Option<Op>,
    unlink_queue: BTreeSet<UnitName>,
    pub unlinking: Option<Op>,
    reload_queue: BTreeSet<UnitName>,
    pub reloading: Option<(Op, BTreeSet<UnitName>)>,
    /// Short actions under way: a reload waits for them, so that it serves all.
    pub short: BTreeSet<UnitName>,
    pub fetches: BTreeMap<ContentKey, Fetch>,
    /// Texts to ask for when earlier ones have come.
    pub fetch_queue: VecDeque<ContentKey>,
    pub fetching: usize,
    /// Units that are tried again then.
    retries: BTreeSet<(Mono, UnitName)>,
}

impl Work {
    pub(super) fn op(&mut self) -> Op {
        self.next_op += 1;
        self.next_op
    }

    pub(super) fn wakeup(&self) -> Option<Mono> {
        self.retries.first().map(|(at, _)| *at)
    }

    pub(super) fn retry(&mut self, at: Mono, unit: &UnitName) {
        self.retries.insert((at, unit.clone()));
    }
}

impl Agent {
    pub(super) fn wake_units(&mut self, now: Now) {
        while let Some((at, _)) = self.work.retries.first() {
            if *at > now.mono {
                break;
            }
            if let Some((_, unit)) = self.work.retries.pop_first() {
                self.work.dirty.insert(unit);
            }
        }
    }

    /// Whether units may be brought closer to running: the newest schedule is known, and still ours. A process that was
    /// paused may hear of anything else before it hears that its lease is gone: the clock tells.
    fn may_build(&self, now: Now) -> bool {
        self.standing == Standing::Present
            && self.mode == Mode::Running
            && (now.mono < self.lease_until || planted::is(Fault::LeaseWithoutClock))
    }

    /// Begins whatever can be begun.
    pub(super) fn drive(&mut self, now: Now, out: &mut Vec<Effect>) {
        let idle = match self.mode {
            Mode::Running => self.schedule.is_none(),
            Mode::Leaving => false,
            Mode::Detaching | Mode::Ended => true,
        };
        if idle || !self.systemd || self.local != Local::Adopted {
            // Everything is looked at again when this changes.
            self.work.dirty.clear();
            return;
        }
        let mut waiting = BTreeSet::new();
        while let Some(name) = self.work.dirty.pop_first() {
            if planted::is(Fault::OneAtATime) && self.units.values().any(|unit| unit.running.is_some()) {
                waiting.insert(name);
                continue;
            }
            self.drive_unit(now, &name, out);
        }
        self.work.dirty = waiting;
        self.issue_batches(out);
    }

    fn drive_unit(&mut self, now: Now, name: &UnitName, out: &mut Vec<Effect>) {
        let may_build = self.may_build(now);
        let leaving = self.mode == Mode::Leaving;
        self.unfence(now, name);
        let Some(unit) = self.units.get_mut(name) else { return };
        let wanted = if leaving { None } else { unit.wanted.clone() };
        let mut aim = wanted.clone();
        if unit.held.is_some() && !unit.is_own(self.cluster.as_ref()) {
            match (unit.fate(wanted.as_ref()), &wanted) {
                (Fate::Stopped, _) => aim = None,
                (Fate::Adopted, Some(wanted)) if may_build => unit.adopt_as(wanted, self.cluster.clone()),
                (Fate::InTheWay, _) => return self.show_in_the_way(now, name, out),
                (Fate::Left | Fate::Adopted, _) => return,
            }
        }
        let Some(action) = reconcile::next(aim.as_ref(), unit.held.as_ref()) else {
            // What could not be noted need not be any more.
            unit.note_error.clear();
            if unit.held.is_none() && unit.wanted.is_none() && unit.running.is_none() {
                self.units.remove(name);
                out.push(Effect::Systemd(SystemdEffect::Unwatch(vec![name.clone()])));
            }
            self.publish_soon(name, now.mono);
            return;
        };
        // The old text runs until the new one is there to take its place.
        let replaced = wanted.as_ref().filter(|wanted| {
            let held = unit.held.as_ref().filter(|held| held.uid == wanted.uid && held.content != wanted.content);
            held.is_some_and(|held| matches!(held.stage, Stage::Launched | Stage::Loaded))
        });
        let fetched = |content| self.work.fetches.get(content).is_some_and(|fetch| fetch.content.is_some());
        if let Some(wanted) = replaced.filter(|wanted| !fetched(&wanted.content)) {
            let early = unit.retry_at.is_some_and(|at| at > now.mono);
            let content = wanted.content.clone();
            if may_build && !early {
                unit.retry_at = None;
                self.fetch(name, &content, out);
            }
            return;
        }
        if let Some(running) = &unit.running {
            let starting = matches!(running.action, Action::Start | Action::Restart);
            if !(starting && matches!(action, Action::Stop | Action::Retire | Action::Release)) {
                return;
            }
            // A start that takes long gives way to a stop; systemd cancels its job.
            unit.running = None;
        }
        let vain = action.builds() && unit.refused.is_some() && unit.refused == wanted;
        let early = unit.retry_at.is_some_and(|at| at > now.mono);
        if (action.builds() && !may_build) || vain || early {
            return;
        }
        if unit.fence.is_some() && matches!(action, Action::Start | Action::Restart) {
            if let Some(why) = self.fence.refusal() {
                let running = Running { op: None, action, aim: wanted };
                return self.fail(now, name, &running, why, true, out);
            }
            // It is looked at again once the fence stands.
            let Some(run) = self.fence.connection(now) else { return };
            unit.fence = Some(run.clone());
        }
        unit.retry_at = None;
        self.perform(now, name, action, aim, out);
    }

    fn perform(&mut self, now: Now, name: &UnitName, action: Action, aim: Option<Assignment>, out: &mut Vec<Effect>) {
        match action {
            Action::Write => {
                let Some(aim) = aim else { return };
                match self.work.fetches.get(&aim.content).and_then(|f| f.content.clone()) {
                    Some(content) => self.write(now, name, aim, content, out),
                    None => self.fetch(name, &aim.content, out),
                }
            }
            Action::Link => {
                let enable = self.units.get(name).is_some_and(|u| u.enable);
                self.begin_action(name, action, aim, None);
                self.work.link_queue.insert(name.clone(), enable);
            }
            Action::Unlink => {
                self.begin_action(name, action, aim, None);
                self.work.unlink_queue.insert(name.clone());
            }
            Action::Reload => {
                self.begin_action(name, action, aim, None);
                self.work.reload_queue.insert(name.clone());
            }
            Action::Start => self.job(name, action, Job::Start, aim, out),
            Action::Restart => self.job(name, action, Job::Restart, aim, out),
            Action::Stop | Action::Retire => self.job(name, action, Job::Stop, aim, out),
            Action::Remove => {
                let op = self.work.op();
                self.begin_action(name, action, aim, Some(op));
                let drop_ins = self.units.get(name).map(|u| u.drop_ins.clone()).unwrap_or_default();
                out.push(Effect::Disk(DiskEffect::RemoveUnit { op, unit: name.clone(), drop_ins }));
            }
            Action::Settle | Action::Intend | Action::Release => {
                let Some(cluster) = self.cluster.clone() else { return };
                let boot_id = self.config.facts.boot_id.clone();
                let note = self.units.get(name).and_then(|u| Some(u.note(u.held.as_ref()?, cluster, boot_id)));
                if let Some(mut note) = note {
                    note.starting |= action != Action::Settle;
                    if action == Action::Release {
                        note.reached = Some(Target::Loaded);
                    }
                    let op = self.work.op();
                    self.begin_action(name, action, aim, Some(op));
                    out.push(Effect::Disk(DiskEffect::WriteNote { op, unit: name.clone(), note }));
                }
                self.publish_soon(name, now.mono);
            }
        }
    }

    fn begin_action(&mut self, name: &UnitName, action: Action, aim: Option<Assignment>, op: Option<Op>) {
        if let Some(unit) = self.units.get_mut(name) {
            unit.running = Some(Running { op, action, aim });
        }
        if matches!(action, Action::Write | Action::Link | Action::Unlink | Action::Remove) {
            self.work.short.insert(name.clone());
        }
    }

    fn job(&mut self, name: &UnitName, action: Action, job: Job, aim: Option<Assignment>, out: &mut Vec<Effect>) {
        let op = self.work.op();
        self.begin_action(name, action, aim, Some(op));
        out.push(Effect::Log(Report::Unit { unit: name.clone(), what: format!("{job:?}").to_lowercase() }));
        out.push(Effect::Systemd(SystemdEffect::Job { op, unit: name.clone(), job }));
    }

    fn write(
        &mut self,
        now: Now,
        name: &UnitName,
        aim: Assignment,
        content: Arc<ContentRecord>,
        out: &mut Vec<Effect>,
    ) {
        let (content, fenced) = match fence_in(&content) {
            Ok(Some(fenced)) => (Arc::new(fenced), true),
            Ok(None) => (content, false),
            Err(why) => {
                self.unwait(name, &aim.content);
                let running = Running { op: None, action: Action::Write, aim: Some(aim) };
                return self.fail(now, name, &running, why, false, out);
            }
        };
        let (Some(cluster), op) = (self.cluster.clone(), self.work.op()) else { return };
        let mut note = Note::new(cluster.clone(), self.config.facts.boot_id.clone(), aim.uid, aim.content.clone());
        note.restarts = aim.restarts;
        note.starting = aim.target == Target::Launched;
        note.drop_ins = content.drop_ins.keys().cloned().collect();
        note.fence = fenced.then(String::new);
        if let Some(unit) = self.units.get_mut(name) {
            unit.drop_ins.clone_from(&note.drop_ins);
            unit.fence.clone_from(&note.fence);
            unit.cluster = Some(cluster);
            unit.enable = has_install_section(&content);
            unit.blind = super::proof::starts_blindly(name, &content);
            (unit.report, unit.reloaded) = (None, false);
        }
        self.unwait(name, &aim.content);
        self.begin_action(name, Action::Write, Some(aim), Some(op));
        out.push(Effect::Disk(DiskEffect::WriteUnit { op, unit: name.clone(), content, note }));
    }

    /// Sends the next batch of each kind that has none under way.
    pub(super) fn issue_batches(&mut self, out: &mut Vec<Effect>) {
        if self.work.linking.is_none() && !self.work.link_queue.is_empty() {
            let op = self.work.op();
            self.work.linking = Some(op);
            let queue = std::mem::take(&mut self.work.link_queue);
            self.set_op(queue.keys(), op);
            let units = queue.into_iter().map(|(unit, enable)| LinkUnit { unit, enable }).collect();
            out.push(Effect::Systemd(SystemdEffect::Link { op, units }));
        }
        if self.work.unlinking.is_none() && !self.work.unlink_queue.is_empty() {
            let op = self.work.op();
            self.work.unlinking = Some(op);
            let queue = std::mem::take(&mut self.work.unlink_queue);
            self.set_op(queue.iter(), op);
            out.push(Effect::Systemd(SystemdEffect::Unlink { op, units: queue.into_iter().collect() }));
        }
        let busy = self.work.reloading.is_some() || !self.work.short.is_empty();
        if !busy && !self.work.reload_queue.is_empty() {
            let op = self.work.op();
            let queue = std::mem::take(&mut self.work.reload_queue);
            self.set_op(queue.iter(), op);
            self.work.reloading = Some((op, queue));
            out.push(Effect::Systemd(SystemdEffect::Reload { op }));
        }
    }

    fn set_op<'a>(&mut self, names: impl Iterator<Item = &'a UnitName>, op: Op) {
        for name in names {
            if let Some(running) = self.units.get_mut(name).and_then(|u| u.running.as_mut()) {
                running.op = Some(op);
            }
        }
    }

    /// After a failure that may pass: when to try again.
    pub(super) fn retry_later(&mut self, now: Now, name: &UnitName) {
        let Some(unit) = self.units.get_mut(name) else { return };
        let pause = FIRST_RETRY.saturating_mul(1 << unit.failures.min(6)).min(LONGEST_RETRY);
        unit.failures += 1;
        let at = now.mono + self.jitter.between(pause * 3 / 4, pause);
        unit.retry_at = Some(at);
        self.work.retry(at, name);
    }

    /// Takes the action that `op` answers, if it is still what the unit waits for.
    pub(super) fn take_running(&mut self, name: &UnitName, op: Op) -> Option<Running> {
        let unit = self.units.get_mut(name)?;
        let running = unit.running.take_if(|r| r.op == Some(op))?;
        self.work.short.remove(name);
        self.work.dirty.insert(name.clone());
        Some(running)
    }

    /// An action succeeded.
    pub(super) fn succeed(&mut self, now: Now, name: &UnitName, running: Running, outcome: reconcile::Outcome) {
        let cluster = self.cluster.clone();
        let Some(unit) = self.units.get_mut(name) else { return };
        unit.held = reconcile::after(running.action, outcome, running.aim.as_ref(), unit.held.take());
        unit.condemned &= unit.held.is_some();
        (unit.failures, unit.retry_at) = (0, None);
        if !running.action.notes() {
            unit.error.clear();
        }
        unit.note_error.clear();
        match running.action {
            Action::Write => unit.refused = None,
            // What systemd made of the text before is no word on this one.
            Action::Link | Action::Reload => unit.report = None,
            _ => {}
        }
        self.settle_unlisted(name, cluster.as_ref());
        self.publish_soon(name, now.mono);
    }

    /// A unit that is gone, or is the one that is wanted, is no longer waited for.
    fn settle_unlisted(&mut self, name: &UnitName, cluster: Option<&fleet_registry::record::ClusterId>) {
        let Some(unit) = self.units.get_mut(name) else { return };
        let uid = unit.held.as_ref().map(|h| h.uid);
        if uid.is_none() || !unit.is_own(cluster) || unit.wanted.as_ref().map(|w| w.uid) == uid {
            unit.unlisted = false;
        }
    }

    /// An action failed; `passing` says whether it may work later by itself.
    pub(super) fn fail(
        &mut self,
        now: Now,
        name: &UnitName,
        running: &Running,
        why: String,
        passing: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(unit) = self.units.get_mut(name) else { return };
        let known = if running.action.notes() { &mut unit.note_error } else { &mut unit.error };
        if *known != why {
            out.push(Effect::Log(Report::UnitTrouble { unit: name.clone(), why: why.clone() }));
            *known = why;
        }
        if passing {
            self.retry_later(now, name);
        } else {
            unit.refused.clone_from(&running.aim);
        }
        self.publish_now(name, now.mono);
    }

    /// systemd does not know a unit that was linked a moment ago: its idea of the directories is out of date.
    pub(super) fn reload_first(&mut self, name: &UnitName) -> bool {
        let Some(unit) = self.units.get_mut(name) else { return false };
        if unit.reloaded {
            return false;
        }
        unit.reloaded = true;
        if let Some(held) = &mut unit.held {
            held.stage = Stage::Stale;
        }
        true
    }

    /// Asks systemd what it makes of a unit, because no job will tell.
    pub(super) fn look(&mut self, name: &UnitName, out: &mut Vec<Effect>) {
        let op = self.work.op();
        out.push(Effect::Systemd(SystemdEffect::List { op, units: vec![name.clone()] }));
    }

    pub(super) fn look_if_loaded(&mut self, name: &UnitName, running: &Running, out: &mut Vec<Effect>) {
        if running.aim.as_ref().is_some_and(|a| a.target == Target::Loaded) {
            self.look(name, out);
        }
    }
}

/// The text with the drop-in that fences it, if it asks for that.
fn fence_in(content: &ContentRecord) -> Result<Option<ContentRecord>, String> {
    let parse = |text: &String| UnitFile::parse(text).map_err(|error| error.to_string());
    let files = std::iter::once(&content.text).chain(content.drop_ins.values()).map(parse);
    let files: Vec<UnitFile> = files.collect::<Result<_, _>>()?;
    let Some(fence) = Fence::of(&files).map_err(|error| error.to_string())? else { return Ok(None) };
    let mut fenced = content.clone();
    fenced.drop_ins.insert(Fence::DROP_IN.to_owned(), fence.drop_in());
    Ok(Some(fenced))
}

fn has_install_section(content: &ContentRecord) -> bool {
    let has = |text: &str| UnitFile::parse(text).is_ok_and(|file| file.sections().any(|s| s == "Install"));
    has(&content.text) || content.drop_ins.values().any(|text| has(text))
}

impl Unit {
    /// Whether the disk is at work for it.
    pub(super) fn on_disk(&self) -> bool {
        let disk = |action: Action| action.notes() || matches!(action, Action::Write | Action::Remove);
        self.running.as_ref().is_some_and(|r| disk(r.action))
    }
}
