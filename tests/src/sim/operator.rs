//! What people do to a cluster, as the API writes it.

use std::collections::BTreeMap;

use fleet_registry::record::{BrakeRecord, ContentRecord, FORMAT, OperatorRecord, Record, UnitRecord};
use fleet_registry::store::{DeleteRequest, Operation, PutRequest, Request, TxnRequest, prefix_end};
use fleet_registry::{Key, Layout};
use fleet_units::{DesiredState, UnitFile, UnitName};

use super::crowded::section;
use super::single::TIMEOUT;
use super::truth::Writer;
use super::world::World;

/// How often units that ask for it are moved for failing.
pub(super) const MOVES: u32 = 3;

/// The text of a unit; what it says to fleet follows from its name.
fn text(unit: &UnitName, version: usize) -> String {
    let name = unit.as_str();
    let fleet = match name.split('-').next().unwrap_or(name) {
        "global" => "Global=true".to_owned(),
        "lone" => "Conflicts=lone-*".to_owned(),
        "zone" => format!("MachineMetadata=zone={}", ["a", "b", "c"][name.len() % 3]),
        "with" => format!("MachineOf={}", name.replacen("with", "plain", 1)),
        "hop" => format!("OnFailure=move\nMaxMoves={MOVES}"),
        kind if section(kind, name).is_some() => section(kind, name).unwrap_or_default(),
        "single" => format!("OnDisconnect=stop\n[Service]\nTimeoutStopSec={}", TIMEOUT.as_secs()),
        _ => return format!("[Service]\nEnvironment=VERSION={version}\nExecStart=/bin/sleep infinity\n"),
    };
    format!("[Service]\nEnvironment=VERSION={version}\nExecStart=/bin/sleep infinity\n[X-Fleet]\n{fleet}\n")
}

/// The units that a story is about: some are plain, and the others are of all kinds.
pub(super) fn names(count: usize) -> Vec<UnitName> {
    of_kinds(
        &["plain", "zone", "hop", "lone", "plain", "with", "global", "single", "room", "high", "few", "plain", "after"],
        count,
    )
}

/// Units that compete for room, and that start after each other.
pub(super) fn crowd(count: usize) -> Vec<UnitName> {
    of_kinds(&["room", "high", "few", "plain", "after"], count)
}

fn of_kinds(kinds: &[&str], count: usize) -> Vec<UnitName> {
    let name = |n: usize| {
        let kind = kinds[n % kinds.len()];
        // A unit that is with another, or starts after it, is so by its number.
        let number = if matches!(kind, "with" | "after") { n - 1 } else { n };
        UnitName::parse(&format!("{kind}-{number}.service")).expect("a unit name")
    };
    (0..count).map(name).collect()
}

/// One with `OnDisconnect=stop`.
pub(super) fn single(n: usize) -> UnitName {
    UnitName::parse(&format!("single-{n}.service")).expect("a unit name")
}

/// Whether it asks to be moved for failing.
pub(super) fn is_moved(unit: &UnitName) -> bool {
    unit.as_str().starts_with("hop")
}

/// Whether it has `OnDisconnect=stop`.
pub(super) fn is_single(unit: &UnitName) -> bool {
    unit.as_str().starts_with("single")
}

impl World {
    fn write(&mut self, success: Vec<Operation>) {
        let request = Request::Txn(TxnRequest { success, ..TxnRequest::default() });
        if self.own.is_some() {
            // Their API servers refuse another cluster's store.
            return;
        }
        let result = self.memory.apply(self.now, request).map(|_| ()).map_err(|e| format!("an operator's write: {e}"));
        self.check(result);
        self.drain(Writer::Operator);
    }

    fn put(layout: &Layout, key: &Key, record: &impl Record) -> Operation {
        Operation::Put(PutRequest::new(layout.encode(key), record.encode()))
    }

    /// Submits a unit, or replaces its text.
    pub(super) fn submit(&mut self, unit: &UnitName, version: usize, desired: DesiredState) {
        let text = text(unit, version);
        let Ok(file) = UnitFile::parse(&text) else { return self.check(Err(format!("{unit}: a bad text"))) };
        let content = ContentRecord { v: FORMAT, text, drop_ins: BTreeMap::new(), extra: BTreeMap::new() };
        let record = UnitRecord {
            v: FORMAT,
            content: content.key(),
            hash: file.hash(),
            desired,
            avoids: None,
            restarts: self.truth.units.get(unit).map_or(0, |(_, record)| record.restarts),
            changed: 0,
            changed_by: String::new(),
            extra: BTreeMap::new(),
        };
        self.timeline.push(self.now, "operator", format_args!("submit {unit}, text {version}, {desired:?}"));
        self.write(vec![
            Self::put(&self.layout, &Key::Content(content.key()), &content),
            Self::put(&self.layout, &Key::Unit(unit.clone()), &record),
        ]);
    }

    /// Changes a unit's record, if there is one.
    pub(super) fn change(&mut self, unit: &UnitName, what: &str, change: impl FnOnce(&mut UnitRecord)) {
        let Some((_, record)) = self.truth.units.get(unit) else { return };
        let mut record = record.clone();
        change(&mut record);
        self.timeline.push(self.now, "operator", format_args!("{what} {unit}"));
        self.write(vec![Self::put(&self.layout, &Key::Unit(unit.clone()), &record)]);
    }

    /// Destroys a unit.
    pub(super) fn destroy(&mut self, unit: &UnitName) {
        self.timeline.push(self.now, "operator", format_args!("destroy {unit}"));
        let key = self.layout.encode(&Key::Unit(unit.clone()));
        self.write(vec![Operation::Delete(DeleteRequest { key, ..DeleteRequest::default() })]);
    }

    /// Says something of a machine.
    pub(super) fn operate(&mut self, n: usize, change: impl FnOnce(&mut OperatorRecord)) {
        let mut record = OperatorRecord {
            v: FORMAT,
            metadata: BTreeMap::new(),
            cordoned: false,
            draining: false,
            extra: BTreeMap::new(),
        };
        change(&mut record);
        let id = self.machines[n].id.clone();
        let (cordoned, draining, metadata) = (record.cordoned, record.draining, &record.metadata);
        let what = format_args!("{id}: cordoned {cordoned}, draining {draining}, metadata {metadata:?}");
        self.timeline.push(self.now, "operator", what);
        self.write(vec![Self::put(&self.layout, &Key::Operator(id), &record)]);
    }

    /// Releases the brake, if it is on.
    pub(super) fn release_brake(&mut self) {
        let Some(brake) = self.truth.brake.clone().filter(|brake| !brake.released) else { return };
        self.timeline.push(self.now, "operator", format_args!("release the brake"));
        self.write(vec![Self::put(&self.layout, &Key::Brake, &BrakeRecord { released: true, ..brake })]);
    }

    /// Gives up a machine, if it is absent: what it wrote is deleted, and what was written for it. Nobody does so who knows
    /// that what must not run twice still runs there.
    pub(super) fn forget(&mut self, n: usize) {
        let id = self.machines[n].id.clone();
        let runs = self.machines[n].systemd.singles().next().is_some();
        if self.truth.present.contains_key(&id) || self.own.is_some() || runs {
            return;
        }
        self.timeline.push(self.now, "operator", format_args!("forget {id}"));
        let keys = [Key::Schedule(id.clone()), Key::Applied(id.clone())].map(|key| self.layout.encode(&key));
        let single = keys.into_iter().map(|key| DeleteRequest { key, ..DeleteRequest::default() });
        let prefix = self.layout.states_of(&id);
        let range_end = prefix_end(&prefix);
        let states = DeleteRequest { key: prefix, range_end, ..DeleteRequest::default() };
        self.write(single.chain([states]).map(Operation::Delete).collect());
    }
}
