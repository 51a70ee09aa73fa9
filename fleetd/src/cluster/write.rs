//! Writes of the API: what people want, committed by compare-and-set.
//!
//! Units are written many to a transaction. Each compares the revision that its unit was read at; when one has moved
//! on, the transaction answers with all of them as they are now, and what is to be done is decided anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fleet_api::v2::{DestroyOutcome, Outcome};
use fleet_registry::record::{ContentKey, ContentRecord, Record, UnitRecord, Versioned, WallMillis};
use fleet_registry::store::{
    Compare, DeleteRequest, ErrorKind, KeyValue, Operation, OperationResponse, PutRequest, RangeRequest, Request,
    Response, ResponseBody, StoreError, TxnRequest, TxnResponse,
};
use fleet_registry::{Key, Layout, Store};
use fleet_units::UnitName;
use tokio::time::{Instant, sleep};

use super::change::{Change, Decision, Existing};

/// Units in one transaction: with their texts they stay below etcd's 128 operations.
const UNITS_A_TRANSACTION: usize = 60;
/// Bytes of texts in one transaction, below etcd's 1.5 MiB; one text alone may be larger.
const BYTES_A_TRANSACTION: usize = 700_000;
/// How often a unit that others change all the time is tried again.
const ATTEMPTS: usize = 20;
/// How long a store that does not answer is tried again.
const PATIENCE: Duration = Duration::from_secs(4);
/// Pause between such attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Writes to the store on behalf of people.
#[derive(Clone)]
pub struct Writer {
    store: Arc<dyn Store>,
    layout: Layout,
    timeout: Duration,
}

/// What became of one change.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// What happened.
    pub outcome: Outcome,
    /// Which unit of that name, and what is wanted of it now; absent where it was refused.
    pub unit: Option<(i64, fleet_units::DesiredState)>,
    /// Why it was refused, or what a person should know.
    pub message: Option<String>,
    /// Refused because somebody else gave the unit another text at the same time.
    pub conflict: bool,
}

/// A unit of a chunk, as it was at first and as it is now.
struct Slot {
    change: Change,
    first_content: Option<ContentKey>,
    current: Option<Existing>,
    attempted: Option<(UnitRecord, Outcome)>,
}

impl Writer {
    /// A writer whose requests take at most `timeout` each.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, layout: Layout, timeout: Duration) -> Self {
        Self { store, layout, timeout }
    }

    /// Makes changes, each independent of the others, in their order. The revision is that of the last write, or 0
    /// where nothing had to be written.
    ///
    /// # Errors
    /// When the store cannot be reached; some of the changes may have been made.
    pub async fn change(
        &self,
        changes: Vec<Change>,
        now: WallMillis,
        by: &str,
    ) -> Result<(i64, Vec<Applied>), StoreError> {
        let mut revision = 0;
        let mut applied = Vec::with_capacity(changes.len());
        for chunk in chunks(changes) {
            let names: Vec<UnitName> = chunk.iter().map(|change| change.name.clone()).collect();
            let existing = self.read(&names).await?;
            let (at, outcomes) = self.change_from(chunk, existing, now, by).await?;
            revision = revision.max(at);
            applied.extend(outcomes);
        }
        Ok((revision, applied))
    }

    /// Makes the changes of one chunk, whose units were just read.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn change_from(
        &self,
        changes: Vec<Change>,
        existing: Vec<Option<Existing>>,
        now: WallMillis,
        by: &str,
    ) -> Result<(i64, Vec<Applied>), StoreError> {
        let mut slots: Vec<Slot> = changes
            .into_iter()
            .zip(existing)
            .map(|(change, current)| {
                let first_content = current.as_ref().map(|e| e.unit.value.content.clone());
                Slot { change, first_content, current, attempted: None }
            })
            .collect();
        for _ in 0..ATTEMPTS {
            let decisions = self.decide(&mut slots, now, by).await?;
            let Some(request) = self.transaction(&slots, &decisions) else {
                return Ok((0, settle(&slots, &decisions, 0)));
            };
            let deadline = Instant::now() + PATIENCE;
            match self.call(Request::Txn(request)).await {
                Ok((revision, response)) if response.succeeded => {
                    return Ok((revision, settle(&slots, &decisions, revision)));
                }
                Ok((_, response)) => self.refresh(&mut slots, response)?,
                Err(error) if error.is_outage() || error.outcome_unknown() => {
                    // It may have been done: remember what was tried, and look.
                    for (slot, decision) in slots.iter_mut().zip(decisions) {
                        if let Decision::Write { record, outcome, .. } = decision {
                            slot.attempted = Some((record, outcome));
                        }
                    }
                    let names: Vec<UnitName> = slots.iter().map(|slot| slot.change.name.clone()).collect();
                    let existing = self.read_until(&names, deadline).await?;
                    for (slot, existing) in slots.iter_mut().zip(existing) {
                        slot.current = existing;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok((0, slots.iter().map(|_| contended()).collect()))
    }

    /// Reads units as they are now, linearizably.
    ///
    /// # Errors
    /// When the store cannot be reached, or holds a unit that this version cannot read.
    pub async fn read(&self, names: &[UnitName]) -> Result<Vec<Option<Existing>>, StoreError> {
        self.read_until(names, Instant::now() + PATIENCE).await
    }

    async fn read_until(&self, names: &[UnitName], deadline: Instant) -> Result<Vec<Option<Existing>>, StoreError> {
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

    fn decode(&self, names: &[UnitName], response: TxnResponse) -> Result<Vec<Option<Existing>>, StoreError> {
        if response.responses.len() != names.len() {
            return Err(StoreError::new(ErrorKind::Other, "the store answered something else than was asked"));
        }
        let one = |(name, response): (&UnitName, OperationResponse)| match response {
            OperationResponse::Range(range) => match range.kvs.into_iter().next() {
                None => Ok(None),
                Some(kv) => decode_unit(name, &kv).map(|unit| Some(Existing { unit, content: None })),
            },
            _ => Err(StoreError::new(ErrorKind::Other, "the store answered something else than was asked")),
        };
        names.iter().zip(response.responses).map(one).collect()
    }

    fn refresh(&self, slots: &mut [Slot], response: TxnResponse) -> Result<(), StoreError> {
        let names: Vec<UnitName> = slots.iter().map(|slot| slot.change.name.clone()).collect();
        for (slot, existing) in slots.iter_mut().zip(self.decode(&names, response)?) {
            slot.current = existing;
        }
        Ok(())
    }

    /// Decides on every unit, reading stored texts where a decision hangs on them.
    async fn decide(&self, slots: &mut [Slot], now: WallMillis, by: &str) -> Result<Vec<Decision>, StoreError> {
        let mut decisions = Vec::with_capacity(slots.len());
        for slot in slots {
            if let (Some((record, outcome)), Some(current)) = (&slot.attempted, &slot.current)
                && *record == current.unit.value
            {
                // The write whose answer never came took effect.
                decisions.push(Decision::Nothing { outcome: *outcome, message: None });
                continue;
            }
            let mut decision = slot.change.decide(slot.current.as_ref(), now, by);
            if let (Decision::NeedsContent, Some(current)) = (&decision, &mut slot.current) {
                current.content = Some(self.content(&current.unit.value.content).await?);
                decision = slot.change.decide(slot.current.as_ref(), now, by);
            }
            let current_content = slot.current.as_ref().map(|e| &e.unit.value.content);
            if matches!(decision, Decision::Write { text: true, .. }) && current_content != slot.first_content.as_ref()
            {
                let message = "somebody else gave the unit another text at the same time".to_owned();
                decision = Decision::Nothing { outcome: Outcome::Refused, message: Some(message) };
            }
            decisions.push(decision);
        }
        Ok(decisions)
    }

    /// Reads a stored text; one that is missing counts as empty, so that it can be replaced.
    async fn content(&self, key: &ContentKey) -> Result<ContentRecord, StoreError> {
        let range = RangeRequest::key(self.layout.encode(&Key::Content(key.clone())));
        let response = self.answer(Request::Range(range)).await?;
        let ResponseBody::Range(range) = response.body else {
            return Err(StoreError::new(ErrorKind::Other, "the store answered something else than was asked"));
        };
        match range.kvs.first() {
            Some(kv) => ContentRecord::decode(&kv.value)
                .map_err(|e| StoreError::new(ErrorKind::Other, format!("contents/{key}: {e}"))),
            None => Ok(ContentRecord {
                v: fleet_registry::record::FORMAT,
                text: String::new(),
                drop_ins: BTreeMap::new(),
                extra: BTreeMap::new(),
            }),
        }
    }

    /// The transaction that carries out the decisions, unless there is nothing to do.
    fn transaction(&self, slots: &[Slot], decisions: &[Decision]) -> Option<TxnRequest> {
        let mut request = TxnRequest::default();
        let mut texts: BTreeMap<&ContentKey, Bytes> = BTreeMap::new();
        for (slot, decision) in slots.iter().zip(decisions) {
            let Decision::Write { record, text, .. } = decision else { continue };
            let key = self.layout.encode(&Key::Unit(slot.change.name.clone()));
            let revision = slot.current.as_ref().map_or(0, |e| e.unit.mod_revision);
            request.compare.push(Compare::modified_at(key.clone(), revision));
            request.success.push(Operation::Put(PutRequest::new(key, record.encode())));
            if let Some(text) = slot.change.text.as_ref().filter(|_| *text) {
                texts.insert(&text.key, text.record.encode());
            }
        }
        if request.success.is_empty() {
            return None;
        }
        for (key, value) in texts {
            request
                .success
                .push(Operation::Put(PutRequest::new(self.layout.encode(&Key::Content(key.clone())), value)));
        }
        request.failure = slots.iter().map(|slot| self.range(&slot.change.name)).collect();
        Some(request)
    }

    /// Destroys units, whatever they are, in the order of their names.
    ///
    /// # Errors
    /// When the store cannot be reached; some may have been destroyed.
    pub async fn destroy(&self, names: &[UnitName]) -> Result<(i64, Vec<DestroyOutcome>), StoreError> {
        let mut revision = 0;
        let mut outcomes: BTreeMap<&UnitName, DestroyOutcome> = BTreeMap::new();
        let unique: std::collections::BTreeSet<&UnitName> = names.iter().collect();
        let unique: Vec<&UnitName> = unique.into_iter().collect();
        for chunk in unique.chunks(UNITS_A_TRANSACTION) {
            let delete = |name: &&UnitName| {
                let key = self.layout.encode(&Key::Unit((*name).clone()));
                Operation::Delete(DeleteRequest { key, ..DeleteRequest::default() })
            };
            let request = TxnRequest { success: chunk.iter().map(delete).collect(), ..TxnRequest::default() };
            let deadline = Instant::now() + PATIENCE;
            let mut unsure = false;
            let (at, response) = loop {
                match self.call(Request::Txn(request.clone())).await {
                    Ok(answer) => break answer,
                    Err(error) if error.is_outage() && Instant::now() < deadline => {
                        unsure |= error.outcome_unknown();
                        sleep(PAUSE).await;
                    }
                    Err(error) => return Err(error),
                }
            };
            for (name, response) in chunk.iter().zip(response.responses) {
                let deleted = matches!(response, OperationResponse::Delete(d) if d.deleted > 0);
                if deleted {
                    revision = revision.max(at);
                }
                // After an answer that never came, absent means that the first attempt did it.
                let outcome = if deleted || unsure { DestroyOutcome::Destroyed } else { DestroyOutcome::Absent };
                outcomes.insert(name, outcome);
            }
        }
        Ok((revision, names.iter().map(|name| outcomes.get(name).copied().unwrap_or(DestroyOutcome::Absent)).collect()))
    }

    /// Rewrites one record of the store by compare-and-set, until it holds.
    ///
    /// # Errors
    /// When the store cannot be reached, or the record cannot be read.
    pub async fn rewrite<R: Record + PartialEq>(
        &self,
        key: &Key,
        change: impl Fn(Option<R>) -> R,
    ) -> Result<i64, StoreError> {
        let stored = self.layout.encode(key);
        for _ in 0..ATTEMPTS {
            let response = self.answer(Request::Range(RangeRequest::key(stored.clone()))).await?;
            let ResponseBody::Range(range) = response.body else {
                return Err(StoreError::new(ErrorKind::Other, "the store answered something else than was asked"));
            };
            let old = range.kvs.into_iter().next();
            let revision = old.as_ref().map_or(0, |kv| kv.mod_revision);
            let record = old.map(|kv| R::decode(&kv.value)).transpose();
            let record = record.map_err(|e| StoreError::new(ErrorKind::Other, format!("{stored:?}: {e}")))?;
            let request = TxnRequest {
                compare: vec![Compare::modified_at(stored.clone(), revision)],
                success: vec![Operation::Put(PutRequest::new(stored.clone(), change(record).encode()))],
                failure: Vec::new(),
            };
            let (at, response) = self.call(Request::Txn(request)).await?;
            if response.succeeded {
                return Ok(at);
            }
        }
        Err(StoreError::new(ErrorKind::Other, "others change it all the time: try again"))
    }

    async fn call(&self, request: Request) -> Result<(i64, TxnResponse), StoreError> {
        let response = self.answer(request).await?;
        match response.body {
            ResponseBody::Txn(txn) => Ok((response.header.revision, txn)),
            _ => Err(StoreError::new(ErrorKind::Other, "the store answered something else than was asked")),
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

fn decode_unit(name: &UnitName, kv: &KeyValue) -> Result<Versioned<UnitRecord>, StoreError> {
    let value =
        UnitRecord::decode(&kv.value).map_err(|e| StoreError::new(ErrorKind::Other, format!("units/{name}: {e}")))?;
    Ok(Versioned { value, create_revision: kv.create_revision, mod_revision: kv.mod_revision, lease: kv.lease })
}

/// Splits changes into what fits one transaction; no unit stands twice in one.
fn chunks(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut chunks: Vec<Vec<Change>> = Vec::new();
    let mut names = std::collections::BTreeSet::new();
    let mut bytes = 0;
    for change in changes {
        let size = change
            .text
            .as_ref()
            .map_or(0, |text| text.record.text.len() + text.record.drop_ins.values().map(String::len).sum::<usize>());
        let full = chunks.last().is_none_or(|chunk| {
            chunk.len() >= UNITS_A_TRANSACTION || bytes + size > BYTES_A_TRANSACTION || names.contains(&change.name)
        });
        if full {
            chunks.push(Vec::new());
            names.clear();
            bytes = 0;
        }
        bytes += size;
        names.insert(change.name.clone());
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(change);
        }
    }
    chunks
}

/// What to answer for each unit once its decision is carried out, at `revision`.
fn settle(slots: &[Slot], decisions: &[Decision], revision: i64) -> Vec<Applied> {
    let one = |(slot, decision): (&Slot, &Decision)| {
        let current = slot.current.as_ref().map(|e| (e.unit.create_revision, e.unit.value.desired));
        let warnings = slot.change.text.as_ref().map(|text| text.warnings.join("; ")).filter(|w| !w.is_empty());
        match decision {
            Decision::Write { record, outcome, .. } => Applied {
                outcome: *outcome,
                unit: Some((current.map_or(revision, |(uid, _)| uid), record.desired)),
                message: warnings,
                conflict: false,
            },
            Decision::Nothing { outcome, message } => Applied {
                outcome: *outcome,
                unit: current.filter(|_| *outcome != Outcome::Refused),
                message: message.clone().or(warnings),
                conflict: *outcome == Outcome::Refused && slot.change.text.is_some(),
            },
            Decision::NeedsContent => contended(),
        }
    };
    slots.iter().zip(decisions).map(one).collect()
}

fn contended() -> Applied {
    Applied {
        outcome: Outcome::Refused,
        unit: None,
        message: Some("others change the unit all the time: try again".to_owned()),
        conflict: true,
    }
}
