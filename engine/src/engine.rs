//! The engine's state machine: election, mirror and leader as one.

mod changes;
mod questions;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_registry::record::{BrakeRecord, ContentKey, LeaderRecord};
use fleet_registry::{
    CallId, Contents, Key, Layout, Mirror, MirrorConfig, MirrorEffect, MirrorInput, Mono, Now, Owner, SessionEvent,
    StateMachine, StoreEffect, StoreEvent, View,
};
use fleet_units::{MachineId, UnitName};

use crate::absence::{Absence, Verdict};
use crate::election::{Election, ElectionConfig, ElectionEffect, ElectionInput};
use crate::leader::facts::Digests;
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
    /// Whether it was said that the mirror is not followed.
    is_told_stale: bool,
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
            is_told_stale: false,
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
            self.is_told_stale = false;
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
                    self.is_told_stale = false;
                    if !self.is_loaded {
                        self.loaded(now);
                    }
                }
                MirrorEffect::Stale { why } => {
                    // Once, however often the reason changes until it is followed again.
                    let told = std::mem::replace(&mut self.is_told_stale, true);
                    if self.leader.is_some() && !told {
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

    fn store(&mut self, now: Now, event: StoreEvent, out: &mut Vec<EngineEffect>) {
        match (event.owner(), event) {
            (Owner::Mirror, event) => self.mirror(now, MirrorInput::Store(event), out),
            (Owner::Election, event) => self.election(now, ElectionInput::Store(event), out),
            (Owner::Engine, StoreEvent::Answer { id, result }) => {
                if self.question_answered(now, id.seq, &result) {
                    return;
                }
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
            _ => {}
        }
    }
}

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
