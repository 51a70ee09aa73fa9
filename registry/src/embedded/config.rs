//! How much history is kept, and for whom.

use std::time::Duration;

/// Options of the embedded registry. The defaults suit.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// At most this many revisions of history are kept.
    pub history_revisions: i64,
    /// History is kept for at most this long.
    pub history_age: Duration,
    /// At most about this many bytes of history are kept.
    pub history_bytes: u64,
    /// How often history is looked through for what can go.
    pub compaction_interval: Duration,
    /// Past so many bytes on the disk writes are refused, as by etcd's `--quota-backend-bytes`.
    pub quota_bytes: u64,
    /// How often an idle watcher that asked for it is told the revision.
    pub progress_interval: Duration,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            history_revisions: 10_000,
            history_age: Duration::from_secs(3600),
            history_bytes: 64 * 1024 * 1024,
            compaction_interval: Duration::from_secs(60),
            quota_bytes: 2 * 1024 * 1024 * 1024,
            progress_interval: Duration::from_secs(60),
        }
    }
}
