//! A real engine and its mirror in a process of its own, for the memory that they take.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleet_engine::{Engine, EngineConfig, EngineEffect, EngineEvent};
use fleet_registry::loopback::Link;
use fleet_registry::memory::Memory;
use fleet_registry::record::{
    AppliedRecord, Capacity, ContentRecord, FORMAT, MachineRecord, Record, ScheduleRecord, StateRecord, UnitRecord,
};
use fleet_registry::store::{Operation, PutRequest, RangeRequest, Request, ResponseBody, TxnRequest};
use fleet_registry::{
    Key, Layout, Now, Owner, Session, SessionConfig, SessionEffect, SessionInput, StateMachine, StoreEvent,
};
use fleet_units::{MachineId, UnitFile};
use serde::{Deserialize, Serialize};

use super::process::Process;
use crate::synthetic::{Shape, Synthetic};

const TTL: Duration = Duration::from_secs(10);

/// What a leader's engine takes once everything runs, in megabytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// What is allocated, the allocator's own overhead included.
    pub(crate) allocated: f64,
    /// What the process has of the machine, with what the store left behind in holes.
    pub(crate) resident: f64,
    /// How many units its schedules list.
    pub(crate) listed: usize,
}

/// Builds a cluster in a store, lets an engine lead it until every unit is placed and reported running, and prints what
/// it takes once the store is gone.
pub(crate) fn print(machines: usize, units: usize) -> Result<()> {
    let mut host = Host::new(&Synthetic::new(Shape::spread(machines, units)))?;
    host.settle();
    let listed = host.report_running()?;
    host.settle();
    let taken = host.taken(listed)?;
    writeln!(io::stdout(), "{}", serde_json::to_string(&taken)?)?;
    Ok(())
}

/// One machine's session and engine, with the store that they talk to.
struct Host {
    memory: Memory,
    layout: Layout,
    link: Link,
    session: Session,
    engine: Engine,
    machines: Vec<MachineId>,
    now: Duration,
}

impl Host {
    fn new(cluster: &Synthetic) -> Result<Self> {
        let (mut memory, layout) = (Memory::new(1), Layout::default());
        fill(&mut memory, &layout, cluster)?;
        let machines: Vec<MachineId> = cluster.machines.iter().map(|facts| facts.id.clone()).collect();
        let config = EngineConfig {
            machine: machines.first().context("there are no machines")?.clone(),
            instance: "first".to_owned(),
            layout: layout.clone(),
            carries_registry: false,
            brake_hold: Duration::ZERO,
            machine_retention: Duration::ZERO,
            seed: 1,
            ttl: TTL,
        };
        let session = Session::new(SessionConfig { ttl: TTL, seed: 1 });
        let (engine, link) = (Engine::new(config), Link::new(Duration::from_secs(1)));
        let mut host = Self { memory, layout, link, session, engine, machines, now: Duration::from_secs(1_000) };
        host.session(SessionInput::Start);
        Ok(host)
    }

    fn now(&self) -> Now {
        Now { mono: self.now, wall: 1_000_000 }
    }

    fn session(&mut self, input: SessionInput) {
        for effect in self.session.step(self.now(), input) {
            match effect {
                SessionEffect::Store(effect) => self.link.perform(&mut self.memory, self.now, effect),
                SessionEffect::Event(event) => self.engine(EngineEvent::Session(event)),
                SessionEffect::Ended => {}
            }
        }
    }

    fn engine(&mut self, event: EngineEvent) {
        for effect in self.engine.step(self.now(), event) {
            if let EngineEffect::Store(effect) = effect {
                self.link.perform(&mut self.memory, self.now, effect);
            }
        }
    }

    /// Lets everything happen that a second brings.
    fn settle(&mut self) {
        for _ in 0..20 {
            loop {
                let events: Vec<StoreEvent> = self.link.poll(&mut self.memory, self.now);
                if events.is_empty() {
                    break;
                }
                for event in events {
                    match event.owner() {
                        Owner::Session => self.session(SessionInput::Store(event)),
                        _ => self.engine(EngineEvent::Store(event)),
                    }
                }
            }
            self.now += Duration::from_millis(50);
            if self.session.wakeup().is_some_and(|at| at <= self.now) {
                self.session(SessionInput::Tick);
            }
            if self.engine.wakeup().is_some_and(|at| at <= self.now) {
                self.engine(EngineEvent::Tick);
            }
        }
    }

    /// Every machine carries out its schedule and says so. Answers how many units are listed.
    fn report_running(&mut self) -> Result<usize> {
        let mut listed = 0;
        for machine in self.machines.clone() {
            let request = Request::Range(RangeRequest::key(self.layout.encode(&Key::Schedule(machine.clone()))));
            let ResponseBody::Range(found) = self.memory.apply(self.now, request)?.body else { continue };
            let Some(kv) = found.kvs.into_iter().next() else { continue };
            let schedule = ScheduleRecord::decode(&kv.value)?;
            let applied = AppliedRecord {
                v: FORMAT,
                generation: schedule.generation,
                stopping: Default::default(),
                boot_id: "b".repeat(36),
                extra: BTreeMap::new(),
            };
            let mut puts = vec![put(&self.layout, &Key::Applied(machine.clone()), &applied)];
            for (unit, given) in schedule.units {
                let state = StateRecord {
                    v: FORMAT,
                    uid: given.uid,
                    content: given.content,
                    restarts: given.restarts,
                    reached: Some(given.target),
                    load: "loaded".to_owned(),
                    active: "active".to_owned(),
                    sub: "running".to_owned(),
                    result: "success".to_owned(),
                    since: 1_000_000,
                    n_restarts: 0,
                    main_pid: 4_711,
                    stop_bound_ms: Some(90_000),
                    error: String::new(),
                    extra: BTreeMap::new(),
                };
                puts.push(put(&self.layout, &Key::State(machine.clone(), unit), &state));
                listed += 1;
            }
            write(&mut self.memory, puts)?;
        }
        Ok(listed)
    }

    /// Ends the store, and looks at what is left.
    fn taken(self, listed: usize) -> Result<Taken> {
        let Self { memory, link, engine, session, .. } = self;
        drop((memory, link, session));
        ensure!(engine.status().leads, "the engine does not lead");
        // SAFETY: both only look at and tidy the allocator's own state.
        let info = unsafe {
            libc::malloc_trim(0);
            libc::mallinfo2()
        };
        let resident = Process::this().memory()?.resident;
        drop(engine);
        Ok(Taken { allocated: (info.uordblks + info.hblkhd) as f64 / 1e6, resident, listed })
    }
}

/// Writes a cluster's records as its machines and its API would.
fn fill(memory: &mut Memory, layout: &Layout, cluster: &Synthetic) -> Result<()> {
    for facts in &cluster.machines {
        let record = MachineRecord {
            hostname: format!("host-{}", facts.id.short()),
            address: Some("192.168.100.100".to_owned()),
            metadata: facts.metadata.clone(),
            capacity: Capacity {
                memory: facts.capacity.memory,
                cpu_millis: facts.capacity.cpu_millis,
                extra: BTreeMap::new(),
            },
            ..MachineRecord::new(facts.id.clone())
        };
        write(memory, vec![put(layout, &Key::Machine(facts.id.clone()), &record)])?;
    }
    for unit in &cluster.units {
        let (prefix, options) = (unit.name.prefix(), &unit.options);
        let text = format!("[Service]\nExecStart=/usr/bin/something --of={prefix}\n[X-Fleet]\n{options}");
        let hash = UnitFile::parse(&text)?.hash();
        let content = ContentRecord { v: FORMAT, text, drop_ins: BTreeMap::new(), extra: BTreeMap::new() };
        let record = UnitRecord {
            v: FORMAT,
            content: content.key(),
            hash,
            desired: fleet_units::DesiredState::Launched,
            avoids: None,
            restarts: 0,
            changed: 1_000_000,
            changed_by: "uid=1000".to_owned(),
            extra: BTreeMap::new(),
        };
        let content = put(layout, &Key::Content(content.key()), &content);
        write(memory, vec![content, put(layout, &Key::Unit(unit.name.clone()), &record)])?;
    }
    Ok(())
}

fn put(layout: &Layout, key: &Key, record: &impl Record) -> Operation {
    Operation::Put(PutRequest::new(layout.encode(key), record.encode()))
}

fn write(memory: &mut Memory, operations: Vec<Operation>) -> Result<()> {
    for some in operations.chunks(100) {
        let request = Request::Txn(TxnRequest { success: some.to_vec(), ..TxnRequest::default() });
        memory.apply(Duration::from_secs(1_000), request)?;
    }
    Ok(())
}
