//! What a durable store has to write down, and what it hands back after a restart.

use super::version::Version;

/// A change of the store's state, in the order in which it happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A key was written or deleted.
    Version(Version),
    /// A lease was granted.
    Granted {
        /// Its id.
        id: i64,
        /// Its time to live, in seconds.
        ttl: i64,
    },
    /// A lease ended; its keys' deletions came before.
    Ended {
        /// Its id.
        id: i64,
    },
    /// History was forgotten.
    Compacted {
        /// The oldest revision that stays readable.
        revision: i64,
        /// Revision and place within it of every version that is no longer needed.
        dropped: Vec<(i64, u32)>,
    },
}

/// A whole store as read back from disk.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Saved {
    /// The cluster's id.
    pub cluster_id: u64,
    /// The member's id.
    pub member_id: u64,
    /// The last revision.
    pub revision: i64,
    /// The last compaction; -1 for none.
    pub compacted: i64,
    /// All versions that were kept, by revision and place within it.
    pub versions: Vec<Version>,
    /// Leases with their times to live.
    pub leases: Vec<(i64, i64)>,
}
