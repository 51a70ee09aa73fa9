//! Machines, with what a person wants to know of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::is_false;

/// Names a machine where something else is spoken of.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineRef {
    /// Its `/etc/machine-id`.
    pub id: String,
    /// Its address for people; empty where unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
}

/// `GET /fleet/v2/machines`, sorted by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineList {
    /// The store's revision that this shows.
    #[serde(default)]
    pub revision: i64,
    /// Whether the server has lost touch with the store, so that this may be old.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stale: bool,
    /// The machines that are present.
    pub machines: Vec<MachineView>,
}

/// Memory and processor time. What is absent is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Thousandths of a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
}

/// A machine that is present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineView {
    /// Its `/etc/machine-id`.
    pub id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Its address for people; empty where unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// From its configuration, with what operators changed.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// What it gives to units that ask for memory or processor time.
    #[serde(default)]
    pub capacity: Resources,
    /// What the units that it is to run ask for.
    #[serde(default)]
    pub used: Resources,
    /// How many units it is to run; absent from servers that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<usize>,
    /// The version of its fleetd.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// It has come back and carries out its schedule; it is given nothing new until then.
    #[serde(default)]
    pub catching_up: bool,
    /// Its fleetd is being stopped for good: what it has moves away.
    #[serde(default, skip_serializing_if = "is_false")]
    pub leaving: bool,
    /// It is given nothing new.
    #[serde(default)]
    pub cordoned: bool,
    /// It is given nothing new, and what it has moves away.
    #[serde(default)]
    pub draining: bool,
    /// Its fleetd carries the embedded registry.
    #[serde(default)]
    pub carries_registry: bool,
    /// Its engine decides.
    #[serde(default)]
    pub leader: bool,
}
