//! The machine's schedule: reading and watching it, and acknowledging what it took away.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_registry::planted::{self, Fault};
use fleet_registry::record::{AppliedRecord, FORMAT, Record, ScheduleRecord, StateRecord};
use fleet_registry::store::{
    Event as StoreChange, EventKind, KeyValue, Operation, PutRequest, RangeRequest, Response, StoreError, TxnRequest,
    WatchRequest,
};
use fleet_registry::{Key, Now};
use fleet_units::UnitName;

use super::progress::Progress;
use super::standing::Standing;
use super::store::{CatchingUp, Purpose, Watched, range, txn};
use super::write::Fenced;
use super::{Agent, Local, Mode};
use crate::effect::{DiskEffect, Effect, Memory, SystemdEffect};
use crate::report::Report;

/// How long a machine that catches up waits for what it stops, before it says what still stops and takes new units.
const PATIENCE: Duration = Duration::from_secs(1);

impl Agent {
    /// Reads the schedule, linearizable, and at the same revision what this machine wrote before.
    pub(super) fn read(&mut self, out: &mut Vec<Effect>) {
        self.reread_at = None;
        // What is under way may take effect after this.
        self.in_doubt |= self.publisher.is_writing();
        let (layout, id) = (&self.config.layout, &self.config.facts.id);
        let mut success = vec![
            Operation::Range(RangeRequest::key(layout.encode(&Key::Schedule(id.clone())))),
            Operation::Range(RangeRequest::key(layout.encode(&Key::Applied(id.clone())))),
            Operation::Range(RangeRequest::prefix(layout.states_of(id))),
            Operation::Range(RangeRequest::key(self.presence_key())),
        ];
        if !self.in_doubt {
            let request = TxnRequest { success, ..TxnRequest::default() };
            return self.transact(Purpose::Read { rewritten: None }, request, out);
        }
        let catching_up = self.standing != Standing::Present;
        success.push(self.presence(catching_up));
        self.transact(Purpose::Read { rewritten: Some(catching_up) }, self.fenced(success), out);
    }

    pub(super) fn on_read(
        &mut self,
        now: Now,
        rewritten: Option<CatchingUp>,
        result: Result<Response, StoreError>,
        out: &mut Vec<Effect>,
    ) {
        let (revision, txn) = match result {
            Ok(response) => (response.header.revision, txn(response).unwrap_or_default()),
            Err(error) => {
                self.say(Report::StoreTrouble { why: error.message.clone() }, out);
                if self.standing.registered() {
                    self.reread_at = Some(now.mono + self.jitter.between(self.config.ttl / 8, self.config.ttl / 6));
                } else {
                    self.store_trouble(now, &error.message, out);
                }
                return;
            }
        };
        match range(&txn, if txn.succeeded { 3 } else { 0 }).first().filter(|kv| Some(kv.lease) == self.lease) {
            Some(kv) if rewritten.is_none() && !self.in_doubt => self.own_revision = kv.mod_revision,
            Some(_) if rewritten.is_some() && txn.succeeded => (self.own_revision, self.in_doubt) = (revision, false),
            // It was written anew meanwhile, or is to be now.
            Some(kv) => {
                self.own_revision = kv.mod_revision;
                return self.read(out);
            }
            None => return self.unregistered(now, "it is not there any more", out),
        }
        self.trouble = None;
        if rewritten == Some(true) && self.standing == Standing::Present {
            // It has overtaken the last word of catching up: nothing would ever be given to a machine that says for ever
            // that it catches up.
            self.rewrite_presence(false, out);
        }
        self.load_written(&txn, now);
        match range(&txn, 0).first() {
            Some(kv) => self.on_schedule(kv, out),
            None => self.on_no_schedule(out),
        }
        if let Standing::Reading { catching_up } = self.standing {
            self.standing = if catching_up { Standing::CatchingUp { writing: false } } else { Standing::Present };
            self.patient_until = catching_up.then_some(now.mono + PATIENCE);
            self.mark_all();
        }
        if std::mem::take(&mut self.redescribed) {
            self.rewrite_presence(self.standing != Standing::Present, out);
        }
        self.cancel_watches(out);
        let schedule = self.config.layout.encode(&Key::Schedule(self.config.facts.id.clone()));
        let from = if planted::is(Fault::WatchFromNow) { 0 } else { revision + 1 };
        self.watch(Watched::Schedule, WatchRequest::key(schedule, from), out);
        self.watch(Watched::Presence, WatchRequest::key(self.presence_key(), revision + 1), out);
    }

    /// What this machine wrote before: compared with what is true now, so that only differences are written.
    fn load_written(&mut self, txn: &fleet_registry::store::TxnResponse, now: Now) {
        let applied = range(txn, 1).first().and_then(|kv| AppliedRecord::decode(&kv.value).ok());
        let mut states = BTreeMap::new();
        for kv in range(txn, 2) {
            if let Some(Key::State(_, unit)) = self.config.layout.decode(&kv.key) {
                // One that cannot be read is overwritten or deleted like any other.
                states.insert(unit, StateRecord::decode(&kv.value).ok());
            }
        }
        self.calls.forget_published();
        self.publisher.load(applied, states);
        let names: Vec<UnitName> = self.publisher.written().chain(self.units.keys()).cloned().collect();
        for name in names {
            self.publisher.touch(&name, now.mono);
        }
    }

    pub(super) fn watch_broke(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.standing.registered() {
            self.cancel_watches(out);
            self.reread_at.get_or_insert(now.mono + self.jitter.between(self.config.ttl / 100, self.config.ttl / 6));
        } else if self.standing == Standing::Refused {
            self.store_trouble(now, "a watch broke", out);
        }
    }

    pub(super) fn on_schedule_event(&mut self, event: &StoreChange, out: &mut Vec<Effect>) {
        match event.kind {
            EventKind::Put => self.on_schedule(&event.kv, out),
            EventKind::Delete => self.on_no_schedule(out),
        }
    }

    /// No schedule is not an empty one: nothing is touched.
    fn on_no_schedule(&mut self, out: &mut Vec<Effect>) {
        if self.schedule.is_some() || matches!(self.standing, Standing::Reading { .. }) {
            out.push(Effect::Log(Report::NoSchedule));
        }
        if planted::is(Fault::AbsentIsEmpty) {
            let (units, leaving) = Default::default();
            return self
                .accept(ScheduleRecord { v: FORMAT, generation: 0, units, leaving, extra: Default::default() }, out);
        }
        self.on_restored(out);
        self.mark_all();
    }

    fn on_schedule(&mut self, kv: &KeyValue, out: &mut Vec<Effect>) {
        let record = match ScheduleRecord::decode(&kv.value) {
            Ok(record) => record,
            Err(error) => {
                let key = String::from_utf8_lossy(&kv.key).into_owned();
                return self.say(Report::Unreadable { key, why: error.to_string() }, out);
            }
        };
        let (generation, acknowledged) = (record.generation, self.newest_known());
        if generation < acknowledged && !planted::is(Fault::OldGeneration) {
            self.say(Report::Refused { generation, acknowledged }, out);
            // An engine that reads in this machine's record what it has seen continues above it.
            return self.on_restored(out);
        }
        self.vetted = true;
        self.accept(record, out);
    }

    /// The generation that others may know to have been carried out here.
    pub(super) fn seen(&self) -> u64 {
        if self.vetted { self.memory.acknowledged } else { 0 }
    }

    pub(super) fn publish_seen(&mut self, out: &mut Vec<Effect>) {
        let seen = self.seen();
        if self.standing.registered() && self.seen_published < seen {
            self.seen_published = seen;
            self.rewrite_presence(self.standing != Standing::Present, out);
        }
    }

    pub(super) fn rewrite_presence(&mut self, catching_up: CatchingUp, out: &mut Vec<Effect>) {
        let request = self.fenced(vec![self.presence(catching_up)]);
        self.transact(Purpose::Rewrite { catching_up }, request, out);
    }

    /// What this machine says of itself must not be lost with a write: one that may not have taken effect is made again
    /// after the schedule was read again.
    pub(super) fn on_rewritten(
        &mut self,
        now: Now,
        catching_up: CatchingUp,
        result: Result<Response, StoreError>,
        out: &mut Vec<Effect>,
    ) {
        match self.fenced_outcome(result) {
            Fenced::Written { revision } => {
                self.own_revision = self.own_revision.max(revision);
                if catching_up && self.standing == Standing::Present {
                    self.rewrite_presence(false, out);
                }
            }
            Fenced::Overtaken => self.rewrite_presence(self.standing != Standing::Present, out),
            Fenced::Gone => self.unregistered(now, "it is not there any more", out),
            Fenced::Failed(error) => {
                // It is written anew in any case.
                self.in_doubt = true;
                self.doubt(now, &error, out);
            }
        }
    }

    /// Takes a schedule for the newest, and marks what it changes.
    fn accept(&mut self, record: ScheduleRecord, out: &mut Vec<Effect>) {
        let (mut watch, mut dropped) = (Vec::new(), Vec::new());
        let first = self.schedule.is_none();
        for (name, assignment) in &record.units {
            let unit = self.units.entry(name.clone()).or_insert_with(|| {
                watch.push(name.clone());
                Default::default()
            });
            if unit.wanted.as_ref() != Some(assignment) {
                let before = unit.wanted.replace(assignment.clone());
                dropped.extend(before.map(|before| (name.clone(), before.content)));
                if !first {
                    unit.new_attempt();
                }
                self.work.dirty.insert(name.clone());
            }
        }
        for (name, unit) in &mut self.units {
            if unit.wanted.is_some() && !record.units.contains_key(name) {
                dropped.extend(unit.wanted.take().map(|before| (name.clone(), before.content)));
                unit.new_attempt();
                self.work.dirty.insert(name.clone());
            } else if first {
                self.work.dirty.insert(name.clone());
            }
            unit.unlisted = unit.is_own(self.cluster.as_ref())
                && unit.wanted.as_ref().map(|w| w.uid) != unit.held.as_ref().map(|h| h.uid);
        }
        // No text is kept for a unit that wants another now.
        for (name, content) in dropped {
            if self.units.get(&name).and_then(|unit| unit.wanted.as_ref()).is_none_or(|now| now.content != content) {
                self.unwait(&name, &content);
            }
        }
        if !watch.is_empty() {
            out.push(Effect::Systemd(SystemdEffect::Watch(watch)));
        }
        self.schedule = Some(record);
    }

    /// How far a schedule of this generation is carried out.
    fn progress(&self, generation: u64) -> Progress {
        let stopping = self.units.iter().filter(|(_, unit)| unit.unlisted).map(|(name, _)| name.clone());
        Progress { generation, stopping: stopping.collect() }
    }

    /// How far the newest schedule is carried out, if that is worth saying: all is done, or somebody waits for a unit
    /// that is gone while others still stop. From here on nothing is started that this schedule does not list.
    fn news(&self) -> Option<Progress> {
        let schedule = self.schedule.as_ref()?;
        let generation = schedule.generation;
        let said = self.publisher.said();
        if planted::is(Fault::EarlyAcknowledgement) || !self.units.values().any(|unit| unit.unlisted) {
            let whole = said.is_some_and(|said| said.generation >= generation && said.stopping.is_empty());
            return (!whole || generation > self.memory.acknowledged).then(|| Progress::whole(generation));
        }
        let is_stopping = |name: &UnitName| self.units.get(name).is_some_and(|unit| unit.unlisted);
        let is_said = |name: &UnitName, given: u64| {
            said.is_some_and(|said| said.generation >= given && !said.stopping.contains(name))
        };
        let is_awaited = schedule.leaving.iter().any(|(name, &given)| !is_stopping(name) && !is_said(name, given));
        let is_outdated = said.is_some_and(|said| said.stopping.iter().any(|name| !is_stopping(name)));
        let is_due = self.gives_up_waiting() && generation > self.memory.acknowledged;
        (is_awaited || is_outdated || is_due).then(|| self.progress(generation))
    }

    /// Whether a machine that catches up waits no longer for what still stops: the trouble of one unit is not to keep
    /// all others from this machine. What still stops is said by name, and nothing that conflicts with it comes here.
    fn gives_up_waiting(&self) -> bool {
        let is_catching_up = matches!(self.standing, Standing::CatchingUp { .. });
        is_catching_up && self.patient_until.is_none() && self.systemd && self.local == Local::Adopted
    }

    /// How far this machine has come, once that is far enough to be given units: nothing of what an earlier schedule gave
    /// is still to be stopped, or what is takes too long.
    pub(super) fn caught_up(&self) -> Option<Progress> {
        let Some(schedule) = &self.schedule else {
            // A machine that holds nothing has nothing to catch up with, and may be given its first units. One that
            // does must wait to be told what to do with them.
            return (!self.units.values().any(|u| u.is_own(self.cluster.as_ref()))).then(|| Progress::whole(0));
        };
        let is_remembered = self.memory.acknowledged == schedule.generation && self.remembering.is_none();
        let progress = self.progress(schedule.generation);
        (is_remembered && (progress.stopping.is_empty() || self.gives_up_waiting())).then_some(progress)
    }

    /// Remembers, and then publishes, what was carried out.
    pub(super) fn acknowledge(&mut self, now: Now, out: &mut Vec<Effect>) {
        if matches!(self.mode, Mode::Running | Mode::Leaving)
            && self.remembering.is_none()
            && let Some(progress) = self.news()
        {
            if progress.generation > self.memory.acknowledged {
                let memory = Memory { acknowledged: progress.generation, revision: self.revision };
                self.remembering = Some((memory.clone(), progress));
                out.push(Effect::Disk(DiskEffect::WriteMemory(memory)));
            } else {
                self.publish_progress(now, progress);
            }
        }
        self.catch_up(out);
    }

    fn publish_progress(&mut self, now: Now, progress: Progress) {
        let publishes = match self.standing {
            Standing::Present => true,
            // The last word of catching up is written together with the machine's record.
            Standing::CatchingUp { writing } => !writing && !progress.stopping.is_empty(),
            _ => false,
        };
        if publishes {
            // Without a unit that somebody waits for to be gone, it goes along with what is said of those that came.
            let takes_away = self.schedule.as_ref().is_some_and(|schedule| !schedule.leaving.is_empty());
            let is_awaited = takes_away || self.mode != Mode::Running;
            self.publisher.acknowledge(progress, now.mono, is_awaited);
        }
    }

    pub(super) fn on_memory_written(&mut self, now: Now, result: Result<(), String>, out: &mut Vec<Effect>) {
        if let Err(why) = result {
            // It is remembered until this process ends; a unit must not stay where it is because a disk is full.
            self.say(Report::DiskTrouble { what: "what was acknowledged cannot be remembered".into(), why }, out);
        }
        if let Some((memory, progress)) = self.remembering.take() {
            self.memory = memory;
            self.publish_progress(now, progress);
        }
    }

    pub(super) fn applied_record(&self, progress: &Progress) -> Operation {
        let record = AppliedRecord {
            v: FORMAT,
            generation: progress.generation,
            stopping: progress.stopping.clone(),
            boot_id: self.config.facts.boot_id.clone(),
            extra: Default::default(),
        };
        let key = self.config.layout.encode(&Key::Applied(self.config.facts.id.clone()));
        Operation::Put(PutRequest::new(key, record.encode()))
    }
}
