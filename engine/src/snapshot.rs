//! The records that decisions hang on, as one file: whoever has it can ask what the cluster would do, without the
//! cluster.
//!
//! It holds records as the registry does, under their keys, so that people find in it what they know. Of what machines
//! report only that is in it on which decisions hang: units that they hold without having been given them.

use std::collections::BTreeMap;

use bytes::Bytes;
use fleet_registry::mirror::KvChange;
use fleet_registry::record::{Record, Versioned};
use fleet_registry::store::KeyValue;
use fleet_registry::view::Contents;
use fleet_registry::{Key, Layout, View};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The format that this build writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// A cluster's records at one revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Format version.
    pub v: u32,
    /// Everything up to this revision is in it.
    pub revision: i64,
    /// The records, by key below the cluster's prefix.
    pub records: BTreeMap<String, Stored>,
}

/// A record as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Revision of its creation.
    pub created: i64,
    /// Revision of its last write.
    pub modified: i64,
    /// What it says; null where it could not be read.
    pub value: Value,
}

/// Why a file is no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It is something else.
    #[error("it is no snapshot of a cluster: {0}")]
    Malformed(String),
    /// A newer fleet wrote it.
    #[error("it has format {0}, newer than this fleet's {FORMAT}: use the fleetctl of that cluster")]
    Newer(u32),
}

/// Collects records.
struct Collector<'a> {
    layout: &'a Layout,
    records: BTreeMap<String, Stored>,
}

impl Collector<'_> {
    fn put(&mut self, key: &Key, created: i64, modified: i64, value: Value) {
        let key = self.layout.encode(key);
        let name = String::from_utf8_lossy(&key[self.layout.root().len()..]).into_owned();
        self.records.insert(name, Stored { created, modified, value });
    }

    fn record<T: Record>(&mut self, key: &Key, found: &Versioned<T>) {
        // Records hold only what JSON can say.
        let value = serde_json::to_value(&found.value).unwrap_or_default();
        self.put(key, found.create_revision, found.mod_revision, value);
    }
}

impl Snapshot {
    /// What a view that keeps texts holds at this revision.
    #[must_use]
    pub fn of(view: &View, revision: i64) -> Self {
        let mut all = Collector { layout: view.layout(), records: BTreeMap::new() };
        for (name, found) in &view.units {
            all.record(&Key::Unit(name.clone()), found);
        }
        for (key, found) in &view.contents {
            let value = found.value.as_deref().and_then(|text| serde_json::to_value(text).ok()).unwrap_or_default();
            all.put(&Key::Content(key.clone()), found.create_revision, found.mod_revision, value);
        }
        for (id, found) in &view.machines {
            all.record(&Key::Machine(id.clone()), found);
        }
        for (id, found) in &view.operators {
            all.record(&Key::Operator(id.clone()), found);
        }
        for (id, found) in &view.schedules {
            let value = serde_json::to_value(&*found.value).unwrap_or_default();
            all.put(&Key::Schedule(id.clone()), found.create_revision, found.mod_revision, value);
        }
        for (id, found) in &view.applied {
            all.record(&Key::Applied(id.clone()), found);
        }
        for (name, found) in view.notes.iter().filter(|(_, note)| note.value.failing.is_some()) {
            all.record(&Key::Note(name.clone()), found);
        }
        for (name, states) in &view.states {
            let counts =
                states.iter().filter(|(id, state)| state.value.is_orphan() || !view.schedules.contains_key(*id));
            counts.for_each(|(id, state)| all.record(&Key::State(id.clone(), name.clone()), state));
        }
        for (key, found) in &view.unreadable {
            all.put(key, found.create_revision, found.mod_revision, Value::Null);
        }
        Self { v: FORMAT, revision, records: all.records }
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// When it is none, or one of a newer format.
    pub fn read(text: &[u8]) -> Result<Self, SnapshotError> {
        #[derive(Deserialize)]
        struct Format {
            v: u32,
        }
        let malformed = |error: serde_json::Error| SnapshotError::Malformed(error.to_string());
        let Format { v } = serde_json::from_slice(text).map_err(malformed)?;
        if v > FORMAT {
            return Err(SnapshotError::Newer(v));
        }
        serde_json::from_slice(text).map_err(malformed)
    }

    /// The records as whoever follows a registry has them.
    #[must_use]
    pub fn view(&self) -> View {
        let layout = Layout::default();
        let root = layout.root().to_owned();
        let mut view = View::new(layout, Contents::Keep);
        for (name, stored) in &self.records {
            let key = Bytes::from(format!("{root}{name}"));
            let value = match &stored.value {
                Value::Null => Bytes::new(),
                value => Bytes::from(value.to_string()),
            };
            let (create_revision, mod_revision) = (stored.created, stored.modified);
            let new = KeyValue { key: key.clone(), value, create_revision, mod_revision, version: 1, lease: 0 };
            view.apply(&KvChange { key, new: Some(new) });
        }
        view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_snapshot_is_named() {
        let read = |text: &str| Snapshot::read(text.as_bytes()).unwrap_err().to_string();
        assert!(read("[]").starts_with("it is no snapshot of a cluster: "));
        assert!(read(r#"{"v":1}"#).contains("missing field `revision`"));
        assert!(read(r#"{"v":9,"records":[]}"#).contains("format 9, newer"));
    }
}
