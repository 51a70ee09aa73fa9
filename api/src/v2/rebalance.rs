//! Evening out the load: which moves would, and asking a unit to leave a machine.

use serde::{Deserialize, Serialize};

use super::{MachineRef, is_false};

/// `POST /fleet/v2/rebalance`: asks for moves that even out how many units machines have. Nothing is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RebalanceRequest {
    /// At most so many; absent for as many as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_moves: Option<usize>,
}

/// The fewest moves that even out the load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RebalanceAnswer {
    /// The store's revision that this was said by.
    pub revision: i64,
    /// Whether the server has lost touch with the store, so that this may be old.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stale: bool,
    /// In the order in which they are to be made.
    pub moves: Vec<MoveView>,
    /// How many units the machines have that may be given some.
    pub before: LoadRange,
    /// How many they have after these moves.
    pub after: LoadRange,
}

/// A unit that is to be moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MoveView {
    /// The unit.
    pub name: String,
    /// Units that must be with it, and come along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
    /// Units of one group are not to be away at once.
    pub group: String,
    /// The groups of those that come along, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with_groups: Vec<String>,
    /// The machine that it leaves.
    pub from: MachineRef,
    /// The machine that it would be placed on.
    pub to: MachineRef,
    /// Why there.
    pub reason: String,
}

/// The least and the most loaded machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadRange {
    /// How many units the least loaded one has.
    pub least: u32,
    /// How many the most loaded one has.
    pub most: u32,
}

/// `POST /fleet/v2/leave`: asks units to leave machines, and to keep away from them as long as others can take them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeaveRequest {
    /// The units.
    pub units: Vec<LeaveUnit>,
}

/// What is asked of one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeaveUnit {
    /// The unit.
    pub name: String,
    /// The machine that it is to leave, by its full id. Absent: it may be anywhere again, and stays where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

/// What became of a [`LeaveRequest`], in the order of its units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaveAnswer {
    /// The store's revision at which all of it can be seen.
    pub revision: i64,
    /// One for each unit.
    pub units: Vec<LeaveOutcome>,
}

/// What became of one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaveOutcome {
    /// The unit.
    pub name: String,
    /// Whether there is such a unit.
    pub exists: bool,
    /// Whether that was news.
    #[serde(default, skip_serializing_if = "is_false")]
    pub changed: bool,
}
