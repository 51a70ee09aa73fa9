//! `notes/<unit>`: why a unit waits, or why it is where it is.

use fleet_units::{MachineId, UnitName};
use serde::{Deserialize, Serialize};

use super::{ContentKey, Extra, WallMillis};

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// It has a machine.
    Placed,
    /// It will be placed once something else has happened (a machine gives it back, a peer is placed).
    Waiting,
    /// No machine can take it as things are.
    Unplaceable,
    /// It cannot be placed at all as it is written (a cycle, options that contradict).
    Invalid,
}

/// Written by the engine's leader, on change only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteRecord {
    /// Format version.
    pub v: u32,
    /// Which unit of that name it speaks of.
    pub uid: i64,
    /// What it is about.
    pub kind: NoteKind,
    /// One line for people.
    pub reason: String,
    /// Since when.
    pub since: WallMillis,
    /// How often it was moved.
    #[serde(default)]
    pub moves: u32,
    /// Not tried again before this time, where there is a backoff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<WallMillis>,
    /// Who displaced it (`Preempt=yes`), while it has no machine for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub displaced_by: Option<UnitName>,
    /// What came of its failing, where it is moved for that (`OnFailure=move`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What came of a unit's failing. It is forgotten with another text, another restart that people ask for, and once the
/// unit has run well for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// The text that failed.
    pub content: ContentKey,
    /// Restart generation that failed.
    #[serde(default)]
    pub restarts: u64,
    /// How often it was moved for that, the move that is pending included.
    pub moves: u32,
    /// Where it failed, the latest last.
    pub machines: Vec<MachineId>,
    /// Whether it has still to leave the last of them.
    #[serde(default)]
    pub pending: bool,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}
