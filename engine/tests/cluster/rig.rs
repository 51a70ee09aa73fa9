//! Several engines, each at the end of its own link to one store, in virtual time.
//!
//! Beside each engine sits an agent as plain as can be: it registers its machine with the session's lease, runs what its
//! schedule lists, and acknowledges. Tests can hold an agent up, cut a link, or kill a machine.

mod records;
mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_engine::{Engine, EngineConfig, EngineEvent, Report};
use fleet_registry::loopback::{Connection, Link};
use fleet_registry::memory::Memory;
use fleet_registry::record::Assignment;
use fleet_registry::store::Request;
use fleet_registry::{Layout, Mono, Now, Session, SessionConfig, SessionInput};
use fleet_units::{MachineId, UnitName};

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
}

/// A unit file with this `[X-Fleet]` section.
pub(crate) fn text(fleet: &str) -> String {
    let section = if fleet.is_empty() { String::new() } else { format!("[X-Fleet]\n{}\n", fleet.replace("; ", "\n")) };
    format!("[Service]\nExecStart=/bin/true\n{section}")
}
