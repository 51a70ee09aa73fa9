//! The two places of those who stand by with a warm mirror: `engine/standby/0` and `engine/standby/1`.

use std::time::Duration;

use fleet_registry::record::{LeaderRecord, Record};
use fleet_registry::store::{
    Compare, CompareTarget, DeleteRequest, Operation, OperationResponse, PutRequest, RangeRequest, Request, Response,
    ResponseBody, StoreError, TxnRequest,
};
use fleet_registry::{Key, Mono, Now};

use super::{Election, ElectionEffect, Phase};

/// How many stand by.
const PLACES: u32 = 2;

/// A place that became free without a change of leader is found by then: at least and at most.
const AFTER_FULL: (Duration, Duration) = (Duration::from_secs(240), Duration::from_secs(360));

/// After an attempt that the store did not answer.
const AFTER_ERROR: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(5));

/// Where this machine is with standing by.
#[derive(Debug, Clone, Default)]
pub(super) enum Standby {
    /// It has no place, and asks for none.
    #[default]
    None,
    /// It asks for this place.
    Asking {
        place: u32,
        call: u64,
    },
    /// Both places were taken; asked again then.
    Full {
        retry: Mono,
    },
    Held {
        place: u32,
    },
}

impl Standby {
    pub(super) fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }

    pub(super) fn wakeup(&self) -> Option<Mono> {
        match self {
            Self::Full { retry } => Some(*retry),
            _ => None,
        }
    }

    /// The lease is gone, and the place with it.
    pub(super) fn lose(&mut self, out: &mut Vec<ElectionEffect>) {
        if self.is_held() {
            out.push(ElectionEffect::StandsBy(false));
        }
        *self = Self::None;
    }
}

impl Election {
    /// Asks for a place, now that another leads.
    pub(super) fn claim_standby(&mut self, now: Now, out: &mut Vec<ElectionEffect>) {
        if matches!(self.standby, Standby::None | Standby::Full { .. }) {
            self.ask_place(now, 0, None, out);
        }
    }

    /// Asks for one place: if it is free, or if `stale`, its mod revision, is what this fleetd left there.
    fn ask_place(&mut self, now: Now, place: u32, stale: Option<i64>, out: &mut Vec<ElectionEffect>) {
        let Some(lease) = self.lease else { return };
        let key = self.config.layout.encode(&Key::Standby(place));
        let record = self.record(now, "standing by");
        let put = PutRequest { lease, ..PutRequest::new(key.clone(), record.encode()) };
        let compare = match stale {
            None => Compare::absent(key.clone()),
            Some(revision) => Compare::modified_at(key.clone(), revision),
        };
        let request = Request::Txn(TxnRequest {
            compare: vec![compare],
            success: vec![Operation::Put(put)],
            failure: vec![Operation::Range(RangeRequest::key(key))],
        });
        let call = self.call(request, out);
        self.standby = Standby::Asking { place, call };
    }

    pub(super) fn standby_answer(
        &mut self,
        now: Now,
        seq: u64,
        result: Result<Response, StoreError>,
        out: &mut Vec<ElectionEffect>,
    ) {
        let Standby::Asking { place, call } = self.standby else { return };
        if call != seq {
            return;
        }
        let Ok(ResponseBody::Txn(txn)) = result.map(|response| response.body) else {
            return self.standby_later(now, AFTER_ERROR);
        };
        if txn.succeeded {
            self.standby = Standby::Held { place };
            out.push(ElectionEffect::StandsBy(true));
            // Elected while the place was asked for.
            if matches!(self.phase, Phase::Leading { .. }) {
                self.release_standby(out);
            }
            return;
        }
        let held = match txn.responses.first() {
            Some(OperationResponse::Range(range)) => range.kvs.first(),
            _ => None,
        };
        let own =
            |record: LeaderRecord| record.machine == self.config.machine && record.instance == self.config.instance;
        let stale = held.filter(|kv| Some(kv.lease) != self.lease && LeaderRecord::decode(&kv.value).is_ok_and(own));
        match stale.map(|kv| kv.mod_revision) {
            Some(revision) => self.ask_place(now, place, Some(revision), out),
            None if place + 1 < PLACES => self.ask_place(now, place + 1, None, out),
            None => self.standby_later(now, AFTER_FULL),
        }
    }

    fn standby_later(&mut self, now: Now, (low, high): (Duration, Duration)) {
        let retry = now.mono + self.jitter.between(low, high);
        self.standby = Standby::Full { retry };
    }

    pub(super) fn standby_due(&mut self, now: Now, out: &mut Vec<ElectionEffect>) {
        if self.standby.wakeup().is_some_and(|at| now.mono >= at) {
            self.standby = Standby::None;
            if matches!(self.phase, Phase::Following) {
                self.claim_standby(now, out);
            }
        }
    }

    /// What gives the place to another, if this machine has one.
    pub(super) fn standby_release(&self) -> Option<TxnRequest> {
        let (Standby::Held { place }, Some(lease)) = (&self.standby, self.lease) else { return None };
        let key = self.config.layout.encode(&Key::Standby(*place));
        Some(TxnRequest {
            compare: vec![Compare::equal(key.clone(), CompareTarget::Lease(lease))],
            success: vec![Operation::Delete(DeleteRequest { key, ..DeleteRequest::default() })],
            failure: Vec::new(),
        })
    }

    /// Gives the place to another, or forgets it when that is done already.
    pub(super) fn release_standby(&mut self, out: &mut Vec<ElectionEffect>) {
        let Some(release) = self.standby_release() else { return };
        // Whatever comes of it, the lease ends it at the latest.
        self.call(Request::Txn(release), out);
        self.standby = Standby::None;
        out.push(ElectionEffect::StandsBy(false));
    }
}
