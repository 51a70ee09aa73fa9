//! `states/<machine>/<unit>`: what systemd says of a unit.

use serde::{Deserialize, Serialize};

use super::{ContentKey, Extra, Target, WallMillis};

/// What systemd on one machine last said of one unit. Without a lease: when the machine is lost its last words stay,
/// shown as stale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateRecord {
    /// Format version.
    pub v: u32,
    /// Which unit of that name it speaks of.
    pub uid: i64,
    /// The text that is loaded.
    pub content: ContentKey,
    /// Restart generation that was carried out.
    #[serde(default)]
    pub restarts: u64,
    /// How far the agent got with it: `loaded` or `launched` (its start was asked for and the job is finished or
    /// running); absent while the unit waits to be loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Target>,
    /// systemd's LoadState.
    pub load: String,
    /// systemd's ActiveState.
    pub active: String,
    /// systemd's SubState.
    pub sub: String,
    /// systemd's Result of the last run (`success`, `exit-code`, …); empty where the type has none.
    #[serde(default)]
    pub result: String,
    /// When the active state last changed.
    #[serde(default)]
    pub since: WallMillis,
    /// systemd's own restarts (NRestarts).
    #[serde(default)]
    pub n_restarts: u32,
    /// Main process, 0 where there is none.
    #[serde(default)]
    pub main_pid: u32,
    /// Upper bound on how long stopping it may take, in milliseconds; absent when systemd sets none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_bound_ms: Option<u64>,
    /// What went wrong when the agent last tried to load, start or stop it, in systemd's words; empty when nothing did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

impl StateRecord {
    /// Whether the agent says that it did not load the unit for this cluster: `"orphan": true`.
    #[must_use]
    pub fn is_orphan(&self) -> bool {
        self.extra.get("orphan") == Some(&serde_json::Value::Bool(true))
    }
}
