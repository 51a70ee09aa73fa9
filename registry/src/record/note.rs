//! `notes/<unit>`: why a unit waits, or why it is where it is.

use serde::{Deserialize, Serialize};

use super::{Extra, WallMillis};

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
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}
