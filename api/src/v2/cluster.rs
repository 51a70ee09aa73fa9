//! The cluster as a whole: who leads, what is missing, and what is wrong.

use serde::{Deserialize, Serialize};

use super::{MachineRef, MachineView, StateView, is_false};

/// `GET /fleet/v2/cluster`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// The cluster's own id; absent where none was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The store's revision that this shows.
    pub revision: i64,
    /// When this was said, by the server's clock, in milliseconds since 1970: what the other times count up to.
    pub now: u64,
    /// Whether the server has lost touch with the store, so that this may be old.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stale: bool,
    /// Why, in the store's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The machine whose engine decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<LeaderView>,
    /// The machines that take over first.
    #[serde(default)]
    pub standbys: Vec<MachineRef>,
    /// The machines that are present, sorted by id.
    pub machines: Vec<MachineView>,
    /// The machines that are not, and of which records are left, sorted by id.
    #[serde(default)]
    pub lost: Vec<LostMachine>,
    /// Too many machines were lost at once, so that nothing of theirs moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brake: Option<BrakeView>,
    /// Units that run under fleet and that this cluster did not ask for. They are left alone.
    #[serde(default)]
    pub orphans: Vec<Orphan>,
    /// Units that are being stopped.
    #[serde(default)]
    pub stopping: Vec<Stopping>,
    /// Units that failed, on machines that are present.
    #[serde(default)]
    pub failed: Vec<UnitTrouble>,
    /// Records that cannot be read. They are left alone.
    #[serde(default)]
    pub unreadable: Vec<UnreadableRecord>,
    /// The registry as the machine that is asked reaches it.
    #[serde(default)]
    pub registry: RegistryView,
    /// What keeps the machine that is asked from taking part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub here: Option<String>,
}

/// The registry as one machine reaches it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryView {
    /// Where it is looked for.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// It runs inside the fleetd that is asked.
    #[serde(default, skip_serializing_if = "is_false")]
    pub embedded: bool,
    /// How long the last keep-alive took to be answered, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// How long ago that was, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_ms: Option<u64>,
    /// What it says of itself: its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The size of its database, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Its own alarms, such as NOSPACE: a database that has reached its quota takes no writes.
    #[serde(default)]
    pub alarms: Vec<String>,
}

/// A unit that a machine is stopping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stopping {
    /// The unit.
    pub unit: String,
    /// Where.
    pub machine: MachineRef,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// How long it may take, in milliseconds; absent where its own time-out sets no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_ms: Option<u64>,
}

/// Who leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaderView {
    /// The machine.
    pub machine: MachineRef,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// Why it stood.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A machine that is not present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LostMachine {
    /// Its id.
    pub id: String,
    /// How many units that run on one machine alone are still its own.
    pub units: usize,
    /// It is to be given nothing new when it comes back.
    #[serde(default)]
    pub cordoned: bool,
    /// As above, and what it has is to move away.
    #[serde(default)]
    pub draining: bool,
}

/// The brake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrakeView {
    /// The machines whose loss put it on.
    pub lost: Vec<MachineRef>,
    /// How many machines were present before.
    pub present_before: u32,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// An operator released it; the leader takes it off.
    #[serde(default)]
    pub released: bool,
}

/// A unit that runs under fleet and that this cluster did not ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Orphan {
    /// The unit.
    pub unit: String,
    /// Where it runs.
    pub machine: MachineRef,
    /// systemd's ActiveState there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub active: String,
    /// When that last changed, in milliseconds since 1970; 0 where it never did.
    #[serde(default)]
    pub since: u64,
}

/// A unit that is not as it should be for long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitTrouble {
    /// The unit.
    pub unit: String,
    /// What its machine says of it.
    pub state: StateView,
}

/// A record that cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadableRecord {
    /// Its key in the store.
    pub key: String,
    /// Why not.
    pub why: String,
}
