//! `units/<unit>` and `contents/<sha256>`: what people asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet_units::{DesiredState, MachineId, UnitHash};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Extra, WallMillis};

/// Names a stored text: the SHA-256 of a unit file and its drop-ins, in hexadecimal.
///
/// Cloning is cheap: keys are shared, not copied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct ContentKey(pub Arc<str>);

impl ContentKey {
    /// The key of a unit file and its drop-ins (file name to text).
    #[must_use]
    pub fn of(text: &str, drop_ins: &BTreeMap<String, String>) -> Self {
        let mut hash = Sha256::new();
        // Lengths keep the parts apart, so that no two different sets of files hash alike.
        let mut part = |s: &str| {
            hash.update((s.len() as u64).to_le_bytes());
            hash.update(s.as_bytes());
        };
        part(text);
        for (name, text) in drop_ins {
            part(name);
            part(text);
        }
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect::<String>().into()
    }
}

impl From<String> for ContentKey {
    fn from(key: String) -> Self {
        Self(key.into())
    }
}

impl From<ContentKey> for String {
    fn from(key: ContentKey) -> Self {
        key.0.as_ref().to_owned()
    }
}

impl std::fmt::Display for ContentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// `units/<unit>`: a unit that people submitted. The key's create revision is the unit's `uid`: destroyed and submitted
/// again, it is another unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitRecord {
    /// Format version.
    pub v: u32,
    /// Where the text is.
    pub content: ContentKey,
    /// CoreOS fleet's hash of the canonical text.
    pub hash: UnitHash,
    /// What people want of it.
    pub desired: DesiredState,
    /// Raised by each request to restart it.
    #[serde(default)]
    pub restarts: u64,
    /// A machine that somebody asked it to leave: it is there only where no other can take it. Ends with the next change
    /// of its text, or of what is wanted of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avoids: Option<MachineId>,
    /// When it was last changed.
    pub changed: WallMillis,
    /// Who changed it, as far as the API knows (`uid=1000`, an address, a machine).
    #[serde(default)]
    pub changed_by: String,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `contents/<sha256>`: the text of a unit as submitted, byte for byte. Never changed, shared by all units of one text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentRecord {
    /// Format version.
    pub v: u32,
    /// The unit file.
    pub text: String,
    /// Drop-ins: file name to text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub drop_ins: BTreeMap<String, String>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ContentRecord {
    /// The largest stored form that is accepted, in bytes: etcd refuses requests over 1.5 MiB.
    pub const MAX_BYTES: usize = 1_000_000;

    /// The key under which this content belongs.
    #[must_use]
    pub fn key(&self) -> ContentKey {
        ContentKey::of(&self.text, &self.drop_ins)
    }
}
