//! What was carried out of a unit, kept beside its file.
//!
//! A note lets fleetd adopt what runs after a restart without asking the store: same uid, same content, same restart
//! generation, nothing touched. It is written before the unit's file, so that a file without a note is never fleet's
//! own, and again after each step that must not be repeated.

use fleet_registry::record::{ClusterId, ContentKey, Extra, Target};
use serde::{Deserialize, Serialize};

/// The format version of notes that this build writes.
const FORMAT: u32 = 1;

/// What was carried out of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Format version.
    pub v: u32,
    /// The cluster that scheduled it.
    pub cluster: ClusterId,
    /// The boot in which it was carried out: nothing of another boot runs.
    pub boot_id: String,
    /// Which unit of that name.
    pub uid: i64,
    /// The text that was written.
    pub content: ContentKey,
    /// The restart generation that was carried out.
    #[serde(default)]
    pub restarts: u64,
    /// How far it got; absent until systemd was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Target>,
    /// Whether its start was asked for, or is about to be: said before it is done, so that whoever reads this after a
    /// crash knows that the unit may have been started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub starting: bool,
    /// Whether it ran on when a store restored from a backup knew nothing of it: it is left alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub orphan: bool,
    /// File names of the drop-ins that were written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop_ins: Vec<String>,
    /// Of a unit with `OnDisconnect=stop`: the run of the target that it was started under, or empty. It was stopped
    /// with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<String>,
    /// systemd's id of the run that fleet started last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub invocation: String,
    /// What went wrong with the last step, in systemd's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Note {
    /// A note of a unit that is about to be written.
    #[must_use]
    pub fn new(cluster: ClusterId, boot_id: String, uid: i64, content: ContentKey) -> Self {
        Self {
            v: FORMAT,
            cluster,
            boot_id,
            uid,
            content,
            restarts: 0,
            reached: None,
            starting: false,
            orphan: false,
            drop_ins: Vec::new(),
            fence: None,
            invocation: String::new(),
            error: String::new(),
            extra: Extra::new(),
        }
    }

    /// Reads a note, or says why it cannot be used.
    ///
    /// # Errors
    /// When the bytes are no note, or one in a newer format.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let note: Self = serde_json::from_slice(bytes).map_err(|e| format!("the note cannot be read: {e}"))?;
        if note.v > FORMAT {
            return Err(format!("the note has format {}, newer than this fleet's {FORMAT}", note.v));
        }
        Ok(note)
    }
}
