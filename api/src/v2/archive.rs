//! Copies of the registry, and what putting one in its place would mean.

use serde::{Deserialize, Serialize};

use super::MachineRef;

/// `PUT /fleet/v2/registry/upload?offset=N`: a part of a snapshot was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadAnswer {
    /// How much of it is there now.
    pub bytes: u64,
}

/// `POST /fleet/v2/registry/restore`: looks at the snapshot that was uploaded, or puts it in the registry's place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreRequest {
    /// The SHA-256 of all that was uploaded, in hexadecimal.
    pub sha256: String,
    /// Do it.
    #[serde(default)]
    pub accept: bool,
}

/// What a snapshot holds, and what restoring it does or has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreAnswer {
    /// The snapshot.
    pub backup: RegistryContent,
    /// The registry as it was when this was asked.
    pub present: RegistryContent,
    /// What happens to units that run, or will.
    #[serde(default)]
    pub effects: Vec<RestoreEffect>,
    /// Whether a checksum vouches for the snapshot.
    #[serde(default)]
    pub verified: bool,
    /// Whether it is of an etcd that asked for users and passwords, which do not come along.
    #[serde(default)]
    pub users: bool,
    /// Whether the fleetd that is asked carries the registry, and so can restore it.
    #[serde(default)]
    pub embedded: bool,
    /// Where the former registry is kept. Present where it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// What a registry holds of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryContent {
    /// The cluster; absent where there is none in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Where it stands.
    pub revision: i64,
    /// How many units it knows.
    pub units: usize,
}

/// What becomes of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RestoreEffectKind {
    /// It stops: the backup does not have it run there.
    Stop,
    /// It starts.
    Start,
    /// It stops on one machine and starts on another.
    Move,
    /// It is replaced where it is: the backup has another text, or another unit of that name.
    Replace,
    /// It goes on running as an orphan: the backup does not know it.
    Orphan,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}

/// What becomes of a unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreEffect {
    /// What.
    pub kind: RestoreEffectKind,
    /// The unit.
    pub unit: String,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<MachineRef>,
    /// Where it will run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<MachineRef>,
}
