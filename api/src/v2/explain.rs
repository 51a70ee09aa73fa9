//! Why a unit is where it is, or why it is nowhere.

use serde::{Deserialize, Serialize};

use super::{MachineRef, UnitView, is_false};

/// `GET /fleet/v2/units/NAME/explain`: what is decided about a unit, and what each machine answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The store's revision that this shows.
    pub revision: i64,
    /// When it was answered, in milliseconds since 1970.
    pub now: u64,
    /// Whether the server has lost touch with the store, so that this may be old.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stale: bool,
    /// The unit: what is wanted of it, and what machines say of it. Its note is what the leader decided last.
    pub unit: UnitView,
    /// What is decided about it by what the records say now.
    pub decision: DecisionKind,
    /// That in one line for people.
    pub reason: String,
    /// The machines whose schedule lists it, by id.
    pub places: Vec<MachineRef>,
    /// Where it would be placed if it had no machine yet. Absent where it has none, and for global units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_anew: Option<PlacedAnew>,
    /// The machines that could take it and do not have it, the least loaded first.
    pub able: Vec<AbleMachine>,
    /// The machines that cannot, by the first filter that rejects; the most frequent reason first.
    pub rejections: Vec<RejectionView>,
    /// The smallest change that would place it, tried by placing it. Absent where it has a machine, and where no small
    /// change would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest_change: Option<RemedyView>,
}

/// A change that would place a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemedyView {
    /// What to do, each in a line for people; all of it is needed.
    pub steps: Vec<String>,
    /// The machine that could take the unit then.
    pub machine: MachineRef,
}

/// What is decided about a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionKind {
    /// It has a machine, or is given one.
    Placed,
    /// It will be placed once something else has happened.
    Waiting,
    /// No machine can take it as things are.
    Unplaceable,
    /// It cannot be placed at all as it is written.
    Invalid,
    /// Nobody wants it to have a machine.
    Unwanted,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}

/// Where a unit would be placed if it had no machine yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlacedAnew {
    /// The machine.
    pub machine: MachineRef,
    /// Why that one, with the one that would be next.
    pub reason: String,
}

/// A machine that could take the unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AbleMachine {
    /// The machine.
    pub machine: MachineRef,
    /// How many units it has.
    pub units: u32,
}

/// Machines that reject the unit for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectionView {
    /// The reason, in words that follow "3 machines".
    pub reason: String,
    /// How many they are.
    pub count: usize,
    /// Which, by id.
    pub machines: Vec<MachineRef>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_of_newer_versions_are_borne() {
        assert_eq!(serde_json::from_str::<DecisionKind>(r#""preempted""#).unwrap(), DecisionKind::Other);
    }
}
