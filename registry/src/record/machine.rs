//! `machines/<id>` and `operator/<id>`: what a machine says of itself, and what people said of it.

use std::collections::BTreeMap;

use fleet_units::MachineId;
use serde::{Deserialize, Serialize};

use super::{Extra, FORMAT, WallMillis};

/// `machines/<id>`: a machine that is present. Hangs on the lease of its fleetd: gone when that is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineRecord {
    /// Format version.
    pub v: u32,
    /// `/etc/machine-id`.
    pub id: MachineId,
    /// Its name, for people.
    #[serde(default)]
    pub hostname: String,
    /// Address published for people (`public_ip`, or the address of the default route).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Where other fleetds reach it, and the key they must meet there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerEndpoint>,
    /// From the configuration; `operator/<id>` overrides it.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// What it can give to units, where known.
    #[serde(default)]
    pub capacity: Capacity,
    /// Version of fleetd.
    pub version: String,
    /// `/proc/sys/kernel/random/boot_id`: another boot, nothing of the last one runs.
    pub boot_id: String,
    /// Random, kept in /run: tells a restarted fleetd from another machine with the same id.
    pub instance: String,
    /// Highest generation of its schedule that it has seen: an engine that finds a lower one in the store continues
    /// above it.
    #[serde(default)]
    pub schedule_seen: u64,
    /// True from a return until it has carried out the schedule found then: it is given nothing new.
    #[serde(default)]
    pub catching_up: bool,
    /// True while its fleetd is being stopped for good: it is given nothing, and its units go elsewhere as it gives them
    /// back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
    /// Whether this fleetd carries the embedded registry: placed on and elected last.
    #[serde(default)]
    pub carries_registry: bool,
    /// When this fleetd registered.
    #[serde(default)]
    pub since: WallMillis,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

impl MachineRecord {
    /// A record that says who the machine is and nothing else.
    #[must_use]
    pub fn new(id: MachineId) -> Self {
        Self {
            v: FORMAT,
            id,
            hostname: String::new(),
            address: None,
            peer: None,
            metadata: BTreeMap::new(),
            capacity: Capacity::default(),
            version: String::new(),
            boot_id: String::new(),
            instance: String::new(),
            schedule_seen: 0,
            catching_up: false,
            leaving: false,
            carries_registry: false,
            since: 0,
            extra: Extra::new(),
        }
    }
}

/// What a machine can give to units.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Bytes of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Processor time in thousandths of a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Where other fleetds reach a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerEndpoint {
    /// `host:port`.
    pub address: String,
    /// SHA-256 of the certificate that this fleetd made for itself, in hexadecimal: pinned at both ends.
    pub fingerprint: String,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `operator/<id>`: what an operator said of a machine. Outlives its absence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorRecord {
    /// Format version.
    pub v: u32,
    /// Overrides of its metadata; `null` removes a key.
    #[serde(default)]
    pub metadata: BTreeMap<String, Option<String>>,
    /// Gets nothing new.
    #[serde(default)]
    pub cordoned: bool,
    /// Gets nothing new, and what it has moves away.
    #[serde(default)]
    pub draining: bool,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}
