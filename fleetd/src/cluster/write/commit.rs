//! Creating and changing units.
//!
//! Units are written many to a transaction. Each compares the revision that its unit was read at; when one has moved
//! on, the transaction answers with all of them as they are now, and what is to be done is decided anew.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fleet_api::v2::Outcome;
use fleet_registry::Key;
use fleet_registry::record::{ContentKey, Record, UnitRecord, WallMillis};
use fleet_registry::store::{Compare, Operation, PutRequest, Request, StoreError, TxnRequest, TxnResponse};
use fleet_units::{DesiredState, UnitName};
use tokio::time::Instant;

use super::{ATTEMPTS, Found, PATIENCE, UNITS_A_TRANSACTION, Writer};
use crate::cluster::change::{Change, Decision, Existing};

/// Bytes of texts in one transaction, below etcd's 1.5 MiB.
const BYTES_A_TRANSACTION: usize = 1_000_000;

/// What became of one change.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// What happened.
    pub outcome: Outcome,
    /// Which unit of that name, and what is wanted of it now; absent where it was refused.
    pub unit: Option<(i64, DesiredState)>,
    /// Why it was refused, or what a person should know.
    pub message: Option<String>,
}

/// A unit of a chunk, as it was at first and as it is now.
struct Slot {
    change: Change,
    /// Nobody has looked yet: the unit is taken to be new, which its transaction finds out.
    guessed: bool,
    first_content: Option<ContentKey>,
    current: Option<Existing>,
    /// What is there cannot be read, and why.
    unreadable: Option<String>,
    attempted: Option<(UnitRecord, Outcome)>,
}

impl Slot {
    fn new(change: Change, guessed: bool, current: Found) -> Self {
        let mut slot =
            Self { change, guessed: true, first_content: None, current: None, unreadable: None, attempted: None };
        slot.look(current);
        slot.guessed = guessed;
        slot
    }

    /// Takes in the unit as it is now.
    fn look(&mut self, found: Found) {
        let (current, unreadable) = match found {
            Ok(current) => (current, None),
            Err(why) => (None, Some(why)),
        };
        self.unreadable = unreadable;
        if std::mem::take(&mut self.guessed) {
            self.first_content = current.as_ref().map(|e| e.unit.value.content.clone());
        }
        self.current = current;
    }
}

impl Writer {
    /// Makes changes, each independent of the others, in their order. The revision shows all of them.
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
            // Who sends a text found no such unit, as a rule: then one transaction does, and it looks itself if not.
            let (at, outcomes) = if chunk.iter().all(|change| change.text.is_some() && !change.replace) {
                let slots = chunk.into_iter().map(|change| Slot::new(change, true, Ok(None))).collect();
                self.commit(slots, now, by).await?
            } else {
                let names: Vec<UnitName> = chunk.iter().map(|change| change.name.clone()).collect();
                let existing = self.read(&names).await?;
                self.change_from(chunk, existing, now, by).await?
            };
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
        existing: Vec<Found>,
        now: WallMillis,
        by: &str,
    ) -> Result<(i64, Vec<Applied>), StoreError> {
        let slots = changes.into_iter().zip(existing).map(|(change, current)| Slot::new(change, false, current));
        self.commit(slots.collect(), now, by).await
    }

    async fn commit(&self, mut slots: Vec<Slot>, now: WallMillis, by: &str) -> Result<(i64, Vec<Applied>), StoreError> {
        let deadline = Instant::now() + PATIENCE;
        for _ in 0..ATTEMPTS {
            let decisions = self.decide(&mut slots, now, by).await?;
            let Some(request) = self.transaction(&slots, &decisions) else {
                // What is there already may be newer than a mirror.
                let seen = slots.iter().filter_map(|slot| Some(slot.current.as_ref()?.unit.mod_revision)).max();
                return Ok((seen.unwrap_or_default(), settle(&slots, &decisions, 0)));
            };
            match self.call(Request::Txn(request)).await {
                Ok((revision, response)) if response.succeeded => {
                    return Ok((revision, settle(&slots, &decisions, revision)));
                }
                Ok((_, response)) => self.refresh(&mut slots, response)?,
                Err(error) if (error.is_outage() || error.outcome_unknown()) && Instant::now() < deadline => {
                    // It may have been done: remember what was tried, and look.
                    for (slot, decision) in slots.iter_mut().zip(decisions) {
                        if let Decision::Write { record, outcome, .. } = decision {
                            slot.attempted = Some((record, outcome));
                        }
                    }
                    let names: Vec<UnitName> = slots.iter().map(|slot| slot.change.name.clone()).collect();
                    let existing = self.read_until(&names, deadline).await?;
                    for (slot, existing) in slots.iter_mut().zip(existing) {
                        slot.look(existing);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok((0, slots.iter().map(|_| contended()).collect()))
    }

    fn refresh(&self, slots: &mut [Slot], response: TxnResponse) -> Result<(), StoreError> {
        let names: Vec<UnitName> = slots.iter().map(|slot| slot.change.name.clone()).collect();
        for (slot, existing) in slots.iter_mut().zip(self.decode(&names, response)?) {
            slot.look(existing);
        }
        Ok(())
    }

    /// Decides on every unit, reading stored texts where a decision hangs on them.
    async fn decide(&self, slots: &mut [Slot], now: WallMillis, by: &str) -> Result<Vec<Decision>, StoreError> {
        let mut decisions = Vec::with_capacity(slots.len());
        for slot in slots {
            if let Some(why) = &slot.unreadable {
                decisions.push(Decision::Nothing { outcome: Outcome::Refused, message: Some(why.clone()) });
                continue;
            }
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
            request.success.push(self.put_content(key, value));
        }
        request.failure = slots.iter().map(|slot| self.range(&slot.change.name)).collect();
        Some(request)
    }
}

impl Writer {
    /// Puts a text there unless it is there already: then it is only touched, so that nobody sweeps it, and what a newer
    /// version said beside it stays.
    fn put_content(&self, key: &ContentKey, value: Bytes) -> Operation {
        let key = self.layout.encode(&Key::Content(key.clone()));
        let touch = PutRequest { ignore_value: true, ..PutRequest::new(key.clone(), Bytes::new()) };
        Operation::Txn(TxnRequest {
            compare: vec![Compare::absent(key.clone())],
            success: vec![Operation::Put(PutRequest::new(key, value))],
            failure: vec![Operation::Put(touch)],
        })
    }
}

/// Splits changes into what fits one transaction; no unit stands twice in one.
fn chunks(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut chunks: Vec<Vec<Change>> = Vec::new();
    let mut names = BTreeSet::new();
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
            },
            Decision::Nothing { outcome, message } => Applied {
                outcome: *outcome,
                unit: current.filter(|_| *outcome != Outcome::Refused),
                message: message.clone().or(warnings),
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
    }
}
