//! What happens as time passes: sessions, engines, and agents take their turns.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_engine::{EngineEffect, EngineEvent};
use fleet_registry::record::{AppliedRecord, FORMAT, MachineRecord, Record};
use fleet_registry::store::{Operation, PutRequest, RangeRequest, Request, ResponseBody, TxnRequest};
use fleet_registry::{Key, Owner, SessionEffect, SessionEvent, SessionInput, StateMachine, StoreEffect};
use fleet_units::UnitName;

use super::Rig;

impl Rig {
    pub(super) fn session(&mut self, n: usize, input: SessionInput) {
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

    pub(super) fn engine(&mut self, n: usize, event: EngineEvent) {
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
    pub(super) fn register(&mut self, n: usize) {
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
