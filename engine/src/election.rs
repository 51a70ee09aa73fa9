//! Who leads: create-if-absent with the session's lease, and a watch on its deletion.
//!
//! A candidate watches `engine/leader` alone. When it goes away, the two that stand by with a warm mirror try at once,
//! the others after a random wait, the machine that carries the registry last. The create revision of the key is the
//! fence that every write of a schedule compares: a leader that was deposed and does not know it yet can write nothing.

mod learn;
mod standby;

use std::time::Duration;

use fleet_registry::record::{FORMAT, LeaderRecord, Record, RecordError};
use fleet_registry::store::{
    Compare, DeleteRequest, Header, KeyValue, Operation, OperationResponse, PutRequest, RangeRequest, Request,
    Response, ResponseBody, StoreError, TxnRequest, WatchRequest,
};
use fleet_registry::{
    CallId, Jitter, Key, Layout, Mono, Now, Owner, SessionEvent, StateMachine, StoreEffect, StoreEvent, WatchId,
};
use fleet_units::MachineId;

use standby::Standby;

/// What a leader writes into its record just before it deletes it.
const RESIGNING: &str = "resigning";

/// Candidates without a warm mirror wait up to this long.
const SPREAD: Duration = Duration::from_millis(200);

/// The machine that carries the registry waits this long, so that it leads only where nobody else would.
const LAST: Duration = Duration::from_millis(500);

/// Between two attempts to read or watch the key, at least and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// What an election needs to know.
#[derive(Debug, Clone)]
pub struct ElectionConfig {
    /// This machine.
    pub machine: MachineId,
    /// Its fleetd: a restarted one has the same, a rebooted machine another.
    pub instance: String,
    /// Where the keys are.
    pub layout: Layout,
    /// Whether this machine carries the embedded registry.
    pub carries_registry: bool,
    /// Spreads waits.
    pub seed: u64,
}

/// What happens to an election.
#[derive(Debug, Clone)]
pub enum ElectionInput {
    /// The lease.
    Session(SessionEvent),
    /// From the store.
    Store(StoreEvent),
    /// The wakeup time has come.
    Tick,
    /// A write of the leader's found another leader key than its own.
    Fenced,
    /// Give up leadership, and stand no more.
    Resign,
}

/// What an election wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum ElectionEffect {
    /// Of the store.
    Store(StoreEffect),
    /// This machine leads.
    Elected {
        /// Create revision of the key: the fence.
        fence: i64,
        /// Why it stood.
        why: String,
    },
    /// It does not lead any more.
    Deposed {
        /// Why.
        why: String,
    },
    /// Whether this machine stands by, and so keeps a warm mirror.
    StandsBy(bool),
    /// Another machine leads, or none.
    Leader(Option<LeaderRecord>),
    /// Who leads cannot be read: whoever holds the key holds it, and nobody stands.
    Unreadable {
        /// Why.
        why: String,
    },
    /// After [`ElectionInput::Resign`]: done.
    Resigned,
}

/// Who holds the key.
#[derive(Debug, Clone, PartialEq)]
struct Holder {
    record: Result<LeaderRecord, RecordError>,
    create_revision: i64,
    lease: i64,
}

impl Holder {
    fn from(kv: &KeyValue) -> Self {
        let record = LeaderRecord::decode(&kv.value);
        Self { record, create_revision: kv.create_revision, lease: kv.lease }
    }
}

#[derive(Debug, Clone)]
enum Phase {
    /// No lease, or the key was not read yet.
    Idle,
    /// Another leads.
    Following,
    /// Nobody leads: stands at this time.
    Waiting {
        at: Mono,
        why: String,
    },
    Campaigning {
        call: u64,
        why: String,
    },
    /// Its own key of an earlier life is being deleted.
    Clearing {
        call: u64,
    },
    Leading {
        fence: i64,
    },
    Resigning {
        call: u64,
        fence: i64,
        marked: bool,
    },
    Resigned,
}

/// How it learns who holds the key.
#[derive(Debug, Clone)]
enum Sensor {
    Off,
    Retry { at: Mono },
    Reading { call: u64 },
    Watching { watch: u64 },
}

/// The election's state machine.
#[derive(Debug, Clone)]
pub struct Election {
    config: ElectionConfig,
    jitter: Jitter,
    names: u64,
    lease: Option<i64>,
    phase: Phase,
    sensor: Sensor,
    /// What was last learnt of the key, and at which revision.
    latest: Option<(i64, Option<Holder>)>,
    /// Who was last said to lead.
    said: Option<Option<LeaderRecord>>,
    standby: Standby,
}

impl Election {
    /// An election that begins with the session's first lease.
    #[must_use]
    pub fn new(config: ElectionConfig) -> Self {
        let jitter = Jitter::new(config.seed);
        Self {
            config,
            jitter,
            names: 0,
            lease: None,
            phase: Phase::Idle,
            sensor: Sensor::Off,
            latest: None,
            said: None,
            standby: Standby::default(),
        }
    }

    /// The fence, while this machine leads.
    #[must_use]
    pub fn fence(&self) -> Option<i64> {
        match self.phase {
            Phase::Leading { fence } => Some(fence),
            _ => None,
        }
    }

    fn key(&self) -> bytes::Bytes {
        self.config.layout.encode(&Key::Leader)
    }

    fn call(&mut self, request: Request, out: &mut Vec<ElectionEffect>) -> u64 {
        self.names += 1;
        let id = CallId { owner: Owner::Election, seq: self.names };
        out.push(ElectionEffect::Store(StoreEffect::Call { id, request }));
        id.seq
    }

    fn record(&self, now: Now, why: &str) -> LeaderRecord {
        LeaderRecord {
            v: FORMAT,
            machine: self.config.machine.clone(),
            instance: self.config.instance.clone(),
            since: now.wall,
            why: why.to_owned(),
            extra: Default::default(),
        }
    }

    fn session(&mut self, event: &SessionEvent, out: &mut Vec<ElectionEffect>) {
        match event {
            SessionEvent::Started { lease, .. } if self.lease != Some(*lease) => {
                self.lose_lease(out);
                self.lease = Some(*lease);
                if !matches!(self.phase, Phase::Resigned) {
                    self.read(out);
                }
            }
            SessionEvent::Lost { lease } if self.lease == Some(*lease) => self.lose_lease(out),
            _ => {}
        }
    }

    fn lose_lease(&mut self, out: &mut Vec<ElectionEffect>) {
        self.lease = None;
        self.unwatch(out);
        self.standby.lose(out);
        match self.phase {
            Phase::Leading { .. } => self.deposed("its lease ended", out),
            Phase::Resigning { .. } => {
                self.phase = Phase::Resigned;
                out.push(ElectionEffect::Resigned);
            }
            Phase::Resigned => {}
            _ => self.phase = Phase::Idle,
        }
        self.latest = None;
    }

    fn deposed(&mut self, why: &str, out: &mut Vec<ElectionEffect>) {
        self.phase = Phase::Idle;
        out.push(ElectionEffect::Deposed { why: why.to_owned() });
    }

    fn read(&mut self, out: &mut Vec<ElectionEffect>) {
        self.unwatch(out);
        let request = Request::Range(RangeRequest::key(self.key()));
        let call = self.call(request, out);
        self.sensor = Sensor::Reading { call };
    }

    fn unwatch(&mut self, out: &mut Vec<ElectionEffect>) {
        if let Sensor::Watching { watch } = self.sensor {
            let id = WatchId { owner: Owner::Election, seq: watch };
            out.push(ElectionEffect::Store(StoreEffect::CancelWatch { id }));
        }
        self.sensor = Sensor::Off;
    }

    fn read_later(&mut self, now: Now, out: &mut Vec<ElectionEffect>) {
        self.unwatch(out);
        let at = now.mono + self.jitter.between(RETRY.0, RETRY.1);
        self.sensor = Sensor::Retry { at };
    }

    fn watch(&mut self, revision: i64, out: &mut Vec<ElectionEffect>) {
        self.names += 1;
        let id = WatchId { owner: Owner::Election, seq: self.names };
        let request = WatchRequest { progress_notify: true, ..WatchRequest::key(self.key(), revision) };
        out.push(ElectionEffect::Store(StoreEffect::Watch { id, request }));
        self.sensor = Sensor::Watching { watch: id.seq };
    }

    fn stand(&mut self, now: Now, why: String, out: &mut Vec<ElectionEffect>) {
        let Some(lease) = self.lease else { return };
        let key = self.key();
        let record = self.record(now, &why);
        let put = PutRequest { lease, ..PutRequest::new(key.clone(), record.encode()) };
        let mut success = vec![Operation::Put(put)];
        // In the same revision, so that whoever hears of the new leader finds the place free.
        success.extend(self.standby_release().map(Operation::Txn));
        let request = Request::Txn(TxnRequest {
            compare: vec![Compare::absent(key.clone())],
            success,
            failure: vec![Operation::Range(RangeRequest::key(key))],
        });
        let call = self.call(request, out);
        self.phase = Phase::Campaigning { call, why };
    }

    fn answer(&mut self, now: Now, seq: u64, result: Result<Response, StoreError>, out: &mut Vec<ElectionEffect>) {
        match &self.phase {
            Phase::Campaigning { call, why } if *call == seq => {
                let why = why.clone();
                return self.campaigned(now, why, result, out);
            }
            Phase::Clearing { call } if *call == seq => return self.cleared(now, result, out),
            Phase::Resigning { call, fence, marked } if *call == seq => {
                let (fence, marked) = (*fence, *marked);
                return self.resigning(fence, marked, out);
            }
            _ => {}
        }
        if matches!(self.sensor, Sensor::Reading { call } if call == seq) {
            match result {
                Ok(Response { header, body: ResponseBody::Range(range) }) => {
                    // A linearizable read below what was known: the store was restored, and what was known is void.
                    self.latest.take_if(|(known, _)| header.revision < *known);
                    self.watch(header.revision + 1, out);
                    self.learn(now, header.revision, range.kvs.first().map(Holder::from), out);
                }
                _ => self.read_later(now, out),
            }
            return;
        }
        self.standby_answer(now, seq, result, out);
    }

    /// What came of standing.
    fn campaigned(
        &mut self,
        now: Now,
        why: String,
        result: Result<Response, StoreError>,
        out: &mut Vec<ElectionEffect>,
    ) {
        self.phase = Phase::Idle;
        match result.map(|response| (response.header, response.body)) {
            Ok((header, ResponseBody::Txn(txn))) if txn.succeeded => {
                let newer = self.latest.take().filter(|(revision, _)| *revision > header.revision);
                let record = self.record(now, &why);
                let fence = header.revision;
                self.said = Some(Some(record.clone()));
                out.push(ElectionEffect::Leader(Some(record.clone())));
                let holder = Holder { record: Ok(record), create_revision: fence, lease: self.lease.unwrap_or(0) };
                self.latest = Some((fence, Some(holder)));
                self.lead(fence, why, out);
                if let Some((revision, holder)) = newer {
                    self.learn(now, revision, holder, out);
                }
            }
            Ok((header, ResponseBody::Txn(txn))) => match newest(&header, txn.responses.first(), self.latest.take()) {
                Some((revision, holder)) => self.learn(now, revision, holder, out),
                None => self.read_later(now, out),
            },
            // Whether it took effect shows when the key is read.
            _ => self.read_later(now, out),
        }
    }

    fn lead(&mut self, fence: i64, why: String, out: &mut Vec<ElectionEffect>) {
        self.phase = Phase::Leading { fence };
        out.push(ElectionEffect::Elected { fence, why });
        // The transaction that made it leader gave its place to another.
        self.standby.lose(out);
    }

    fn cleared(&mut self, now: Now, result: Result<Response, StoreError>, out: &mut Vec<ElectionEffect>) {
        self.phase = Phase::Idle;
        self.latest = None;
        match result.map(|response| response.body) {
            Ok(ResponseBody::Txn(txn)) if txn.succeeded => self.stand(now, "fleetd restarted".to_owned(), out),
            _ => self.read_later(now, out),
        }
    }

    fn resign(&mut self, now: Now, out: &mut Vec<ElectionEffect>) {
        let fence = match self.phase {
            Phase::Leading { fence } => fence,
            Phase::Resigning { .. } | Phase::Resigned => return,
            _ => {
                self.unwatch(out);
                self.release_standby(out);
                self.phase = Phase::Resigned;
                return out.push(ElectionEffect::Resigned);
            }
        };
        // Marked first, so that those who wait know that this is no loss.
        let key = self.key();
        let record = self.record(now, RESIGNING);
        let put = PutRequest { lease: self.lease.unwrap_or(0), ..PutRequest::new(key.clone(), record.encode()) };
        let request = Request::Txn(TxnRequest {
            compare: vec![Compare::created_at(key, fence)],
            success: vec![Operation::Put(put)],
            failure: Vec::new(),
        });
        let call = self.call(request, out);
        self.phase = Phase::Resigning { call, fence, marked: false };
        out.push(ElectionEffect::Deposed { why: "it resigned".to_owned() });
    }

    fn resigning(&mut self, fence: i64, marked: bool, out: &mut Vec<ElectionEffect>) {
        if marked {
            self.unwatch(out);
            self.phase = Phase::Resigned;
            return out.push(ElectionEffect::Resigned);
        }
        let key = self.key();
        let request = Request::Txn(TxnRequest {
            compare: vec![Compare::created_at(key.clone(), fence)],
            success: vec![Operation::Delete(DeleteRequest { key, ..DeleteRequest::default() })],
            failure: Vec::new(),
        });
        let call = self.call(request, out);
        self.phase = Phase::Resigning { call, fence, marked: true };
    }

    fn due(&mut self, now: Now, out: &mut Vec<ElectionEffect>) {
        if matches!(self.sensor, Sensor::Retry { at } if now.mono >= at) {
            self.read(out);
        }
        if let Phase::Waiting { at, why } = &self.phase
            && now.mono >= *at
        {
            let why = why.clone();
            self.stand(now, why, out);
        }
        self.standby_due(now, out);
    }
}

/// The newer of what an answer and what the watch said.
fn newest(
    header: &Header,
    response: Option<&OperationResponse>,
    latest: Option<(i64, Option<Holder>)>,
) -> Option<(i64, Option<Holder>)> {
    let Some(OperationResponse::Range(range)) = response else { return latest };
    let answered = (header.revision, range.kvs.first().map(Holder::from));
    Some(latest.filter(|(revision, _)| *revision > header.revision).unwrap_or(answered))
}

impl StateMachine for Election {
    type Event = ElectionInput;
    type Effect = ElectionEffect;

    fn step(&mut self, now: Now, event: ElectionInput) -> Vec<ElectionEffect> {
        let mut out = Vec::new();
        match event {
            ElectionInput::Session(event) => self.session(&event, &mut out),
            ElectionInput::Store(StoreEvent::Answer { id, result }) if id.owner == Owner::Election => {
                self.answer(now, id.seq, result, &mut out);
            }
            ElectionInput::Store(StoreEvent::Watch { id, item }) if id.owner == Owner::Election => {
                if matches!(self.sensor, Sensor::Watching { watch } if watch == id.seq) {
                    self.watched(now, item, &mut out);
                }
            }
            ElectionInput::Store(_) | ElectionInput::Tick => {}
            ElectionInput::Fenced => {
                if matches!(self.phase, Phase::Leading { .. }) {
                    self.deposed("another leader's key is there", &mut out);
                    self.latest = None;
                    self.read(&mut out);
                }
            }
            ElectionInput::Resign => self.resign(now, &mut out),
        }
        self.due(now, &mut out);
        out
    }

    fn wakeup(&self) -> Option<Mono> {
        let sensor = match self.sensor {
            Sensor::Retry { at } => Some(at),
            _ => None,
        };
        let phase = match self.phase {
            Phase::Waiting { at, .. } => Some(at),
            _ => None,
        };
        [sensor, phase, self.standby.wakeup()].into_iter().flatten().min()
    }
}
