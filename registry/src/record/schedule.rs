//! `schedule/<machine>` and `applied/<machine>`: what a machine is to run, and how far it got with stopping.

use std::collections::{BTreeMap, BTreeSet};

use fleet_units::UnitName;
use serde::{Deserialize, Serialize};

use super::{ContentKey, Extra};

/// What the machine is to do with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Loaded into systemd, not started by fleet.
    Loaded,
    /// Started.
    Launched,
}

/// One unit of a machine's schedule. A leader makes it from the unit's record; what a leader of a newer version said beside
/// that is kept as long as the machine is to run the same text of the same unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Create revision of `units/<unit>`: which unit of that name is meant.
    pub uid: i64,
    /// Its text.
    pub content: ContentKey,
    /// What to do with it.
    pub target: Target,
    /// Restart generation: raised when people ask for a restart.
    #[serde(default)]
    pub restarts: u64,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `schedule/<machine>`: all that a machine is to run, in one value, written by the engine's leader alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRecord {
    /// Format version.
    pub v: u32,
    /// Raised by every write. An agent refuses a generation below one that it acknowledged.
    pub generation: u64,
    /// What it is to run.
    pub units: BTreeMap<UnitName, Assignment>,
    /// Units taken off this schedule whose stop the machine has not acknowledged yet, with the first generation that no
    /// longer lists them: until `applied/` reaches it they may run here, and run nowhere else (invariant 2). Kept in the
    /// record so that the next leader knows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leaving: BTreeMap<UnitName, u64>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ScheduleRecord {
    /// The most units that one machine is given: a schedule is one value, rewritten at each change.
    pub const MAX_UNITS: usize = 2_000;
}

/// `applied/<machine>`: the generation that the machine has carried out as far as stopping goes. Every unit that it no
/// longer lists has had its stop job finished and is not loaded, but for those that `stopping` names. The machine starts
/// nothing from an older generation once this is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedRecord {
    /// Format version.
    pub v: u32,
    /// The generation.
    pub generation: u64,
    /// Units that it no longer lists and that are still being stopped: a slow one holds back no other.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub stopping: BTreeSet<UnitName>,
    /// In which boot.
    pub boot_id: String,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

impl AppliedRecord {
    /// Whether a unit that a schedule took away with this generation is gone from the machine.
    #[must_use]
    pub fn gave_back(&self, unit: &UnitName, generation: u64) -> bool {
        self.generation >= generation && !self.stopping.contains(unit)
    }
}
