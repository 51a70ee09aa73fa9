//! What would come of a change, before it is made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{MachineRef, UnitChange, is_false};

/// `POST /fleet/v2/plan`: changes to think through, all of them made at once. Nothing is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanRequest {
    /// Units to create or change, as `POST /fleet/v2/units` takes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<UnitChange>,
    /// What happens to machines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<SupposedMachine>,
}

/// What happens to a machine, supposedly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SupposedMachine {
    /// Its full id.
    pub id: String,
    /// It is lost.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lost: bool,
    /// It is drained.
    #[serde(default, skip_serializing_if = "is_false")]
    pub draining: bool,
    /// It has these values of metadata; `null` removes a key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Option<String>>,
}

/// What would come of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanAnswer {
    /// The store's revision that this was said by.
    pub revision: i64,
    /// Whether the server has lost touch with the store, so that this may be old.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stale: bool,
    /// Names this answer to what was asked: `POST /fleet/v2/plan/start` takes it. Absent where more was asked than to
    /// change units, or where one of them was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// So many machines would be lost at once that nothing moves before the brake is released.
    #[serde(default, skip_serializing_if = "is_false")]
    pub brake: bool,
    /// Each unit whose place would change, and each that was asked about, by name.
    pub units: Vec<UnitFate>,
    /// Units that would be refused, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedUnit>,
}

/// What would become of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitFate {
    /// The unit.
    pub name: String,
    /// In a word.
    pub fate: FateKind,
    /// The machines that it leaves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<MachineRef>,
    /// The machines that it comes to, or stays on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<MachineRef>,
    /// Why, in a line for people.
    pub reason: String,
}

/// What would become of a unit, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FateKind {
    /// It has no machine, and is given one.
    Placed,
    /// It leaves its machine for another.
    Moved,
    /// It is global, and runs on other machines than before, or on fewer.
    Spread,
    /// It loses its machine, and no other can take it (yet).
    Displaced,
    /// It has no machine, and gets none.
    Unplaced,
    /// It stays where it is.
    Stays,
    /// Nobody wants it to run.
    Withdrawn,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}

/// A unit that would be refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedUnit {
    /// The unit.
    pub name: String,
    /// Why.
    pub message: String,
}

/// `POST /fleet/v2/plan/start`: changes of units that were planned, to be made only if that still comes to the same.
/// Answered as `POST /fleet/v2/units`, or by 409 where it comes to something else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedRequest {
    /// What the plan said.
    pub token: String,
    /// The units, as they were planned.
    pub units: Vec<UnitChange>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_short_and_exact() {
        let json = r#"{"machines":[{"id":"m1","draining":true,"metadata":{"zone":null}}]}"#;
        let request: PlanRequest = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&request).unwrap(), json);
        assert!(serde_json::from_str::<PlanRequest>(r#"{"loose":["m1"]}"#).is_err(), "a mistake is no empty question");
        assert_eq!(serde_json::from_str::<FateKind>(r#""preempted""#).unwrap(), FateKind::Other);
    }
}
