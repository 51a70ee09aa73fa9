//! A store that knows less of this machine than was carried out here: it was restored from a backup.
//!
//! What was begun after the backup is in no record, and no schedule will list it: for once that is no reason to stop it.
//! Such units become orphans, which are shown and left alone. Only then is the engine told how far this machine has come,
//! so that it continues above that; what it writes from then on counts as ever.

use std::collections::BTreeSet;

use fleet_registry::store::{Operation, RangeRequest, Response, StoreError, TxnRequest};
use fleet_registry::{Key, Now};
use fleet_units::UnitName;

use super::Agent;

use super::store::{Purpose, range, txn};
use crate::effect::{DiskEffect, Effect, Op};
use crate::report::Report;

/// At most this many keys a transaction: etcd takes 128 operations.
const BATCH: usize = 100;

/// What has to be found out before the engine is told.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    /// Questions under way.
    asked: usize,
    /// Notes being written.
    notes: BTreeSet<Op>,
}

impl Unknown {
    fn is_pending(&self) -> bool {
        self.asked > 0 || !self.notes.is_empty()
    }
}

impl Agent {
    /// The highest generation that this machine knows of: a schedule below it is from a backup.
    pub(super) fn newest_known(&self) -> u64 {
        self.memory.acknowledged.max(self.schedule.as_ref().map_or(0, |schedule| schedule.generation))
    }

    /// The store's schedule of this machine is older than what was carried out here, or there is none any more. Asks for
    /// the records of all units that are held here for this cluster: there may be none. Until a schedule comes that is
    /// newer than all that was carried out, nothing is touched.
    pub(super) fn on_restored(&mut self, out: &mut Vec<Effect>) {
        if self.unknown.is_pending() {
            return;
        }
        self.memory.acknowledged = self.newest_known();
        (self.schedule, self.remembering) = (None, None);
        self.publisher.withdraw();
        for unit in self.units.values_mut() {
            (unit.wanted, unit.unlisted) = (None, false);
        }
        let cluster = self.cluster.as_ref();
        let held: Vec<UnitName> =
            self.units.iter().filter(|(_, unit)| unit.is_own(cluster)).map(|(name, _)| name.clone()).collect();
        for names in held.chunks(BATCH) {
            let key = |name: &UnitName| self.config.layout.encode(&Key::Unit(name.clone()));
            let success = names.iter().map(|name| Operation::Range(RangeRequest::key(key(name)))).collect();
            self.unknown.asked += 1;
            self.transact(Purpose::Known(names.to_vec()), TxnRequest { success, ..TxnRequest::default() }, out);
        }
        self.know(out);
    }

    /// What is held as another unit than the store knows of that name, if any, is an orphan from now on.
    pub(super) fn on_known(
        &mut self,
        now: Now,
        names: &[UnitName],
        result: Result<Response, StoreError>,
        out: &mut Vec<Effect>,
    ) {
        let txn = match result.map(txn) {
            Ok(Some(txn)) => txn,
            other => {
                let why = other.err().map_or_else(|| "an answer to something else".to_owned(), |error| error.message);
                self.say(Report::StoreTrouble { why }, out);
                self.forget_unknown();
                self.reread_at = Some(now.mono + self.jitter.between(self.config.ttl / 8, self.config.ttl / 6));
                return self.cancel_watches(out);
            }
        };
        self.unknown.asked = self.unknown.asked.saturating_sub(1);
        let boot_id = self.config.facts.boot_id.clone();
        for (index, name) in names.iter().enumerate() {
            let known = range(&txn, index).first().map(|kv| kv.create_revision);
            let (Some(unit), Some(cluster)) = (self.units.get_mut(name), self.cluster.clone()) else { continue };
            let Some(held) = unit.held.clone() else { continue };
            if known == Some(held.uid) {
                continue;
            }
            // Whatever is being done with it goes on for nobody.
            unit.running = None;
            (unit.cluster, unit.unlisted) = (None, false);
            let mut note = unit.note(&held, cluster, boot_id.clone());
            note.orphan = true;
            let op = self.work.op();
            self.unknown.notes.insert(op);
            out.push(Effect::Disk(DiskEffect::WriteNote { op, unit: name.clone(), note }));
            out.push(Effect::Log(Report::Orphaned { unit: name.clone() }));
            self.publish_soon(name, now.mono);
        }
        self.know(out);
    }

    /// The disk remembers an orphan, or cannot.
    pub(super) fn on_orphan_noted(&mut self, op: Op, result: &Result<(), String>, out: &mut Vec<Effect>) {
        if !self.unknown.notes.remove(&op) {
            return;
        }
        if let Err(why) = result {
            let what = "that no record knows a unit cannot be remembered".into();
            self.say(Report::DiskTrouble { what, why: why.clone() }, out);
        }
        self.know(out);
    }

    /// Answers that are under way are not waited for any more.
    pub(super) fn forget_unknown(&mut self) {
        self.unknown = Unknown::default();
    }

    /// Once all is known, the engine may continue above what this machine has seen.
    fn know(&mut self, out: &mut Vec<Effect>) {
        if !self.unknown.is_pending() {
            self.vetted = true;
            self.publish_seen(out);
        }
    }
}
