//! What an agent needs to know before it starts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use fleet_registry::Layout;
use fleet_registry::record::{Capacity, PeerEndpoint};
use fleet_units::MachineId;

/// What this machine says of itself in its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineFacts {
    /// `/etc/machine-id`.
    pub id: MachineId,
    /// Its name, for people.
    pub hostname: String,
    /// Address published for people.
    pub address: Option<String>,
    /// Where other fleetds reach it.
    pub peer: Option<PeerEndpoint>,
    /// From the configuration.
    pub metadata: BTreeMap<String, String>,
    /// What it can give to units.
    pub capacity: Capacity,
    /// Version of fleetd.
    pub version: String,
    /// Which boot this is.
    pub boot_id: String,
    /// Random, the same for every fleetd of this boot; see [`crate::facts::instance`].
    pub instance: String,
    /// Whether this fleetd carries the embedded registry.
    pub carries_registry: bool,
}

/// What an agent needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentConfig {
    /// What this machine says of itself.
    pub facts: MachineFacts,
    /// Where the cluster's records live.
    pub layout: Layout,
    /// Where unit files are written.
    pub units_directory: PathBuf,
    /// Where the cluster's id and what was acknowledged are remembered (`cluster` and `agent.json`).
    pub state_directory: PathBuf,
    /// Whether to use the user's systemd instead of the system's.
    pub systemd_user: bool,
    /// How long the store may take for an answer.
    pub request_timeout: Duration,
    /// The lease's time to live.
    pub ttl: Duration,
    /// Spreads retries, and makes the id of a new cluster: must be random.
    pub seed: u64,
}
