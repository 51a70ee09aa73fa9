//! Fenced writes: they take effect only while this machine's record is the one that this fleetd wrote last.
//!
//! With its lease the record goes, and whatever is written for it then is in vain. A write whose outcome nobody knows may
//! take effect at any later time: it is shut out by writing the record anew, in the transaction that reads what stands
//! there.

use fleet_registry::Now;
use fleet_registry::store::{Compare, Operation, RangeRequest, Response, StoreError, TxnRequest};

use super::Agent;
use super::store::{range, txn};
use crate::effect::Effect;
use crate::report::Report;

/// What became of a fenced write.
#[derive(Debug)]
pub(super) enum Fenced {
    /// It took effect.
    Written {
        /// At this revision.
        revision: i64,
    },
    /// It did not: this machine's record was written anew meanwhile.
    Overtaken,
    /// It did not: this machine's record is not there any more.
    Gone,
    /// There is no answer, or the store refused it.
    Failed(StoreError),
}

impl Agent {
    /// A write that takes effect only while this machine's record is as this fleetd wrote it last.
    pub(super) fn fenced(&self, success: Vec<Operation>) -> TxnRequest {
        let key = self.presence_key();
        TxnRequest {
            compare: vec![Compare::modified_at(key.clone(), self.own_revision)],
            success,
            failure: vec![Operation::Range(RangeRequest::key(key))],
        }
    }

    /// What became of it; the next one compares the record as it is now.
    pub(super) fn fenced_outcome(&mut self, result: Result<Response, StoreError>) -> Fenced {
        let response = match result {
            Ok(response) => response,
            Err(error) => return Fenced::Failed(error),
        };
        let revision = response.header.revision;
        let txn = txn(response).unwrap_or_default();
        if txn.succeeded {
            return Fenced::Written { revision };
        }
        match range(&txn, 0).first().filter(|kv| Some(kv.lease) == self.lease) {
            Some(kv) => {
                self.own_revision = kv.mod_revision;
                Fenced::Overtaken
            }
            None => Fenced::Gone,
        }
    }

    /// Where nothing is known of what became of a write, it is to be shut out; and what stands there is to be read.
    pub(super) fn doubt(&mut self, now: Now, error: &StoreError, out: &mut Vec<Effect>) {
        self.say(Report::StoreTrouble { why: error.message.clone() }, out);
        self.in_doubt |= error.outcome_unknown();
        self.watch_broke(now, out);
    }
}
