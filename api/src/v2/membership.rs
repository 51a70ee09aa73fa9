//! Which cluster a machine is a member of, and what runs there for another.

use serde::{Deserialize, Serialize};

use super::MachineRef;

/// `GET /fleet/v2/join`: the machine that is asked, and the cluster that it is a member of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    /// The machine.
    pub machine: MachineRef,
    /// Its cluster; absent where it never was a member of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Whether it takes part at the moment.
    #[serde(default)]
    pub present: bool,
    /// The registry that it finds is not its cluster's. It touches nothing until a person decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<ForeignRegistry>,
}

/// A registry that is not of the machine's cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForeignRegistry {
    /// The cluster that it is of; absent where it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The units that the machine holds for its own cluster, and which would be orphans in the other.
    #[serde(default)]
    pub units: Vec<String>,
}

/// `POST /fleet/v2/join`: the machine becomes a member of the cluster whose registry it found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinRequest {
    /// The cluster that was shown; absent where the registry is empty, so that a new one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

/// `POST /fleet/v2/orphans/stop`: an orphan is stopped and removed. It is under way when this is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrphanRequest {
    /// The unit.
    pub unit: String,
    /// The id of the machine where it runs.
    pub machine: String,
}
