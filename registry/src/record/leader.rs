//! `engine/leader`, `engine/standby/<n>` and `engine/brake`.

use std::collections::BTreeMap;

use fleet_units::MachineId;
use serde::{Deserialize, Serialize};

use super::{Extra, WallMillis};

/// Who leads, or stands by with a warm mirror. Hangs on that machine's lease. The create revision of `engine/leader` is
/// the fence: every write of a schedule compares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderRecord {
    /// Format version.
    pub v: u32,
    /// The machine.
    pub machine: MachineId,
    /// Its fleetd (`machines/<id>`'s instance).
    pub instance: String,
    /// Since when.
    pub since: WallMillis,
    /// Why it stood: `no leader`, `leader's lease ended`, `leader resigned`.
    #[serde(default)]
    pub why: String,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `engine/brake`: too many machines were lost at once, so nothing moves (invariant 5). Present while it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrakeRecord {
    /// Format version.
    pub v: u32,
    /// The machines whose loss put it on, with the time at which each was found lost.
    pub lost: BTreeMap<MachineId, WallMillis>,
    /// How many machines were present before.
    pub present_before: u32,
    /// Since when.
    pub since: WallMillis,
    /// Set by `fleetctl brake release`: the leader takes it off and goes on.
    #[serde(default)]
    pub released: bool,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}
