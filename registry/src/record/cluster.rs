//! `cluster`: which cluster this store belongs to.

use serde::{Deserialize, Serialize};

use super::{Extra, WallMillis};

/// A cluster's own random identity, so that a machine notices when its store has become another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub String);

impl std::fmt::Display for ClusterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Written once, by the first fleetd to find the store empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// Format version.
    pub v: u32,
    /// The identity.
    pub id: ClusterId,
    /// When it was written.
    pub created: WallMillis,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}
