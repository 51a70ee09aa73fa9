//! The store is restored from a backup: nothing is stopped that runs, for no other reason than that.

use std::collections::{BTreeMap, BTreeSet};

use fleet_registry::memory::Memory;
use fleet_registry::record::{Target, UnitRecord};
use fleet_registry::store::{Event, EventKind, KeyValue, RangeRequest, Request, ResponseBody};
use fleet_registry::{Layout, Mono};
use fleet_units::UnitName;

use super::operator::is_single;
use super::truth::{Truth, Writer, is_global};
use super::world::World;

/// What must go on as it is on one machine, with this main process.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    machine: usize,
    unit: UnitName,
    pid: u32,
    /// The backup knows nothing of it, or of another of that name.
    is_orphan: bool,
}

impl World {
    /// A snapshot of the store is taken.
    pub(super) fn back_up(&mut self) {
        self.timeline.push(self.now, "store", format_args!("backup"));
        self.backup = Some(self.memory.clone());
    }

    /// The store is restored from it, as etcd is: leases begin anew, under the same cluster id or another.
    pub(super) fn restore(&mut self, another: bool) {
        let Some(backup) = self.backup.take() else { return };
        self.timeline.push(self.now, "store", format_args!("restored from the backup, another id: {another}"));
        let restored = backup.from_snapshot(self.now, another.then_some(self.seed ^ 0xbac));
        self.change_store(restored);
        let mut old = std::mem::take(&mut self.truth);
        // What machines were once given.
        self.truth.forgotten = old.forgotten;
        for (id, schedules) in std::mem::take(&mut old.schedules) {
            self.truth.forgotten.entry(id).or_default().extend(schedules);
        }
        let kvs = all(&mut self.memory, self.now, self.layout.root());
        let events: Vec<Event> = kvs.into_iter().map(|kv| Event { kind: EventKind::Put, kv, prev_kv: None }).collect();
        let result = self.truth.reload(&self.layout, self.now, &events);
        self.check(result);
        self.watch_anew();
        self.keep(&old.units);
    }

    /// What runs now and must go on running.
    fn keep(&mut self, old: &BTreeMap<UnitName, (i64, UnitRecord)>) {
        let mut unlisted = BTreeSet::new();
        let mut kept = Vec::new();
        for (n, machine) in self.machines.iter().enumerate() {
            let given = self.truth.schedule(&machine.id);
            for (unit, pid) in machine.systemd.active() {
                let held = machine.disk.units.get(unit).and_then(|found| found.note.as_ref().ok()).map(|note| note.uid);
                let known = self.truth.units.get(unit);
                let is_orphan = held.is_some() && known.map(|(uid, _)| *uid) != held;
                let is_listed = given.is_some_and(|given| given.units.contains_key(unit));
                // What waited for its start when the backup was taken waits again.
                let runs = given.and_then(|given| given.units.get(unit)).is_some_and(|a| a.target == Target::Launched);
                let is_same = known == old.get(unit) && runs;
                // What is fenced stops where the backup does not know the lease.
                if (is_orphan || is_same) && !is_single(unit) {
                    kept.push(Kept { machine: n, unit: unit.clone(), pid, is_orphan });
                }
                if !is_listed && !is_global(unit) {
                    unlisted.insert((unit.clone(), machine.id.clone()));
                }
            }
        }
        self.kept = kept;
        self.truth.leftover = unlisted;
    }

    /// Invariant 4: what is to be kept runs on, untouched.
    pub(super) fn check_kept(&mut self, n: usize) {
        let systemd = &self.machines[n].systemd;
        let lost = self.kept.iter().find(|kept| kept.machine == n && systemd.pid(&kept.unit) != kept.pid);
        if let Some(kept) = lost {
            let what = format!("invariant 4: the store was restored, and {kept:?} does not run on as it was");
            self.check(Err(what));
        }
    }

    /// Operators do something again: only what no record knows, not even by name, is none of their business.
    pub(super) fn keep_orphans_only(&mut self) {
        let units = &self.truth.units;
        self.kept.retain(|kept| kept.is_orphan && !units.contains_key(&kept.unit));
    }
}

/// All that a store holds below a prefix.
fn all(memory: &mut Memory, now: Mono, root: &str) -> Vec<KeyValue> {
    match memory.apply(now, Request::Range(RangeRequest::prefix(root.to_owned()))).map(|response| response.body) {
        Ok(ResponseBody::Range(range)) => range.kvs,
        _ => Vec::new(),
    }
}

impl Truth {
    /// Takes in what a restored store holds, whoever wrote it.
    fn reload(&mut self, layout: &Layout, now: Mono, events: &[Event]) -> Result<(), String> {
        let mut given = BTreeSet::new();
        for event in events {
            self.change(layout, now, Writer::Backup, &[], event, &mut given)?;
        }
        self.news.clear();
        Ok(())
    }
}
