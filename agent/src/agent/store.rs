//! Which store call an answer belongs to, and where it goes.

use std::collections::BTreeMap;

use fleet_registry::record::{ClusterId, ContentKey};
use fleet_registry::store::{
    KeyValue, OperationResponse, Request, Response, ResponseBody, StoreError, TxnRequest, TxnResponse, WatchItem,
    WatchRequest,
};
use fleet_registry::{CallId, Now, Owner, StoreEffect, StoreEvent, WatchId};
use fleet_units::UnitName;

use super::Agent;
use super::progress::Progress;
use crate::effect::Effect;

/// What this machine's record says of catching up.
pub(super) type CatchingUp = bool;

/// What a call was for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Purpose {
    /// Read `cluster`.
    ClusterRead,
    /// Read this machine's record, to know the store again.
    Recognise,
    /// Write `cluster` into an empty store.
    ClusterCreate(ClusterId),
    /// Write this machine's record where there is none.
    Register,
    /// Write it over the record of a fleetd of this boot.
    TakeBack { catching_up: CatchingUp },
    /// Read the schedule, and what this machine wrote before; where a write is in doubt, with the machine's record written
    /// anew.
    Read { rewritten: Option<CatchingUp> },
    /// Acknowledge, and say that the machine is caught up.
    CatchUp { progress: Progress },
    /// Write this machine's record anew.
    Rewrite { catching_up: CatchingUp },
    /// Fetch a text.
    Content(ContentKey),
    /// Read the records of these units, if there are any.
    Known(Vec<UnitName>),
    /// Write observed states and acknowledgements.
    Publish,
}

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watched {
    /// This machine's schedule.
    Schedule,
    /// This machine's record.
    Presence,
}

/// Calls and watches under way.
#[derive(Debug, Default)]
pub(super) struct Calls {
    next: u64,
    calls: BTreeMap<u64, Purpose>,
    watches: BTreeMap<u64, Watched>,
}

impl Calls {
    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Answers to calls that are not for texts are not waited for any more.
    pub(super) fn forget(&mut self) {
        self.calls.retain(|_, purpose| matches!(purpose, Purpose::Content(_)));
    }

    /// Neither are those to observed states: what became of them was read.
    pub(super) fn forget_published(&mut self) {
        self.calls.retain(|_, purpose| *purpose != Purpose::Publish);
    }
}

/// The answers of a transaction, whether its compares held or not.
pub(super) fn txn(response: Response) -> Option<TxnResponse> {
    match response.body {
        ResponseBody::Txn(txn) => Some(txn),
        _ => None,
    }
}

/// The keys that one operation of a transaction read.
pub(super) fn range(txn: &TxnResponse, index: usize) -> &[KeyValue] {
    match txn.responses.get(index) {
        Some(OperationResponse::Range(range)) => &range.kvs,
        _ => &[],
    }
}

impl Agent {
    pub(super) fn call(&mut self, purpose: Purpose, request: Request, out: &mut Vec<Effect>) {
        let seq = self.calls.id();
        self.calls.calls.insert(seq, purpose);
        out.push(Effect::Store(StoreEffect::Call { id: CallId { owner: Owner::Agent, seq }, request }));
    }

    pub(super) fn transact(&mut self, purpose: Purpose, request: TxnRequest, out: &mut Vec<Effect>) {
        self.call(purpose, Request::Txn(request), out);
    }

    pub(super) fn watch(&mut self, watched: Watched, request: WatchRequest, out: &mut Vec<Effect>) {
        let seq = self.calls.id();
        self.calls.watches.insert(seq, watched);
        out.push(Effect::Store(StoreEffect::Watch { id: WatchId { owner: Owner::Agent, seq }, request }));
    }

    pub(super) fn cancel_watches(&mut self, out: &mut Vec<Effect>) {
        for seq in std::mem::take(&mut self.calls.watches).into_keys() {
            out.push(Effect::Store(StoreEffect::CancelWatch { id: WatchId { owner: Owner::Agent, seq } }));
        }
    }

    pub(super) fn on_store(&mut self, now: Now, event: StoreEvent, out: &mut Vec<Effect>) {
        match event {
            StoreEvent::Answer { id, result } if id.owner == Owner::Agent => {
                if let Some(purpose) = self.calls.calls.remove(&id.seq) {
                    self.on_answer(now, purpose, result, out);
                }
            }
            StoreEvent::Watch { id, item } if id.owner == Owner::Agent => {
                if let Some(watched) = self.calls.watches.get(&id.seq).copied() {
                    self.on_watch(now, id.seq, watched, item, out);
                }
            }
            StoreEvent::Answer { .. } | StoreEvent::Watch { .. } => {}
        }
    }

    fn on_answer(&mut self, now: Now, purpose: Purpose, result: Result<Response, StoreError>, out: &mut Vec<Effect>) {
        if let Ok(response) = &result {
            self.revision = self.revision.max(response.header.revision);
        }
        match purpose {
            Purpose::Content(key) => self.on_content(now, &key, result, out),
            Purpose::Publish => self.on_published(now, result, out),
            Purpose::Known(names) => self.on_known(now, &names, result, out),
            Purpose::Rewrite { catching_up } => self.on_rewritten(now, catching_up, result, out),
            Purpose::ClusterRead => self.on_cluster_read(now, result, out),
            Purpose::ClusterCreate(id) => self.on_cluster_created(now, id, result, out),
            Purpose::Recognise => self.on_recognised(now, result, out),
            Purpose::Register => self.on_registered(now, result, out),
            Purpose::TakeBack { catching_up } => self.on_taken_back(now, catching_up, result, out),
            Purpose::Read { rewritten } => self.on_read(now, rewritten, result, out),
            Purpose::CatchUp { progress } => self.on_caught_up(now, progress, result, out),
        }
    }

    fn on_watch(
        &mut self,
        now: Now,
        seq: u64,
        watched: Watched,
        item: Result<WatchItem, StoreError>,
        out: &mut Vec<Effect>,
    ) {
        match item {
            Ok(WatchItem::Events { header, events }) => {
                self.revision = self.revision.max(header.revision);
                for event in events {
                    match watched {
                        Watched::Schedule => self.on_schedule_event(&event, out),
                        Watched::Presence => self.on_presence_event(now, &event, out),
                    }
                }
            }
            Ok(WatchItem::Created { .. } | WatchItem::Progress { .. }) => {}
            Err(_) => {
                self.calls.watches.remove(&seq);
                self.watch_broke(now, out);
            }
        }
    }
}
