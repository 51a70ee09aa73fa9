//! `notes/<unit>`: the one line that people read about a unit that waits, or that was moved.
//!
//! A unit that was placed at once needs no note, so that starting one costs one transaction. What turns up as a note and
//! is not what was written last is written over: it may be a write that was given up on and took effect late.

use std::collections::{BTreeMap, BTreeSet};

use fleet_registry::record::{FORMAT, NoteKind, NoteRecord, Record};
use fleet_registry::store::{Compare, DeleteRequest, Operation, PutRequest, TxnRequest};
use fleet_registry::{Key, Now, View};
use fleet_units::UnitName;

use super::failures::Remark;
use crate::placement::{Decision, Departure, Said};

/// Notes a transaction.
const MAX_NOTES: usize = 120;

/// Notes as they are in the registry, as far as this leader knows, and those to be written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes {
    stored: BTreeMap<UnitName, NoteRecord>,
    wanted: BTreeMap<UnitName, Option<NoteRecord>>,
    in_flight: Option<(u64, BTreeMap<UnitName, Option<NoteRecord>>)>,
    /// When each of these was written or deleted last by this leader, until the view has come as far.
    written: BTreeMap<UnitName, i64>,
    /// Units whose note changed while another was under way to the registry.
    unsure: BTreeSet<UnitName>,
    /// Units whose note in the registry cannot be read.
    unreadable: BTreeSet<UnitName>,
}

impl Notes {
    /// What the registry holds. Notes of units that are gone are to be deleted.
    pub(crate) fn load(view: &View) -> Self {
        let unreadable = view.unreadable.keys().filter_map(|key| match key {
            Key::Note(unit) => Some(unit.clone()),
            _ => None,
        });
        let unreadable: BTreeSet<UnitName> = unreadable.collect();
        let stored: BTreeMap<_, _> = view.notes.iter().map(|(unit, note)| (unit.clone(), note.value.clone())).collect();
        let there = |unit: &UnitName| {
            view.units.contains_key(unit) || view.is_unreadable(|| Key::Unit(unit.clone())) || unreadable.contains(unit)
        };
        let orphans: BTreeSet<_> = stored.keys().filter(|unit| !there(unit)).cloned().collect();
        let wanted = orphans.into_iter().map(|unit| (unit, None)).collect();
        Self { stored, wanted, unreadable, ..Self::default() }
    }

    /// What stands there as a unit's note is another, and everything up to `revision` is in the view. One that cannot be
    /// read is left alone.
    pub(crate) fn changed(&mut self, view: &View, revision: i64, unit: &UnitName) {
        if self.written.get(unit).is_some_and(|written| revision < *written) {
            return;
        }
        if self.is_under_way(unit) {
            self.unsure.insert(unit.clone());
            return;
        }
        if view.is_unreadable(|| Key::Note(unit.clone())) {
            self.unreadable.insert(unit.clone());
            return;
        }
        self.unreadable.remove(unit);
        let found = view.notes.get(unit);
        let own = self.written.remove(unit);
        if found.is_some_and(|note| own == Some(note.mod_revision)) {
            return;
        }
        let found = found.map(|note| &note.value);
        if found == self.stored.get(unit) {
            return;
        }
        let wanted = self.wanted.remove(unit).unwrap_or_else(|| self.stored.remove(unit));
        if found != wanted.as_ref() {
            self.wanted.insert(unit.clone(), wanted);
        }
        match found {
            Some(note) => _ = self.stored.insert(unit.clone(), note.clone()),
            None => _ = self.stored.remove(unit),
        }
    }

    /// Takes in what was decided about a unit, and what there is to say of its failing.
    pub(super) fn decided(&mut self, now: Now, decision: &Decision, remark: Option<Remark>) {
        let moved = decision.left.iter().any(|(_, why)| *why != Departure::Withdrawn);
        let said = Said {
            outcome: &decision.outcome,
            held: decision.held.as_ref(),
            displaced_by: decision.displaced_by.as_ref(),
            circle: decision.circle.as_ref(),
        };
        self.say(now, &decision.unit, decision.uid, said, u32::from(moved), remark);
    }

    /// Takes in what there is to say of a unit: how it is placed, why its start waits, and of its failing.
    pub(super) fn say(
        &mut self,
        now: Now,
        unit: &UnitName,
        uid: i64,
        said: Said<'_>,
        moved: u32,
        remark: Option<Remark>,
    ) {
        let known = match self.wanted.get(unit) {
            Some(wanted) => wanted.as_ref(),
            None => self.stored.get(unit),
        };
        let known = known.filter(|note| note.uid == uid);
        let moves = known.map_or(0, |note| note.moves) + moved;
        let Said { outcome, held, displaced_by, circle } = said;
        let kind = outcome.note_kind().map(|kind| if held.is_some() { NoteKind::Waiting } else { kind });
        let wanted = match kind {
            None => None,
            Some(NoteKind::Placed) if moves == 0 && remark.is_none() && circle.is_none() => None,
            Some(kind) => {
                let (failing, not_before, reason) = match remark {
                    Some(remark) => (Some(remark.failing), remark.not_before, remark.reason),
                    None => (None, None, None),
                };
                let mut note = NoteRecord {
                    v: FORMAT,
                    uid,
                    kind,
                    reason: reason.unwrap_or_else(|| match (held, circle) {
                        (Some(held), _) => held.to_string(),
                        (None, Some(circle)) => format!("{outcome}; {circle}"),
                        (None, None) => outcome.to_string(),
                    }),
                    since: now.wall,
                    moves,
                    not_before,
                    displaced_by: displaced_by.filter(|_| outcome.is_pending()).cloned(),
                    failing,
                    extra: BTreeMap::new(),
                };
                if let Some(known) = known {
                    // What a newer version wrote of this unit stays.
                    note.extra.clone_from(&known.extra);
                    let since = std::mem::replace(&mut note.since, known.since);
                    if note != *known {
                        note.since = since;
                    }
                }
                Some(note)
            }
        };
        if self.stored.get(unit) == wanted.as_ref() && !self.is_under_way(unit) {
            self.wanted.remove(unit);
        } else {
            self.wanted.insert(unit.clone(), wanted);
        }
    }

    /// Whether the registry holds what there is to say of a unit.
    pub(super) fn is_written(&self, unit: &UnitName) -> bool {
        !self.wanted.contains_key(unit) && !self.is_under_way(unit)
    }

    fn is_under_way(&self, unit: &UnitName) -> bool {
        self.in_flight.as_ref().is_some_and(|(_, batch)| batch.contains_key(unit))
    }

    /// The next transaction, if there is anything to write and none is under way.
    pub(crate) fn request(&mut self, view: &View, revision: i64, fence: i64, call: u64) -> Option<TxnRequest> {
        if self.in_flight.is_some() {
            return None;
        }
        for unit in std::mem::take(&mut self.unsure) {
            self.changed(view, revision, &unit);
        }
        self.written.retain(|_, written| *written >= revision);
        if self.wanted.is_empty() {
            return None;
        }
        let layout = view.layout();
        let due = self.wanted.keys().filter(|unit| !self.unreadable.contains(*unit));
        let due: Vec<UnitName> = due.take(MAX_NOTES).cloned().collect();
        let batch: BTreeMap<_, _> = due.into_iter().filter_map(|unit| self.wanted.remove_entry(&unit)).collect();
        if batch.is_empty() {
            return None;
        }
        let operation = |(unit, note): (&UnitName, &Option<NoteRecord>)| {
            let key = layout.encode(&Key::Note(unit.clone()));
            match note {
                Some(note) => Operation::Put(PutRequest::new(key, note.encode())),
                None => Operation::Delete(DeleteRequest { key, ..DeleteRequest::default() }),
            }
        };
        let txn = TxnRequest {
            compare: vec![Compare::created_at(layout.encode(&Key::Leader), fence)],
            success: batch.iter().map(operation).collect(),
            failure: Vec::new(),
        };
        self.in_flight = Some((call, batch));
        Some(txn)
    }

    /// Takes in whether a transaction took effect, and at which revision. False if it is not one of these.
    pub(crate) fn answered(&mut self, call: u64, revision: Option<i64>) -> bool {
        let Some((_, batch)) = self.in_flight.take_if(|(own, _)| *own == call) else { return false };
        self.written.extend(batch.keys().filter_map(|unit| Some((unit.clone(), revision?))));
        for (unit, note) in batch {
            if revision.is_none() {
                // Written again: the same note twice does no harm.
                self.wanted.entry(unit).or_insert(note);
            } else if let Some(note) = note {
                self.stored.insert(unit, note);
            } else {
                self.stored.remove(&unit);
            }
        }
        true
    }
}
