//! The engine's state machine: election, mirror and leader as one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_registry::record::{BrakeRecord, ContentKey, LeaderRecord};
use fleet_registry::store::{RangeRequest, Request, ResponseBody};
use fleet_registry::{
    CallId, Change, Contents, Key, Layout, Mirror, MirrorConfig, MirrorEffect, MirrorInput, Mono, Now, Owner,
    SessionEvent, StateMachine, StoreEffect, StoreEvent, View,
};
use fleet_units::{MachineId, UnitName};

use crate::absence::{Absence, Verdict};
use crate::election::{Election, ElectionConfig, ElectionEffect, ElectionInput};
use crate::leader::facts::{self, Digests};
use crate::leader::knowledge;
use crate::leader::{Ground, Leader, Wish};
use crate::report::Report;

/// What an engine needs to know.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// This machine.
    pub machine: MachineId,
    /// Its fleetd (`machines/<id>`'s instance).
    pub instance: String,
    /// Where the records are.
    pub layout: Layout,
    /// Whether this machine carries the embedded registry: it stands for leader last.
    pub carries_registry: bool,
    /// How long the brake holds (`engine_brake_hold`); zero is for ever.
    pub brake_hold: Duration,
    /// How long the records of a lost machine are kept (`machine_retention`); zero is for ever.
    pub machine_retention: Duration,
    /// Spreads waits.
    pub seed: u64,
    /// The lease's time to live (`agent_ttl`).
    pub ttl: Duration,
}

/// What happens to an engine.
#[derive(Debug, Clone)]
pub enum EngineEvent {
    /// From the store.
    Store(StoreEvent),
    /// The lease that it shares with this fleetd's presence.
    Session(SessionEvent),
    /// The wakeup time has come.
    Tick,
    /// Give up leadership, and end.
    Resign,
}

/// What an engine wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum EngineEffect {
    /// Of the store.
    Store(StoreEffect),
    /// Tell people.
    Log(Report),
    /// It stands differently now.
    Status(EngineStatus),
    /// After [`EngineEvent::Resign`]: done.
    Resigned,
}

/// How an engine stands, for people and for whoever asks who leads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EngineStatus {
    /// Whether this machine leads.
    pub leads: bool,
    /// Who leads, as far as is known.
    pub leader: Option<LeaderRecord>,
    /// Whether this machine stands by with a warm mirror.
    pub stands_by: bool,
    /// Up to where this engine knows the registry; 0 when it does not follow it.
    pub revision: i64,
    /// The brake, as a leader has it.
    pub brake: Option<BrakeRecord>,
}

/// The engine.
#[derive(Debug, Clone)]
pub struct Engine {
    config: EngineConfig,
    election: Election,
    mirror: Mirror,
    view: View,
    digests: Digests,
    /// Units whose text is not there (yet).
    textless: BTreeMap<ContentKey, BTreeSet<UnitName>>,
    absence: Absence,
    leader: Option<Leader>,
    known_leader: Option<LeaderRecord>,
    stands_by: bool,
    /// Whether the mirror's first load is in the view.
    is_loaded: bool,
    /// Calls named so far.
    names: u64,
    /// A read that tells that the store is there, and when it was sent.
    probe: Option<(u64, Mono)>,
    /// None is sent before then.
    probe_after: Mono,
    absence_wakeup: Option<Mono>,
    /// As last told.
    told: EngineStatus,
}

impl Engine {
    /// An engine that begins with the session's first lease.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        let election = Election::new(ElectionConfig {
            machine: config.machine.clone(),
            instance: config.instance.clone(),
            layout: config.layout.clone(),
            carries_registry: config.carries_registry,
            seed: config.seed,
        });
        let mirror = new_mirror(&config);
        let view = View::new(config.layout.clone(), Contents::Digest);
        let absence = Absence::new(config.ttl, config.brake_hold);
        Self {
            config,
            election,
            mirror,
            view,
            digests: Digests::default(),
            textless: BTreeMap::new(),
            absence,
            leader: None,
            known_leader: None,
            stands_by: false,
            is_loaded: false,
            names: 0,
            probe: None,
            probe_after: Mono::ZERO,
            absence_wakeup: None,
            told: EngineStatus::default(),
        }
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> EngineStatus {
        EngineStatus {
            leads: self.leader.is_some(),
            leader: self.known_leader.clone(),
            stands_by: self.stands_by,
            revision: self.mirror.revision(),
            brake: self.absence.brake().filter(|_| self.leader.is_some()).cloned(),
        }
    }

    fn election(&mut self, now: Now, input: ElectionInput, out: &mut Vec<EngineEffect>) {
        for effect in self.election.step(now, input) {
            match effect {
                ElectionEffect::Store(effect) => out.push(EngineEffect::Store(effect)),
                ElectionEffect::Elected { fence, why } => {
                    self.leader = Some(Leader::new(fence, self.names, self.config.machine_retention));
                    out.push(EngineEffect::Log(Report::Elected { why, fence }));
                    self.follow(now, out);
                    let found = self.view.brake.clone();
                    self.absence.brake_found(now, found.as_ref());
                    for key in self.view.unreadable.keys() {
                        out.extend(self.unreadable(key));
                    }
                }
                ElectionEffect::Unreadable { why } => {
                    let key = self.view.name_of(&Key::Leader);
                    out.push(EngineEffect::Log(Report::Unreadable { key, why }));
                }
                ElectionEffect::Deposed { why } => {
                    if let Some(leader) = self.leader.take() {
                        self.names = self.names.max(leader.names());
                    }
                    out.push(EngineEffect::Log(Report::Deposed { why }));
                    self.follow(now, out);
                }
                ElectionEffect::StandsBy(stands_by) => {
                    self.stands_by = stands_by;
                    out.push(EngineEffect::Log(Report::StandsBy(stands_by)));
                    self.follow(now, out);
                }
                ElectionEffect::Leader(leader) => {
                    self.known_leader.clone_from(&leader);
                    // Its own election is told of by itself.
                    if leader.as_ref().is_none_or(|leader| leader.machine != self.config.machine) {
                        out.push(EngineEffect::Log(Report::Leader(leader)));
                    }
                }
                ElectionEffect::Resigned => out.push(EngineEffect::Resigned),
            }
        }
    }

    /// Follows the registry while leading or standing by, and not otherwise.
    fn follow(&mut self, now: Now, out: &mut Vec<EngineEffect>) {
        if self.leader.is_some() || self.stands_by {
            self.mirror(now, MirrorInput::Start, out);
        } else {
            self.mirror(now, MirrorInput::Stop, out);
            self.mirror = new_mirror(&self.config);
            self.view = View::new(self.config.layout.clone(), Contents::Digest);
            self.digests.clear();
            self.textless.clear();
            self.absence.forget_all();
            self.is_loaded = false;
        }
    }

    fn mirror(&mut self, now: Now, input: MirrorInput, out: &mut Vec<EngineEffect>) {
        for effect in self.mirror.step(now, input) {
            match effect {
                MirrorEffect::Store(effect) => out.push(EngineEffect::Store(effect)),
                MirrorEffect::Changes { changes, .. } => {
                    for change in changes {
                        if let Some(change) = self.view.apply(&change) {
                            self.changed(now, change, out);
                        }
                    }
                }
                MirrorEffect::Complete { .. } => {
                    if !self.is_loaded {
                        self.loaded(now);
                    }
                }
                MirrorEffect::Stale { why } => {
                    if self.leader.is_some() {
                        out.push(EngineEffect::Log(Report::Stale { why }));
                    }
                }
                MirrorEffect::Restored { why } => {
                    out.push(EngineEffect::Log(Report::Restored { why }));
                    self.absence.restored(now);
                    self.with_leader(now, out, |leader, _, wishes| leader.restored(wishes));
                }
            }
        }
    }

    /// The mirror's first load is done: who is there, and who is not.
    fn loaded(&mut self, now: Now) {
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

    fn changed(&mut self, now: Now, change: Change, out: &mut Vec<EngineEffect>) {
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

    fn unreadable(&self, key: &Key) -> Option<EngineEffect> {
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

    /// Lets the leader act, if there is one, and carries out what it wishes.
    fn with_leader(
        &mut self,
        now: Now,
        out: &mut Vec<EngineEffect>,
        act: impl FnOnce(&mut Leader, Ground<'_>, &mut Vec<Wish>),
    ) {
        let Some(leader) = &mut self.leader else { return };
        let ground = Ground {
            now,
            view: &self.view,
            digests: &self.digests,
            absence: &self.absence,
            revision: self.mirror.revision(),
        };
        let mut wishes = Vec::new();
        act(leader, ground, &mut wishes);
        let mut fenced = false;
        for wish in wishes {
            match wish {
                Wish::Call(seq, request) => {
                    let id = CallId { owner: Owner::Engine, seq };
                    out.push(EngineEffect::Store(StoreEffect::Call { id, request }));
                }
                Wish::Tell(report) => out.push(EngineEffect::Log(report)),
                Wish::Fenced => fenced = true,
            }
        }
        if fenced {
            self.election(now, ElectionInput::Fenced, out);
        }
    }

    /// How many passes the present leader has made; 0 while it does not lead.
    #[must_use]
    pub fn passes(&self) -> u64 {
        self.leader.as_ref().map_or(0, Leader::passes)
    }

    /// Whether it leads, and knows the registry as it is at least since its election.
    fn may_decide(&self) -> bool {
        let follows = |leader: &Leader| self.mirror.is_complete() && self.mirror.revision() >= leader.fence;
        self.is_loaded && self.leader.as_ref().is_some_and(follows)
    }

    /// Judges absences, then lets the leader work. Only on a complete mirror that is not older than its election.
    fn decide(&mut self, now: Now, out: &mut Vec<EngineEffect>) {
        if !self.may_decide() {
            return;
        }
        self.absence.brake_is_unreadable(self.view.is_unreadable(|| Key::Brake));
        self.probe(now, out);
        self.census(now, out);
        match self.absence.judge(now) {
            None => {}
            Some(Verdict::Lost(machines)) => {
                for machine in machines {
                    self.with_leader(now, out, |leader, ground, _| leader.machine_changed(ground, &machine));
                    out.push(EngineEffect::Log(Report::Lost { machine }));
                }
            }
            Some(Verdict::BrakeOn(record)) => {
                self.with_leader(now, out, |leader, _, _| leader.set_brake(Some(record.clone())));
                out.push(EngineEffect::Log(Report::BrakeOn(record)));
            }
            Some(Verdict::BrakeOff { why }) => {
                out.push(EngineEffect::Log(Report::BrakeOff { why }));
                let absent: Vec<MachineId> =
                    self.view.schedules.keys().filter(|id| !self.view.machines.contains_key(*id)).cloned().collect();
                self.with_leader(now, out, |leader, ground, _| {
                    leader.set_brake(None);
                    for machine in absent {
                        leader.machine_changed(ground, &machine);
                    }
                });
            }
        }
        self.with_leader(now, out, |leader, ground, wishes| leader.work(ground, wishes));
    }

    /// Asks whether the store is there, when absences wait for that.
    fn probe(&mut self, now: Now, out: &mut Vec<EngineEffect>) {
        if self.probe.is_some() || now.mono < self.probe_after || !self.absence.wants_read(now.mono) {
            return;
        }
        self.names += 1;
        let id = CallId { owner: Owner::Engine, seq: PROBES + self.names };
        let request = Request::Range(RangeRequest::key(self.config.layout.encode(&Key::Leader)));
        out.push(EngineEffect::Store(StoreEffect::Call { id, request }));
        self.probe = Some((id.seq, now.mono));
    }

    /// Asks how long the leases of the others still live, when absences are to be judged.
    fn census(&mut self, now: Now, out: &mut Vec<EngineEffect>) {
        if !self.absence.wants_census(now.mono) {
            return;
        }
        let leases: Vec<i64> = self
            .view
            .machines
            .iter()
            .filter(|(id, _)| **id != self.config.machine)
            .map(|(_, machine)| machine.lease)
            .collect();
        let step = leases.len().div_ceil(Absence::CENSUS_SAMPLE).max(1);
        let mut calls = BTreeSet::new();
        for lease in leases.iter().step_by(step) {
            self.names += 1;
            let id = CallId { owner: Owner::Engine, seq: PROBES + self.names };
            let request = Request::LeaseTimeToLive { id: *lease, keys: false };
            out.push(EngineEffect::Store(StoreEffect::Call { id, request }));
            calls.insert(id.seq);
        }
        self.absence.census_begins(now.mono, calls, leases.len());
    }

    fn store(&mut self, now: Now, event: StoreEvent, out: &mut Vec<EngineEffect>) {
        match (event.owner(), event) {
            (Owner::Mirror, event) => self.mirror(now, MirrorInput::Store(event), out),
            (Owner::Election, event) => self.election(now, ElectionInput::Store(event), out),
            (Owner::Engine, StoreEvent::Answer { id, result }) => {
                if let Some((_, sent)) = self.probe.take_if(|(seq, _)| *seq == id.seq) {
                    if result.is_ok() {
                        self.absence.read(sent, now.mono);
                    } else {
                        self.probe_after = now.mono + PROBE_PAUSE;
                    }
                } else if id.seq > PROBES {
                    let left = match result.map(|response| response.body) {
                        Ok(ResponseBody::LeaseTimeToLive(lease)) => u64::try_from(lease.ttl).ok(),
                        _ => None,
                    };
                    self.absence.census_answered(id.seq, left.map(Duration::from_secs));
                } else {
                    let wrote = self.leader.as_ref().is_some_and(Leader::is_writing_brake);
                    self.with_leader(now, out, |leader, ground, wishes| {
                        leader.answered(ground.now, id.seq, result, wishes);
                    });
                    if wrote && !self.leader.as_ref().is_some_and(Leader::is_writing_brake) {
                        // A person may have released the brake while it was being written.
                        let found = self.view.brake.clone();
                        self.absence.brake_found(now, found.as_ref());
                    }
                }
            }
            _ => {}
        }
    }
}

/// After a probe that failed.
const PROBE_PAUSE: Duration = Duration::from_millis(200);

/// Probes are named apart from a leader's calls.
const PROBES: u64 = 1 << 62;

fn new_mirror(config: &EngineConfig) -> Mirror {
    Mirror::new(MirrorConfig::prefix(config.layout.root().to_owned(), Owner::Mirror, config.seed.wrapping_add(1)))
}

impl StateMachine for Engine {
    type Event = EngineEvent;
    type Effect = EngineEffect;

    fn step(&mut self, now: Now, event: EngineEvent) -> Vec<EngineEffect> {
        let mut out = Vec::new();
        match event {
            EngineEvent::Store(event) => self.store(now, event, &mut out),
            EngineEvent::Session(event) => {
                self.absence.session(&event);
                self.election(now, ElectionInput::Session(event), &mut out);
            }
            EngineEvent::Tick => {
                self.election(now, ElectionInput::Tick, &mut out);
                self.mirror(now, MirrorInput::Tick, &mut out);
            }
            EngineEvent::Resign => self.election(now, ElectionInput::Resign, &mut out),
        }
        self.decide(now, &mut out);
        // Only where something can be done then: what a leader waits for that does not see the registry wakes it by itself.
        let decides = self.may_decide();
        self.absence_wakeup = if decides { self.absence.wakeup(now.mono) } else { None };
        if decides && self.probe_after > now.mono {
            self.absence_wakeup = Some(self.absence_wakeup.map_or(self.probe_after, |at| at.min(self.probe_after)));
        }
        let status = self.status();
        if self.told != status {
            self.told = status.clone();
            out.push(EngineEffect::Status(status));
        }
        out
    }

    fn wakeup(&self) -> Option<Mono> {
        // Only for what can be done then: a time that has passed and is kept would wake it again and again.
        let leader = self.leader.as_ref().filter(|_| self.may_decide()).and_then(Leader::wakeup);
        [self.election.wakeup(), self.mirror.wakeup(), self.absence_wakeup, leader].into_iter().flatten().min()
    }
}
