//! The typed cluster, built from a mirror's changes. Pure: the same changes give the same view.

mod few;
mod shared;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use fleet_units::{MachineId, UnitName};

use crate::key::{Key, Layout};
use crate::mirror::KvChange;
use crate::record::{
    AppliedRecord, BrakeRecord, ClusterRecord, ContentKey, ContentRecord, LeaderRecord, MachineRecord, NoteRecord,
    OperatorRecord, Record, RecordError, ScheduleRecord, StateRecord, UnitRecord, Versioned,
};
use crate::store::KeyValue;
pub use few::Few;

/// What becomes of the texts of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// They stay in the view.
    Keep,
    /// They are handed over in [`Change::Content`] alone, for an owner that keeps only what it makes of them. The view
    /// still knows which there are.
    Digest,
}

/// Everything that the cluster remembers, decoded.
///
/// A record that cannot be read is named in [`unreadable`](Self::unreadable) and otherwise leaves things as they were:
/// what was read of it before stays in place, and nothing else is touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    layout: Layout,
    keep: Contents,
    /// `cluster`
    pub cluster: Option<Versioned<ClusterRecord>>,
    /// `units/`
    pub units: BTreeMap<UnitName, Box<Versioned<UnitRecord>>>,
    /// `contents/`; the values are none with [`Contents::Digest`].
    pub contents: BTreeMap<ContentKey, Versioned<Option<Arc<ContentRecord>>>>,
    /// `machines/`: those that are present.
    pub machines: BTreeMap<MachineId, Versioned<MachineRecord>>,
    /// `operator/`
    pub operators: BTreeMap<MachineId, Versioned<OperatorRecord>>,
    /// `schedule/`; shared, since a leader holds them too.
    pub schedules: BTreeMap<MachineId, Versioned<Arc<ScheduleRecord>>>,
    /// `applied/`
    pub applied: BTreeMap<MachineId, Versioned<AppliedRecord>>,
    /// `states/`, by unit first; a unit without states has no entry.
    pub states: BTreeMap<UnitName, Few<MachineId, Versioned<StateRecord>>>,
    /// `notes/`
    pub notes: BTreeMap<UnitName, Versioned<NoteRecord>>,
    /// `engine/leader`
    pub leader: Option<Versioned<LeaderRecord>>,
    /// `engine/standby/`
    pub standbys: BTreeMap<u32, Versioned<LeaderRecord>>,
    /// `engine/brake`
    pub brake: Option<Versioned<BrakeRecord>>,
    /// Keys whose present value cannot be read.
    pub unreadable: BTreeMap<Key, Unreadable>,
}

/// A value that is there and cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Why.
    pub why: String,
    /// Revision at which the key was created.
    pub create_revision: i64,
    /// Revision at which this value was written.
    pub mod_revision: i64,
}

/// What a [`KvChange`] changed in the view, with what was there before where owners need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The cluster's record.
    Cluster,
    /// A unit was submitted, changed, or destroyed.
    Unit {
        /// Which.
        name: UnitName,
        /// What was there before.
        old: Option<Versioned<UnitRecord>>,
    },
    /// A content came or went.
    Content {
        /// Which.
        key: ContentKey,
        /// The content; none when it was deleted.
        record: Option<Arc<ContentRecord>>,
    },
    /// A machine came, went, or says something else of itself.
    Machine {
        /// Which.
        id: MachineId,
        /// What was there before.
        old: Option<Versioned<MachineRecord>>,
    },
    /// An operator said something else of a machine.
    Operator {
        /// Which.
        id: MachineId,
    },
    /// A schedule was written or deleted.
    Schedule {
        /// Whose.
        id: MachineId,
        /// What was there before.
        old: Option<Versioned<Arc<ScheduleRecord>>>,
    },
    /// A machine acknowledged a generation.
    Applied {
        /// Which.
        id: MachineId,
        /// What was there before.
        old: Option<Versioned<AppliedRecord>>,
    },
    /// A machine reports something else of a unit.
    State {
        /// Which machine.
        machine: MachineId,
        /// Which unit.
        unit: UnitName,
        /// What was there before.
        old: Option<Versioned<StateRecord>>,
    },
    /// The note of a unit.
    Note {
        /// Which.
        unit: UnitName,
    },
    /// The leader changed.
    Leader {
        /// What was there before.
        old: Option<Versioned<LeaderRecord>>,
    },
    /// Who stands by changed.
    Standby,
    /// The brake went on or off.
    Brake {
        /// What was there before.
        old: Option<Versioned<BrakeRecord>>,
    },
    /// A value came that cannot be read, or one that never could was deleted.
    Unreadable {
        /// Which key.
        key: Key,
    },
}

impl View {
    /// An empty view of the cluster below this layout.
    #[must_use]
    pub fn new(layout: Layout, contents: Contents) -> Self {
        Self {
            layout,
            keep: contents,
            cluster: None,
            units: BTreeMap::new(),
            contents: BTreeMap::new(),
            machines: BTreeMap::new(),
            operators: BTreeMap::new(),
            schedules: BTreeMap::new(),
            applied: BTreeMap::new(),
            states: BTreeMap::new(),
            notes: BTreeMap::new(),
            leader: None,
            standbys: BTreeMap::new(),
            brake: None,
            unreadable: BTreeMap::new(),
        }
    }

    /// Where the records live.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The key as the store has it, for people.
    #[must_use]
    pub fn name_of(&self, key: &Key) -> String {
        // Only a content's key may hold what is not UTF-8, and it was read as UTF-8.
        String::from_utf8_lossy(&self.layout.encode(key)).into_owned()
    }

    /// What is there under a key and cannot be read.
    pub fn trouble(&self, key: impl FnOnce() -> Key) -> Option<&Unreadable> {
        if self.unreadable.is_empty() { None } else { self.unreadable.get(&key()) }
    }

    /// Whether the value that is there now cannot be read.
    pub fn is_unreadable(&self, key: impl FnOnce() -> Key) -> bool {
        self.trouble(key).is_some()
    }

    /// Whether the key of a machine is there, though perhaps nobody can read what it says: its lease lives.
    #[must_use]
    pub fn is_present(&self, machine: &MachineId) -> bool {
        self.machines.contains_key(machine) || self.is_unreadable(|| Key::Machine(machine.clone()))
    }

    /// The state that a machine reports of a unit.
    #[must_use]
    pub fn state(&self, machine: &MachineId, unit: &UnitName) -> Option<&Versioned<StateRecord>> {
        self.states.get(unit)?.get(machine)
    }

    /// Takes in one change. None when it changes nothing: a key that this version does not know, a deletion of what was
    /// not there.
    pub fn apply(&mut self, change: &KvChange) -> Option<Change> {
        let key = self.layout.decode(&change.key)?;
        let outcome = match &change.new {
            Some(kv) => self.put(key.clone(), kv).map(Some).map_err(|error| (error, kv)),
            None => Ok(self.delete(key.clone())),
        };
        match outcome {
            Ok(change) => {
                let was_unreadable = self.unreadable.remove(&key).is_some();
                change.or_else(|| was_unreadable.then_some(Change::Unreadable { key }))
            }
            Err((error, kv)) => {
                let (create_revision, mod_revision) = (kv.create_revision, kv.mod_revision);
                let found = Unreadable { why: error.to_string(), create_revision, mod_revision };
                self.unreadable.insert(key.clone(), found);
                Some(Change::Unreadable { key })
            }
        }
    }

    fn put(&mut self, key: Key, kv: &KeyValue) -> Result<Change, RecordError> {
        Ok(match key {
            Key::Cluster => {
                self.cluster = Some(decode(kv)?);
                Change::Cluster
            }
            Key::Unit(name) => {
                let mut new: Versioned<UnitRecord> = decode(kv)?;
                self.share_content(&mut new.value.content);
                let name = self.shared_unit(name);
                let old = self.units.insert(name.clone(), Box::new(new)).map(|old| *old);
                Change::Unit { name, old }
            }
            Key::Content(key) => self.put_content(key, kv)?,
            Key::Machine(id) => {
                let new: Versioned<MachineRecord> = decode(kv)?;
                if new.value.id != id {
                    return Err(RecordError::Malformed(format!("it speaks of machine {}", new.value.id)));
                }
                let old = self.machines.insert(id.clone(), new);
                Change::Machine { id, old }
            }
            Key::Operator(id) => {
                self.operators.insert(id.clone(), decode(kv)?);
                Change::Operator { id }
            }
            Key::Schedule(id) => {
                let mut new = ScheduleRecord::decode(&kv.value)?;
                self.share_schedule(&mut new);
                let old = self.schedules.insert(id.clone(), versioned(Arc::new(new), kv));
                Change::Schedule { id, old }
            }
            Key::Applied(id) => {
                let old = self.applied.insert(id.clone(), decode(kv)?);
                Change::Applied { id, old }
            }
            Key::State(machine, unit) => {
                let mut new: Versioned<StateRecord> = decode(kv)?;
                self.share_content(&mut new.value.content);
                let (machine, unit) = (self.shared_machine(machine), self.shared_unit(unit));
                let old = self.states.entry(unit.clone()).or_default().insert(machine.clone(), new);
                Change::State { machine, unit, old }
            }
            Key::Note(unit) => {
                self.notes.insert(unit.clone(), decode(kv)?);
                Change::Note { unit }
            }
            Key::Leader => Change::Leader { old: self.leader.replace(decode(kv)?) },
            Key::Standby(n) => {
                self.standbys.insert(n, decode(kv)?);
                Change::Standby
            }
            Key::Brake => Change::Brake { old: self.brake.replace(decode(kv)?) },
        })
    }

    fn put_content(&mut self, key: ContentKey, kv: &KeyValue) -> Result<Change, RecordError> {
        let new: Versioned<ContentRecord> = decode(kv)?;
        // What runs as root is what was submitted, or nothing.
        if new.value.key() != key {
            return Err(RecordError::Malformed("the text is not the one that its key names".to_owned()));
        }
        let record = Arc::new(new.value);
        let kept = match self.keep {
            Contents::Keep => Some(Arc::clone(&record)),
            Contents::Digest => None,
        };
        self.contents.insert(key.clone(), versioned(kept, kv));
        Ok(Change::Content { key, record: Some(record) })
    }

    fn delete(&mut self, key: Key) -> Option<Change> {
        match key {
            Key::Cluster => self.cluster.take().map(|_| Change::Cluster),
            Key::Unit(name) => self.units.remove(&name).map(|old| Change::Unit { name, old: Some(*old) }),
            Key::Content(key) => self.contents.remove(&key).map(|_| Change::Content { key, record: None }),
            Key::Machine(id) => self.machines.remove(&id).map(|old| Change::Machine { id, old: Some(old) }),
            Key::Operator(id) => self.operators.remove(&id).map(|_| Change::Operator { id }),
            Key::Schedule(id) => self.schedules.remove(&id).map(|old| Change::Schedule { id, old: Some(old) }),
            Key::Applied(id) => self.applied.remove(&id).map(|old| Change::Applied { id, old: Some(old) }),
            Key::State(machine, unit) => self.delete_state(machine, unit),
            Key::Note(unit) => self.notes.remove(&unit).map(|_| Change::Note { unit }),
            Key::Leader => self.leader.take().map(|old| Change::Leader { old: Some(old) }),
            Key::Standby(n) => self.standbys.remove(&n).map(|_| Change::Standby),
            Key::Brake => self.brake.take().map(|old| Change::Brake { old: Some(old) }),
        }
    }

    fn delete_state(&mut self, machine: MachineId, unit: UnitName) -> Option<Change> {
        let Entry::Occupied(mut states) = self.states.entry(unit) else { return None };
        let old = states.get_mut().remove(&machine)?;
        let unit = states.key().clone();
        if states.get().is_empty() {
            states.remove();
        }
        Some(Change::State { machine, unit, old: Some(old) })
    }
}

fn decode<T: Record>(kv: &KeyValue) -> Result<Versioned<T>, RecordError> {
    Ok(versioned(T::decode(&kv.value)?, kv))
}

fn versioned<T>(value: T, kv: &KeyValue) -> Versioned<T> {
    Versioned { value, create_revision: kv.create_revision, mod_revision: kv.mod_revision, lease: kv.lease }
}

#[cfg(test)]
mod tests;
