//! The records that fleet keeps in the store, one type a key family.
//!
//! Values are JSON, because people look at them with etcdctl. Each carries the version of its format in `v`, and keeps
//! the fields it does not know in `extra`, so that machines of version N and N+1 can share a cluster and rewrite each
//! other's records without loss. `v` is raised only when an older reader would be wrong to go on.

mod cluster;
mod leader;
mod machine;
mod note;
mod schedule;
mod state;
mod unit;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use cluster::{ClusterId, ClusterRecord};
pub use leader::{BrakeRecord, LeaderRecord};
pub use machine::{Capacity, MachineRecord, OperatorRecord, PeerEndpoint};
pub use note::{Failing, NoteKind, NoteRecord};
pub use schedule::{AppliedRecord, Assignment, ScheduleRecord, Target};
pub use state::StateRecord;
pub use unit::{ContentKey, ContentRecord, UnitRecord};

/// Fields of a record that this version of fleet does not know, kept for those that do.
pub type Extra = BTreeMap<String, serde_json::Value>;

/// The format version that this build writes, and the newest that it can read.
pub const FORMAT: u32 = 1;

/// Milliseconds since the Unix epoch, by the writer's wall clock: for people, never for decisions.
pub type WallMillis = u64;

/// A value of the store.
pub trait Record: Serialize + DeserializeOwned {
    /// The format version that the record carries.
    fn format(&self) -> u32;

    /// Reads a record from its stored form.
    ///
    /// # Errors
    /// When the value is not JSON of this shape, or was written in a newer format. The caller reports it by key and
    /// leaves it alone.
    fn decode(value: &[u8]) -> Result<Self, RecordError> {
        match serde_json::from_slice::<Self>(value) {
            Ok(record) if record.format() > FORMAT => Err(RecordError::Newer(record.format())),
            Ok(record) => Ok(record),
            // A newer format may well have another shape: say so, rather than that it is broken.
            Err(error) => match serde_json::from_slice::<Format>(value) {
                Ok(Format { v }) if v > FORMAT => Err(RecordError::Newer(v)),
                _ => Err(RecordError::Malformed(error.to_string())),
            },
        }
    }

    /// The stored form.
    fn encode(&self) -> bytes::Bytes {
        // Records hold only strings, numbers, and maps with string keys: serialising them into memory cannot fail.
        bytes::Bytes::from(serde_json::to_vec(self).expect("a record serialises"))
    }
}

/// What records of all formats have in common.
#[derive(Deserialize)]
struct Format {
    v: u32,
}

macro_rules! records {
    ($($t:ty),*) => { $(impl Record for $t { fn format(&self) -> u32 { self.v } })* };
}
records!(
    ClusterRecord,
    UnitRecord,
    ContentRecord,
    MachineRecord,
    OperatorRecord,
    ScheduleRecord,
    AppliedRecord,
    StateRecord,
    NoteRecord,
    LeaderRecord,
    BrakeRecord
);

/// Why a stored value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not JSON of the expected shape.
    #[error("the record cannot be read: {0}")]
    Malformed(String),
    /// Written by a newer fleet in a format that this one must not guess at.
    #[error("the record has format {0}, newer than this fleet's {FORMAT}: upgrade this machine")]
    Newer(u32),
}

/// A decoded record with what the store knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The record.
    pub value: T,
    /// Revision at which the key was created; a unit's `uid`, a leader's fence.
    pub create_revision: i64,
    /// Revision at which it was last written.
    pub mod_revision: i64,
    /// The lease it hangs on, or 0.
    pub lease: i64,
}

#[cfg(test)]
mod tests;
