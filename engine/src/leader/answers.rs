//! What the registry answered to a leader's writes.

use fleet_registry::Now;
use fleet_registry::planted::{self, Fault};
use fleet_registry::store::{KeyValue, OperationResponse, Response, ResponseBody, StoreError, TxnResponse};

use super::write::Batch;
use super::{Leader, PAUSE, Stored, Wish};
use crate::report::Report;

impl Leader {
    /// Takes in the answer to a call.
    pub(crate) fn answered(
        &mut self,
        now: Now,
        call: u64,
        result: Result<Response, StoreError>,
        wishes: &mut Vec<Wish>,
    ) {
        let (revision, result) = match result {
            Ok(Response { header, body: ResponseBody::Txn(txn) }) => (header.revision, Ok(txn)),
            Ok(_) => return,
            Err(error) => (0, Err(error)),
        };
        if result.is_err() {
            self.pause_until = now.mono + PAUSE;
        }
        if let Some(batch) = self.writer.in_flight.remove(&call) {
            return self.batch_answered(batch, revision, result, wishes);
        }
        if self.looking == Some(call) {
            self.looking = None;
            if let Ok(txn) = &result {
                self.lay_ghosts(txn, wishes);
            }
            return;
        }
        if self.sweeper.answered(call) {
            return;
        }
        let succeeded = result.as_ref().is_ok_and(|txn| txn.succeeded);
        if let Some(deleted) = self.retention.answered(call, now.mono, succeeded) {
            return wishes.extend(deleted.map(|machine| Wish::Tell(Report::Forgotten { machine })));
        }
        if self.brake_call == Some(call) {
            self.brake_call = None;
            if succeeded {
                self.brake = None;
            }
        } else if self.notes.answered(call, succeeded.then_some(revision)) {
            self.failures.notes_written();
        } else {
            return;
        }
        if result.is_ok() && !succeeded {
            wishes.push(Wish::Fenced);
        }
    }

    fn batch_answered(
        &mut self,
        batch: Batch,
        revision: i64,
        result: Result<TxnResponse, StoreError>,
        wishes: &mut Vec<Wish>,
    ) {
        match result {
            Ok(txn) if txn.succeeded => {
                for write in batch.writes {
                    let newer = self.stored.get(&write.machine).is_none_or(|stored| stored.revision < revision);
                    if newer {
                        self.stored.insert(write.machine, Stored { record: write.record, revision });
                    }
                }
            }
            Ok(txn) => self.batch_refused(&batch, &txn, wishes),
            Err(error) => {
                self.start_over(error.to_string(), wishes);
                if error.outcome_unknown() && !planted::is(Fault::UnknownIsFailed) {
                    self.ghosts.push(batch);
                }
            }
        }
    }

    /// A compare failed: what stands in the way comes with the answer, and the view will show it.
    fn batch_refused(&mut self, batch: &Batch, txn: &TxnResponse, wishes: &mut Vec<Wish>) {
        let mut found = txn.responses.iter().map(revision_of);
        if found.next().flatten().map(|kv| kv.create_revision) != Some(self.fence) {
            return wishes.push(Wish::Fenced);
        }
        let mut why = Vec::new();
        for (write, kv) in batch.writes.iter().zip(found.by_ref()) {
            let revision = kv.map_or(0, |kv| kv.mod_revision);
            if revision == write.replaces {
                continue;
            }
            why.push(format!("the schedule of {} is another", write.machine.short()));
            if revision > 0 {
                self.await_revision = self.await_revision.max(revision);
            } else {
                self.await_gone.insert(write.machine.clone());
            }
        }
        for (machine, kv) in batch.absent().iter().zip(found) {
            if let Some(kv) = kv {
                why.push(format!("{} is back", machine.short()));
                self.await_revision = self.await_revision.max(kv.mod_revision);
            }
        }
        self.start_over(why.join(", "), wishes);
    }
}

/// The key that a look found.
pub(super) fn revision_of(response: &OperationResponse) -> Option<&KeyValue> {
    match response {
        OperationResponse::Range(range) => range.kvs.first(),
        _ => None,
    }
}
