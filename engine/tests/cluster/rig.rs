//! Several engines, each at the end of its own link to one store, in virtual time.
//!
//! Beside each engine sits an agent as plain as can be: it registers its machine with the session's lease, runs what its
//! schedule lists, and acknowledges. Tests can hold an agent up, cut a link, or kill a machine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_engine::{Engine, EngineConfig, EngineEffect, EngineEvent, Report};
use fleet_registry::loopback::{Connection, Link};
use fleet_registry::memory::Memory;
use fleet_registry::record::{
    AppliedRecord, Assignment, BrakeRecord, ContentRecord, FORMAT, LeaderRecord, MachineRecord, NoteRecord,
    OperatorRecord, Record, ScheduleRecord, UnitRecord,
};
use fleet_registry::store::{
    DeleteRequest, KeyValue, Operation, PutRequest, RangeRequest, Request, ResponseBody, TxnRequest,
};
use fleet_registry::{
    Key, Layout, Mono, Now, Owner, Session, SessionConfig, SessionEffect, SessionEvent, SessionInput, StateMachine,
    StoreEffect,
};
use fleet_units::{DesiredState, MachineId, UnitFile, UnitName};

use crate::states::States;

pub(crate) const TTL: Duration = Duration::from_secs(10);

/// A machine with its fleetd.
pub(crate) struct Node {
    pub id: MachineId,
    pub link: Link,
    pub engine: Engine,
    session: Session,
    lease: Option<i64>,
    metadata: BTreeMap<String, String>,
    carries_registry: bool,
    pub alive: bool,
    /// Whether its agent carries out its schedule.
    pub agent_works: bool,
    /// What really runs on it.
    pub runs: BTreeMap<UnitName, Assignment>,
    applied: u64,
    /// Its fleetd is being stopped for good.
    leaving: bool,
    /// Units that take for ever to stop.
    pub slow: BTreeSet<UnitName>,
    /// What it says of its units.
    pub states: States,
    /// Those of them that it acknowledged to be stopping.
    stopping: BTreeSet<UnitName>,
    pub log: Vec<Report>,
    /// Requests that its engine made of the store.
    pub requests: Vec<Request>,
    pub resigned: bool,
    /// Its fleetd is of the next version: what it writes says more than this one knows.
    pub newer: bool,
}

pub(crate) struct Rig {
    pub memory: Memory,
    pub now: Mono,
    pub nodes: Vec<Node>,
    pub layout: Layout,
    pub hold: Duration,
    pub retention: Duration,
    lives: u64,
}

pub(crate) fn unit(name: &str) -> UnitName {
    name.parse().expect("a unit name")
}

pub(crate) fn machine(name: &str) -> MachineId {
    name.parse().expect("a machine id")
}

impl Rig {
    /// A cluster of these machines, started and settled.
    pub(crate) fn new(names: &[&str]) -> Self {
        let mut rig = Self::empty();
        for name in names {
            rig.add(name, &[], false);
        }
        rig.settle();
        rig
    }

    pub(crate) fn empty() -> Self {
        let (memory, layout) = (Memory::new(1), Layout::default());
        Self {
            memory,
            now: Duration::from_secs(1000),
            nodes: Vec::new(),
            layout,
            hold: Duration::from_secs(300),
            retention: Duration::ZERO,
            lives: 0,
        }
    }

    pub(crate) fn add(&mut self, name: &str, metadata: &[(&str, &str)], carries_registry: bool) {
        let id = machine(name);
        let metadata = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let (session, engine) = self.life(&id, carries_registry, "first");
        self.nodes.push(Node {
            id,
            link: Link::new(Duration::from_secs(1)),
            engine,
            session,
            lease: None,
            metadata,
            carries_registry,
            alive: true,
            agent_works: true,
            runs: BTreeMap::new(),
            applied: 0,
            leaving: false,
            slow: BTreeSet::new(),
            states: States::default(),
            stopping: BTreeSet::new(),
            log: Vec::new(),
            requests: Vec::new(),
            resigned: false,
            newer: false,
        });
        let n = self.nodes.len() - 1;
        self.session(n, SessionInput::Start);
    }

    fn life(&mut self, id: &MachineId, carries_registry: bool, instance: &str) -> (Session, Engine) {
        self.lives += 1;
        let seed = self.lives;
        let session = Session::new(SessionConfig { ttl: TTL, seed });
        let engine = Engine::new(EngineConfig {
            machine: id.clone(),
            instance: instance.to_owned(),
            layout: self.layout.clone(),
            carries_registry,
            brake_hold: self.hold,
            machine_retention: self.retention,
            seed,
            ttl: TTL,
        });
        (session, engine)
    }

    fn wall(&self) -> Now {
        Now { mono: self.now, wall: u64::try_from(self.now.as_millis()).unwrap_or(0) }
    }

    // --- faults ---

    pub(crate) fn find(&self, name: &str) -> usize {
        self.nodes.iter().position(|node| node.id.as_str() == name).expect("a node of that name")
    }

    pub(crate) fn node(&mut self, name: &str) -> &mut Node {
        let n = self.find(name);
        &mut self.nodes[n]
    }

    /// Power loss: nothing runs there any more, and its lease runs out.
    pub(crate) fn kill(&mut self, name: &str) {
        let n = self.find(name);
        let node = &mut self.nodes[n];
        node.alive = false;
        node.runs.clear();
        node.lease = None;
        node.link.abandon(&mut self.memory);
    }

    /// It is stopped for good: it says so, gives back what it has, and lets its lease go.
    pub(crate) fn leave(&mut self, name: &str) {
        self.begin_to_leave(name);
        self.instant();
        let lease = self.node(name).lease.expect("it has a lease");
        self.kill(name);
        self.memory.apply(self.now, Request::LeaseRevoke { id: lease }).expect("the store takes it");
    }

    /// Its fleetd is asked to stop for good, and says so; its units are still to be stopped.
    pub(crate) fn begin_to_leave(&mut self, name: &str) {
        let n = self.find(name);
        self.nodes[n].leaving = true;
        self.register(n);
    }

    /// It boots again: another instance.
    pub(crate) fn boot(&mut self, name: &str) {
        self.restart(name, "second");
    }

    /// fleetd starts again; what runs there goes on.
    pub(crate) fn restart(&mut self, name: &str, instance: &str) {
        let n = self.find(name);
        let (id, carries) = (self.nodes[n].id.clone(), self.nodes[n].carries_registry);
        let (session, engine) = self.life(&id, carries, instance);
        let node = &mut self.nodes[n];
        node.link.abandon(&mut self.memory);
        (node.session, node.engine, node.lease, node.alive) = (session, engine, None, true);
        self.session(n, SessionInput::Start);
    }

    pub(crate) fn connect(&mut self, name: &str, connection: Connection) {
        let (n, now) = (self.find(name), self.now);
        self.nodes[n].link.connect(&mut self.memory, now, connection);
    }

    pub(crate) fn resign(&mut self, name: &str) {
        let n = self.find(name);
        self.engine(n, EngineEvent::Resign);
    }

    // --- what people do ---

    pub(crate) fn put(&mut self, key: &Key, value: &impl Record) {
        let put = PutRequest::new(self.layout.encode(key), value.encode());
        self.write(Operation::Put(put));
    }

    /// Somebody writes this by hand, as etcdctl does.
    pub(crate) fn garble(&mut self, key: &Key, value: &str) {
        let put = PutRequest::new(self.layout.encode(key), value.to_owned());
        self.write(Operation::Put(put));
    }

    pub(crate) fn delete(&mut self, key: &Key) {
        let key = self.layout.encode(key);
        self.write(Operation::Delete(DeleteRequest { key, ..DeleteRequest::default() }));
    }

    pub(crate) fn write(&mut self, operation: Operation) {
        let request = Request::Txn(TxnRequest { success: vec![operation], ..TxnRequest::default() });
        self.memory.apply(self.now, request).expect("the store takes it");
    }

    /// Submits units in one transaction, as the API does.
    pub(crate) fn submit(&mut self, units: &[(&str, &str, DesiredState)]) {
        let mut success = BTreeMap::new();
        for (name, text, desired) in units {
            let file = UnitFile::parse(text).expect("a unit file");
            let content =
                ContentRecord { v: FORMAT, text: text.to_string(), drop_ins: BTreeMap::new(), extra: BTreeMap::new() };
            let record = UnitRecord {
                v: FORMAT,
                content: content.key(),
                hash: file.hash(),
                desired: *desired,
                avoids: None,
                restarts: 0,
                changed: 0,
                changed_by: String::new(),
                extra: BTreeMap::new(),
            };
            success.insert(self.layout.encode(&Key::Content(content.key())), content.encode());
            success.insert(self.layout.encode(&Key::Unit(unit(name))), record.encode());
        }
        let success = success.into_iter().map(|(key, value)| Operation::Put(PutRequest::new(key, value))).collect();
        let request = Request::Txn(TxnRequest { success, ..TxnRequest::default() });
        self.memory.apply(self.now, request).expect("the store takes it");
    }

    pub(crate) fn start(&mut self, name: &str, fleet: &str) {
        self.submit(&[(name, &text(fleet), DesiredState::Launched)]);
    }

    pub(crate) fn desire(&mut self, name: &str, desired: DesiredState) {
        let key = Key::Unit(unit(name));
        let mut record: UnitRecord = self.get(&key).expect("the unit is there");
        record.desired = desired;
        self.put(&key, &record);
    }

    pub(crate) fn operate(&mut self, name: &str, act: impl FnOnce(&mut OperatorRecord)) {
        let mut record = OperatorRecord {
            v: FORMAT,
            metadata: BTreeMap::new(),
            cordoned: false,
            draining: false,
            extra: BTreeMap::new(),
        };
        act(&mut record);
        self.put(&Key::Operator(machine(name)), &record);
    }

    // --- what is there ---

    pub(crate) fn kv(&mut self, key: &Key) -> Option<KeyValue> {
        let request = Request::Range(RangeRequest::key(self.layout.encode(key)));
        match self.memory.apply(self.now, request).expect("the store reads").body {
            ResponseBody::Range(range) => range.kvs.into_iter().next(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn get<T: Record>(&mut self, key: &Key) -> Option<T> {
        self.kv(key).map(|kv| T::decode(&kv.value).expect("a record"))
    }

    /// How many keys there are below a part of the layout.
    pub(crate) fn count(&mut self, below: &str) -> usize {
        let request = Request::Range(RangeRequest::prefix(format!("{}{below}", self.layout.root())));
        match self.memory.apply(self.now, request).expect("the store reads").body {
            ResponseBody::Range(range) => range.kvs.len(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn schedule(&mut self, name: &str) -> Option<ScheduleRecord> {
        // As an agent takes it: one that cannot be read is none.
        self.kv(&Key::Schedule(machine(name))).and_then(|kv| ScheduleRecord::decode(&kv.value).ok())
    }

    pub(crate) fn note(&mut self, name: &str) -> Option<NoteRecord> {
        self.get(&Key::Note(unit(name)))
    }

    pub(crate) fn brake(&mut self) -> Option<BrakeRecord> {
        self.get(&Key::Brake)
    }

    pub(crate) fn leader(&mut self) -> Option<String> {
        self.get::<LeaderRecord>(&Key::Leader).map(|leader| leader.machine.to_string())
    }

    /// Machines whose schedule lists a unit.
    pub(crate) fn listed(&mut self, name: &str) -> Vec<String> {
        let ids: Vec<String> = self.nodes.iter().map(|node| node.id.to_string()).collect();
        let lists = |schedule: &ScheduleRecord| schedule.units.contains_key(&unit(name));
        ids.into_iter().filter(|id| self.schedule(id).as_ref().is_some_and(lists)).collect()
    }

    /// Machines that really run a unit.
    pub(crate) fn running(&self, name: &str) -> Vec<&str> {
        let runs = |node: &&Node| node.runs.contains_key(&unit(name));
        self.nodes.iter().filter(runs).map(|node| node.id.as_str()).collect()
    }

    /// What all engines logged, in words.
    pub(crate) fn log(&self) -> Vec<String> {
        self.nodes.iter().flat_map(|node| node.log.iter().map(|report| format!("{}: {report}", node.id))).collect()
    }

    /// Transactions that wrote schedules, by any engine.
    pub(crate) fn schedule_writes(&self) -> usize {
        let prefix = format!("{}schedule/", self.layout.root());
        let writes = |request: &&Request| match request {
            Request::Txn(txn) => txn.success.iter().any(|operation| match operation {
                Operation::Put(put) => put.key.starts_with(prefix.as_bytes()),
                _ => false,
            }),
            _ => false,
        };
        self.nodes.iter().flat_map(|node| &node.requests).filter(writes).count()
    }

    // --- time ---

    fn session(&mut self, n: usize, input: SessionInput) {
        let now = self.wall();
        for effect in self.nodes[n].session.step(now, input) {
            match effect {
                SessionEffect::Store(effect) => self.nodes[n].link.perform(&mut self.memory, now.mono, effect),
                SessionEffect::Event(event) => {
                    match &event {
                        SessionEvent::Started { lease, .. } => self.nodes[n].lease = Some(*lease),
                        SessionEvent::Lost { .. } => self.nodes[n].lease = None,
                        SessionEvent::Acknowledged { .. } => {}
                    }
                    self.engine(n, EngineEvent::Session(event));
                    self.register(n);
                }
                SessionEffect::Ended => {}
            }
        }
    }

    fn engine(&mut self, n: usize, event: EngineEvent) {
        let now = self.wall();
        for effect in self.nodes[n].engine.step(now, event) {
            let node = &mut self.nodes[n];
            match effect {
                EngineEffect::Store(effect) => {
                    let effect = if node.newer { crate::versions::dress(effect) } else { effect };
                    if let StoreEffect::Call { request, .. } = &effect {
                        node.requests.push(request.clone());
                    }
                    node.link.perform(&mut self.memory, now.mono, effect);
                }
                EngineEffect::Log(report) => node.log.push(report),
                EngineEffect::Resigned => node.resigned = true,
                _ => {}
            }
        }
    }

    /// Writes the machine's record, if its fleetd has a lease and reaches the store.
    fn register(&mut self, n: usize) {
        let node = &self.nodes[n];
        let Some(lease) = node.lease else { return };
        let record = MachineRecord {
            hostname: node.id.to_string(),
            metadata: node.metadata.clone(),
            schedule_seen: node.applied,
            leaving: node.leaving,
            carries_registry: node.carries_registry,
            ..MachineRecord::new(node.id.clone())
        };
        let key = self.layout.encode(&Key::Machine(node.id.clone()));
        let request = Request::Range(RangeRequest::key(key.clone()));
        let found = match self.memory.apply(self.now, request).expect("the store reads").body {
            ResponseBody::Range(range) => range.kvs.into_iter().next(),
            other => panic!("{other:?}"),
        };
        if found.as_ref().is_some_and(|kv| MachineRecord::decode(&kv.value).is_err()) {
            return;
        }
        let same = found.is_some_and(|kv| kv.lease == lease && kv.value == record.encode());
        if !same {
            let put = PutRequest { lease, ..PutRequest::new(key, record.encode()) };
            let request = Request::Txn(TxnRequest { success: vec![Operation::Put(put)], ..TxnRequest::default() });
            // The lease may be gone already; the session will find out.
            let _ = self.memory.apply(self.now, request);
        }
    }

    /// Lets an agent carry out its schedule and acknowledge.
    fn agent(&mut self, n: usize) {
        let id = self.nodes[n].id.to_string();
        let Some(schedule) = self.schedule(&id) else { return };
        let node = &mut self.nodes[n];
        let is_slow = |name: &&UnitName| !schedule.units.contains_key(*name) && node.slow.contains(*name);
        let stopping: BTreeSet<UnitName> = node.runs.keys().filter(is_slow).cloned().collect();
        let same = schedule.generation <= node.applied && stopping == node.stopping;
        if !node.alive || !node.agent_works || node.lease.is_none() || same {
            return;
        }
        node.runs.retain(|name, _| stopping.contains(name));
        node.runs.extend(schedule.units);
        node.stopping.clone_from(&stopping);
        node.applied = schedule.generation;
        let record = AppliedRecord {
            v: FORMAT,
            generation: schedule.generation,
            stopping,
            boot_id: "boot".to_owned(),
            extra: BTreeMap::new(),
        };
        let key = Key::Applied(self.nodes[n].id.clone());
        self.put(&key, &record);
        self.speak(n);
    }

    /// One round over everybody at the present time. False when nothing happened.
    fn round(&mut self) -> bool {
        let before = self.memory.header().revision;
        let mut busy = false;
        for n in 0..self.nodes.len() {
            let events = self.nodes[n].link.poll(&mut self.memory, self.now);
            if !self.nodes[n].alive {
                continue;
            }
            busy |= !events.is_empty();
            for event in events {
                match event.owner() {
                    Owner::Session => self.session(n, SessionInput::Store(event)),
                    _ => self.engine(n, EngineEvent::Store(event)),
                }
            }
            if self.nodes[n].session.wakeup().is_some_and(|at| at <= self.now) {
                self.session(n, SessionInput::Tick);
            }
            if self.nodes[n].engine.wakeup().is_some_and(|at| at <= self.now) {
                self.engine(n, EngineEvent::Tick);
                let next = self.nodes[n].engine.wakeup();
                assert!(next.is_none_or(|at| at > self.now), "woken for {next:?} at {:?} again and again", self.now);
            }
            self.agent(n);
            self.check_never_twice();
        }
        busy || self.memory.header().revision != before
    }

    /// Invariants 1 and 2, against what is listed and what runs.
    fn check_never_twice(&mut self) {
        let mut seen: BTreeMap<UnitName, BTreeSet<String>> = BTreeMap::new();
        for n in 0..self.nodes.len() {
            let id = self.nodes[n].id.to_string();
            for name in self.schedule(&id).map(|schedule| schedule.units).unwrap_or_default().into_keys() {
                seen.entry(name).or_default().insert(id.clone());
            }
        }
        seen.retain(|name, machines| machines.len() > 1 && !name.as_str().starts_with("global"));
        assert!(seen.is_empty(), "listed twice: {seen:?}\n{}", self.log().join("\n"));
    }

    /// Lets everything happen that happens without time passing.
    pub(crate) fn settle(&mut self) {
        self.run(Duration::from_secs(2));
    }

    /// Lets all happen that happens at the present time.
    pub(crate) fn instant(&mut self) {
        for _ in 0..10_000 {
            if !self.round() {
                return;
            }
        }
        panic!("it never comes to rest:\n{}", self.log().join("\n"));
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.instant();
            let wakeups = self
                .nodes
                .iter()
                .filter(|node| node.alive)
                .flat_map(|node| [node.session.wakeup(), node.engine.wakeup(), node.link.next_deadline()]);
            let next = wakeups.chain([self.memory.next_deadline()]).flatten().min();
            match next {
                Some(next) if next <= until => self.now = next.max(self.now + Duration::from_micros(1)),
                _ => break,
            }
            self.memory.expire(self.now);
        }
        self.now = self.now.max(until);
        self.instant();
    }

    /// Lets time pass until a condition holds.
    pub(crate) fn until(&mut self, limit: Duration, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let end = self.now + limit;
        while !holds(self) {
            assert!(self.now < end, "{what}: not within {limit:?}\n{}", self.log().join("\n"));
            self.run(Duration::from_millis(50));
        }
    }
}

/// A unit file with this `[X-Fleet]` section.
pub(crate) fn text(fleet: &str) -> String {
    let section = if fleet.is_empty() { String::new() } else { format!("[X-Fleet]\n{}\n", fleet.replace("; ", "\n")) };
    format!("[Service]\nExecStart=/bin/true\n{section}")
}
