//! Writes of the API: what people want, committed by compare-and-set.
//!
//! `commit` creates and changes units, many to a transaction; `remove` destroys them; `operate` is what operators say of
//! machines. What is here reads, and rewrites single records.

mod commit;
mod operate;
mod remove;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fleet_registry::record::{ContentKey, ContentRecord, FORMAT, Record, UnitRecord, Versioned};
use fleet_registry::store::{
    Compare, ErrorKind, KeyValue, Operation, OperationResponse, PutRequest, RangeRequest, Request, Response,
    ResponseBody, StoreError, TxnRequest, TxnResponse,
};
use fleet_registry::{Key, Layout, Store};
use fleet_units::UnitName;
use tokio::time::{Instant, sleep};

use super::change::Existing;

pub use commit::Applied;
pub use operate::Forgotten;

/// Units in one transaction: with their texts they stay below etcd's 128 operations.
const UNITS_A_TRANSACTION: usize = 60;
/// How often a record that others change all the time is tried again.
const ATTEMPTS: usize = 20;
/// How long a store that does not answer is tried again.
const PATIENCE: Duration = Duration::from_secs(4);
/// Pause between such attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// A unit as the store has it, none where there is none; or why its record cannot be read, which then is left alone.
pub type Found = Result<Option<Existing>, String>;

/// Writes to the store on behalf of people.
#[derive(Clone)]
pub struct Writer {
    store: Arc<dyn Store>,
    layout: Layout,
    timeout: Duration,
}

impl Writer {
    /// A writer whose requests take at most `timeout` each.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, layout: Layout, timeout: Duration) -> Self {
        Self { store, layout, timeout }
    }

    /// Reads units as they are now, linearizably.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn read(&self, names: &[UnitName]) -> Result<Vec<Found>, StoreError> {
        self.read_until(names, Instant::now() + PATIENCE).await
    }

    async fn read_until(&self, names: &[UnitName], deadline: Instant) -> Result<Vec<Found>, StoreError> {
        let ranges = names.iter().map(|name| self.range(name)).collect();
        let request = TxnRequest { success: ranges, ..TxnRequest::default() };
        loop {
            match self.call(Request::Txn(request.clone())).await {
                Ok((_, response)) => return self.decode(names, response),
                Err(error) if error.is_outage() && Instant::now() < deadline => sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }

    fn range(&self, name: &UnitName) -> Operation {
        Operation::Range(RangeRequest::key(self.layout.encode(&Key::Unit(name.clone()))))
    }

    fn decode(&self, names: &[UnitName], response: TxnResponse) -> Result<Vec<Found>, StoreError> {
        if response.responses.len() != names.len() {
            return Err(senseless());
        }
        let one = |(name, response): (&UnitName, OperationResponse)| match response {
            OperationResponse::Range(range) => match range.kvs.into_iter().next() {
                None => Ok(Ok(None)),
                Some(kv) => Ok(decode_unit(name, &kv).map(|unit| Some(Existing { unit, content: None }))),
            },
            _ => Err(senseless()),
        };
        names.iter().zip(response.responses).map(one).collect()
    }

    /// Reads a stored text; one that is missing or cannot be read counts as empty, so that it can be replaced.
    async fn content(&self, key: &ContentKey) -> Result<ContentRecord, StoreError> {
        let range = RangeRequest::key(self.layout.encode(&Key::Content(key.clone())));
        let response = self.answer(Request::Range(range)).await?;
        let ResponseBody::Range(range) = response.body else {
            return Err(senseless());
        };
        let found = range.kvs.first().and_then(|kv| ContentRecord::decode(&kv.value).ok());
        let empty =
            || ContentRecord { v: FORMAT, text: String::new(), drop_ins: BTreeMap::new(), extra: BTreeMap::new() };
        Ok(found.unwrap_or_else(empty))
    }

    /// Rewrites one record of the store by compare-and-set, until it holds; `change` gives none where it is as it should
    /// be. Gives the revision that shows it, the record as it was found, and whether it was rewritten.
    ///
    /// # Errors
    /// When the store cannot be reached, or the record cannot be read.
    pub async fn rewrite<R: Record + Clone>(
        &self,
        key: &Key,
        change: impl Fn(Option<R>) -> Option<R>,
    ) -> Result<(i64, Option<R>, bool), StoreError> {
        let stored = self.layout.encode(key);
        for _ in 0..ATTEMPTS {
            let response = self.answer(Request::Range(RangeRequest::key(stored.clone()))).await?;
            let ResponseBody::Range(range) = response.body else {
                return Err(senseless());
            };
            let old = range.kvs.into_iter().next();
            let revision = old.as_ref().map_or(0, |kv| kv.mod_revision);
            let record = old.map(|kv| R::decode(&kv.value)).transpose();
            let record = record.map_err(|e| {
                let key = String::from_utf8_lossy(&stored);
                StoreError::new(ErrorKind::Other, format!("{key}: {e}"))
            })?;
            let Some(new) = change(record.clone()) else {
                return Ok((revision, record, false));
            };
            let request = TxnRequest {
                compare: vec![Compare::modified_at(stored.clone(), revision)],
                success: vec![Operation::Put(PutRequest::new(stored.clone(), new.encode()))],
                failure: Vec::new(),
            };
            let (at, response) = self.call(Request::Txn(request)).await?;
            if response.succeeded {
                return Ok((at, record, true));
            }
        }
        Err(StoreError::new(ErrorKind::Other, "others change it all the time: try again"))
    }

    /// A transaction that does no harm when it is made twice: tried again while the store does not answer. Says, too,
    /// whether an attempt before the one that was answered may have done it.
    async fn call_again(&self, request: TxnRequest) -> Result<(i64, TxnResponse, bool), StoreError> {
        let deadline = Instant::now() + PATIENCE;
        let mut unsure = false;
        loop {
            match self.call(Request::Txn(request.clone())).await {
                Ok((revision, response)) => return Ok((revision, response, unsure)),
                Err(error) if error.is_outage() && Instant::now() < deadline => {
                    unsure |= error.outcome_unknown();
                    sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn call(&self, request: Request) -> Result<(i64, TxnResponse), StoreError> {
        let response = self.answer(request).await?;
        match response.body {
            ResponseBody::Txn(txn) => Ok((response.header.revision, txn)),
            _ => Err(senseless()),
        }
    }

    async fn answer(&self, request: Request) -> Result<Response, StoreError> {
        match tokio::time::timeout(self.timeout, self.store.call(request)).await {
            Ok(answer) => answer,
            Err(_) => {
                Err(StoreError::new(ErrorKind::Unknown, format!("no answer within {} s", self.timeout.as_secs_f64())))
            }
        }
    }
}

fn decode_unit(name: &UnitName, kv: &KeyValue) -> Result<Versioned<UnitRecord>, String> {
    let value = UnitRecord::decode(&kv.value).map_err(|error| format!("units/{name} is left alone: {error}"))?;
    Ok(Versioned { value, create_revision: kv.create_revision, mod_revision: kv.mod_revision, lease: kv.lease })
}

/// The store broke its contract.
fn senseless() -> StoreError {
    StoreError::new(ErrorKind::Other, "the store answered something else than was asked")
}
