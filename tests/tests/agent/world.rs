//! One machine in virtual time: the real agent and the real session over a memory store, with a disk and a systemd that
//! do what theirs do, as far as the agent can tell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_agent::{Agent, AgentConfig, Effect, Event, MachineFacts, Report, SystemdEvent};
use fleet_registry::loopback::Loopback;
use fleet_registry::record::{
    AppliedRecord, Assignment, Capacity, ClusterId, ContentRecord, MachineRecord, Record, ScheduleRecord, StateRecord,
    Target,
};
use fleet_registry::store::{DeleteRequest, Operation, PutRequest, RangeRequest, Request, ResponseBody, TxnRequest};
use fleet_registry::{Key, Layout, Now, Owner, Session, SessionConfig, SessionEffect, SessionInput, StateMachine};
use fleet_tests::sim::disk::Disk;
use fleet_tests::sim::systemd::Systemd;
use fleet_units::{MachineId, UnitName};

pub(crate) const TTL: Duration = Duration::from_secs(10);

const GARBAGE: &str = "{\"v\": 2, \"units\": []}";

pub(crate) fn unit(name: &str) -> UnitName {
    UnitName::parse(name).unwrap()
}

/// One machine and its store.
pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) store: Loopback,
    pub(crate) agent: Agent,
    session: Session,
    pub(crate) systemd: Systemd,
    pub(crate) disk: Disk,
    /// fleetd dies after this many more effects.
    pub(crate) dies_after: Option<usize>,
    pub(crate) logs: Vec<Report>,
    pub(crate) ready: bool,
    pub(crate) left: bool,
    config: AgentConfig,
    generation: u64,
    schedule: BTreeMap<UnitName, Assignment>,
    /// What was taken away, and by which generation, as the engine keeps it.
    pub(crate) leaving: BTreeMap<UnitName, u64>,
}

pub(crate) fn config() -> AgentConfig {
    AgentConfig {
        facts: MachineFacts {
            id: MachineId::parse("m1").unwrap(),
            hostname: "host1".into(),
            address: Some("192.0.2.1".into()),
            peer: None,
            metadata: BTreeMap::new(),
            capacity: Capacity::default(),
            version: "test".into(),
            boot_id: "boot1".into(),
            instance: "instance1".into(),
            carries_registry: false,
        },
        layout: Layout::default(),
        units_directory: "/run/fleet/units".into(),
        state_directory: "/var/lib/fleet".into(),
        systemd_user: false,
        request_timeout: Duration::from_secs(1),
        ttl: TTL,
        seed: 7,
    }
}

impl World {
    /// A machine whose fleetd has just started.
    pub(crate) fn new() -> Self {
        let mut world = Self {
            now: Duration::from_secs(1000),
            store: Loopback::new(1),
            agent: Agent::new(config()),
            session: Session::new(SessionConfig { ttl: TTL, seed: 3 }),
            systemd: Systemd::default(),
            disk: Disk::default(),
            dies_after: None,
            logs: Vec::new(),
            ready: false,
            left: false,
            config: config(),
            generation: 0,
            schedule: BTreeMap::new(),
            leaving: BTreeMap::new(),
        };
        world.boot();
        world
    }

    /// A machine that has registered and has an empty schedule.
    pub(crate) fn present() -> Self {
        let mut world = Self::new();
        world.publish();
        world.until("the machine is present", |w| w.agent.status().standing == fleet_agent::Standing::Present);
        world
    }

    fn boot(&mut self) {
        let effects = self.session.step(self.time(), SessionInput::Start);
        self.session_effects(effects);
        self.agent_step(Event::Start);
        self.systemd.later(self.now, Event::Systemd(SystemdEvent::Connected));
    }

    /// fleetd dies and is started again: what it knew is gone, and so are answers under way.
    pub(crate) fn restart(&mut self) {
        self.store.link.abandon(&mut self.store.memory);
        self.systemd.forget_callers();
        self.agent = Agent::new(self.config.clone());
        self.session = Session::new(SessionConfig { ttl: TTL, seed: 4 });
        (self.ready, self.left, self.dies_after) = (false, false, None);
        self.boot();
    }

    pub(crate) fn restart_as(&mut self, change: impl FnOnce(&mut AgentConfig)) {
        change(&mut self.config);
        self.restart();
    }

    pub(crate) fn time(&self) -> Now {
        Now { mono: self.now, wall: 1_800_000_000_000 + u64::try_from(self.now.as_millis()).unwrap() }
    }

    pub(crate) fn agent_step(&mut self, event: Event) {
        let effects = self.agent.step(self.time(), event);
        for effect in effects {
            match &mut self.dies_after {
                // It is dead: what else it wanted is never done.
                Some(0) => return,
                Some(left) => *left -= 1,
                None => {}
            }
            match effect {
                Effect::Store(effect) => self.store.perform(self.now, effect),
                Effect::Systemd(effect) => self.systemd.perform(self.now, effect, &self.disk),
                Effect::Disk(effect) => {
                    let event = self.disk.perform(effect);
                    self.systemd.later(self.now, Event::Disk(event));
                }
                Effect::Log(report) => self.logs.push(report),
                Effect::Told(_) => {}
                Effect::Ready => self.ready = true,
                Effect::Left => self.left = true,
            }
        }
    }

    fn session_effects(&mut self, effects: Vec<SessionEffect>) {
        for effect in effects {
            match effect {
                SessionEffect::Store(effect) => self.store.perform(self.now, effect),
                SessionEffect::Event(event) => self.agent_step(Event::Session(event)),
                SessionEffect::Ended => {}
            }
        }
    }

    /// Lets everything happen that happens now, and moves on to when the next thing does.
    fn turn(&mut self) {
        if self.dies_after == Some(0) {
            self.restart();
        }
        for event in self.store.poll(self.now) {
            if event.owner() == Owner::Session {
                let effects = self.session.step(self.time(), SessionInput::Store(event));
                self.session_effects(effects);
            } else {
                self.agent_step(Event::Store(event));
            }
        }
        for event in self.systemd.due(self.now, &self.disk) {
            self.agent_step(event);
        }
        if self.session.wakeup().is_some_and(|at| at <= self.now) {
            let effects = self.session.step(self.time(), SessionInput::Tick);
            self.session_effects(effects);
        }
        if self.agent.wakeup().is_some_and(|at| at <= self.now) {
            self.agent_step(Event::Tick);
        }
        let next =
            [self.store.next_deadline(), self.systemd.next_deadline(), self.session.wakeup(), self.agent.wakeup()];
        let step = Duration::from_millis(1);
        self.now = next.into_iter().flatten().min().map_or(self.now + step, |at| at.max(self.now + step / 10));
    }

    /// Runs until `condition` holds, and fails after two minutes.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let limit = self.now + Duration::from_secs(120);
        while !condition(self) {
            assert!(
                self.now < limit,
                "{what}: it does not come about; status {:?}\nlogs {:#?}",
                self.agent.status(),
                self.logs
            );
            self.turn();
        }
    }

    /// Runs for this long.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.turn();
        }
    }

    // What the engine and the API do.

    /// Writes a record of a unit; its uid.
    pub(crate) fn submit(&mut self, name: &str) -> i64 {
        let put = PutRequest::new(self.key(&Key::Unit(unit(name))), "{}");
        self.store.put(self.now, put).unwrap().header.revision
    }

    /// Puts a unit of this text on the schedule, in memory until [`World::publish`].
    pub(crate) fn give(&mut self, name: &str, uid: i64, text: &str, target: Target) {
        let content = ContentRecord { v: 1, text: text.into(), drop_ins: BTreeMap::new(), extra: Default::default() };
        let key = self.key(&Key::Content(content.key()));
        self.store.put(self.now, PutRequest::new(key, content.encode())).unwrap();
        self.leaving.remove(&unit(name));
        self.schedule.insert(
            unit(name),
            Assignment { uid, content: content.key(), target, restarts: 0, extra: Default::default() },
        );
    }

    /// What is wanted of a unit.
    pub(crate) fn wanted(&self, name: &str) -> Assignment {
        self.schedule[&unit(name)].clone()
    }

    /// Puts a unit on the schedule that was there before.
    pub(crate) fn assign(&mut self, name: &str, assignment: Assignment) {
        self.leaving.remove(&unit(name));
        self.schedule.insert(unit(name), assignment);
    }

    pub(crate) fn alter(&mut self, name: &str, change: impl FnOnce(&mut Assignment)) {
        change(self.schedule.get_mut(&unit(name)).unwrap());
    }

    pub(crate) fn take(&mut self, name: &str) {
        self.schedule.remove(&unit(name)).unwrap();
        self.leaving.insert(unit(name), self.generation + 1);
    }

    /// Writes the schedule.
    pub(crate) fn publish(&mut self) -> u64 {
        self.generation += 1;
        self.publish_as(self.generation);
        self.generation
    }

    pub(crate) fn publish_as(&mut self, generation: u64) {
        self.generation = generation;
        let record = ScheduleRecord {
            v: 1,
            generation,
            units: self.schedule.clone(),
            leaving: self.leaving.clone(),
            extra: Default::default(),
        };
        self.put(&Key::Schedule(self.config.facts.id.clone()), &record);
    }

    pub(crate) fn key(&self, key: &Key) -> bytes::Bytes {
        self.config.layout.encode(key)
    }

    pub(crate) fn put(&mut self, key: &Key, record: &impl Record) {
        let put = PutRequest::new(self.key(key), record.encode());
        self.store.put(self.now, put).unwrap();
    }

    /// Somebody writes this by hand, as etcdctl does.
    pub(crate) fn garble(&mut self, key: &Key) {
        let put = PutRequest::new(self.key(key), GARBAGE);
        self.store.put(self.now, put).unwrap();
    }

    /// Whether what was written by hand is still there.
    pub(crate) fn is_garbled(&self, key: &Key) -> bool {
        let request = Request::Range(RangeRequest::key(self.key(key)));
        match self.store.memory.clone().apply(self.now, request).unwrap().body {
            ResponseBody::Range(range) => range.kvs.first().is_some_and(|kv| kv.value == GARBAGE),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn delete(&mut self, key: &Key) {
        let delete = DeleteRequest { key: self.key(key), ..DeleteRequest::default() };
        let request = TxnRequest { success: vec![Operation::Delete(delete)], ..TxnRequest::default() };
        self.store.call(self.now, Request::Txn(request)).unwrap();
    }

    /// Someone deletes this machine's record.
    pub(crate) fn delete_machine(&mut self) {
        let key = Key::Machine(self.config.facts.id.clone());
        self.delete(&key);
    }

    fn read<R: Record>(&self, key: &Key) -> Option<R> {
        let request = Request::Range(RangeRequest::key(self.key(key)));
        match self.store.memory.clone().apply(self.now, request).unwrap().body {
            ResponseBody::Range(range) => range.kvs.first().and_then(|kv| R::decode(&kv.value).ok()),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn applied(&self) -> Option<u64> {
        self.read::<AppliedRecord>(&Key::Applied(self.config.facts.id.clone())).map(|a| a.generation)
    }

    /// Whether the engine may give a unit that was taken away to another machine.
    pub(crate) fn gave_back(&self, name: &str) -> bool {
        let applied = self.read::<AppliedRecord>(&Key::Applied(self.config.facts.id.clone()));
        applied.is_some_and(|applied| applied.gave_back(&unit(name), self.leaving[&unit(name)]))
    }

    /// What is acknowledged to be still stopping.
    pub(crate) fn stopping(&self) -> BTreeSet<UnitName> {
        let applied = self.read::<AppliedRecord>(&Key::Applied(self.config.facts.id.clone()));
        applied.map(|applied| applied.stopping).unwrap_or_default()
    }

    /// How often this key was written.
    pub(crate) fn versions(&self, key: &Key) -> i64 {
        let request = Request::Range(RangeRequest::key(self.key(key)));
        match self.store.memory.clone().apply(self.now, request).unwrap().body {
            ResponseBody::Range(range) => range.kvs.first().map_or(0, |kv| kv.version),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn machine(&self) -> Option<MachineRecord> {
        self.read(&Key::Machine(self.config.facts.id.clone()))
    }

    pub(crate) fn state(&self, name: &str) -> Option<StateRecord> {
        self.read(&Key::State(self.config.facts.id.clone(), unit(name)))
    }

    pub(crate) fn is_active(&self, name: &str) -> bool {
        self.systemd.is_active(&unit(name))
    }

    pub(crate) fn cluster(&self) -> ClusterId {
        self.disk.cluster.clone().unwrap()
    }

    pub(crate) fn held(&self) -> BTreeSet<UnitName> {
        self.agent.held().map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn said(&self, what: &str) -> usize {
        self.logs.iter().filter(|r| r.to_string().contains(what)).count()
    }

    /// How many times the store has been written to.
    pub(crate) fn revision(&self) -> i64 {
        self.store.memory.header().revision
    }
}
