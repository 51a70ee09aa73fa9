//! Why a snapshot cannot be used.

use std::io;

/// Why a snapshot cannot be used. Whoever shows it says which file it is.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is no database of etcd.
    #[error("it is no snapshot: its first pages are not those of an etcd database, or are destroyed")]
    NotBolt,
    /// It is some other program's.
    #[error("it is a bbolt file, but not of etcd: it has no bucket {0:?}")]
    NotEtcd(&'static str),
    /// What was sent is not what is here.
    #[error("its SHA-256 is not that of its content: it was damaged on its way; take the snapshot again")]
    Checksum,
    /// It does not hold what was written.
    #[error("it is damaged at offset {offset}: {why}")]
    Damaged {
        /// Where.
        offset: u64,
        /// What is wrong.
        why: String,
    },
    /// Its parts do not go together.
    #[error("it is not whole: {0}")]
    Incomplete(String),
}

/// What is found at an offset.
pub(super) fn damaged(offset: u64, why: impl Into<String>) -> SnapshotError {
    SnapshotError::Damaged { offset, why: why.into() }
}
