//! Changing what the cluster is asked to do, many units at once.

use std::collections::BTreeMap;

use fleet_units::DesiredState;
use serde::{Deserialize, Serialize};

use super::is_false;

/// `POST /fleet/v2/units`: units to create or change, each independent of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnitsRequest {
    /// The units.
    pub units: Vec<UnitChange>,
}

/// What is asked for one unit.
///
/// With a text and no such unit: it is created. With another text than the cluster's and no `replace`: the text stays,
/// the rest of the change is made, and the outcome says that they differ. Without a text the unit must exist.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnitChange {
    /// Its name, checked by the server.
    pub name: String,
    /// Its unit file, byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its drop-ins: file name to text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub drop_ins: BTreeMap<String, String>,
    /// What people want of it; a new unit is inactive unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_state: Option<DesiredState>,
    /// Take the given text even if the unit exists with another.
    #[serde(default, skip_serializing_if = "is_false")]
    pub replace: bool,
    /// Restart it where it is launched.
    #[serde(default, skip_serializing_if = "is_false")]
    pub restart: bool,
}

/// What became of a [`UnitsRequest`], in the order of its units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitsAnswer {
    /// The store's revision at which all of it can be seen.
    pub revision: i64,
    /// One for each unit asked for.
    pub units: Vec<UnitOutcome>,
}

/// What became of one unit's change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitOutcome {
    /// The unit.
    pub name: String,
    /// What happened.
    pub outcome: Outcome,
    /// Which unit of that name: destroyed and submitted again, it is another. Absent where it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<i64>,
    /// What the cluster is now asked to do with it. Absent where it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_state: Option<DesiredState>,
    /// Why it was refused, or what a person should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What happened to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is new.
    Created,
    /// It has another desired state, or was told to restart.
    Changed,
    /// It was already as asked for.
    Unchanged,
    /// It has another text.
    Replaced,
    /// It has a text other than the given one, which was left alone. A given desired state was applied.
    Differs,
    /// Nothing was done; the message says why.
    Refused,
}

/// `POST /fleet/v2/destroy`: units to remove from the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DestroyRequest {
    /// Their names.
    pub names: Vec<String>,
}

/// What became of a [`DestroyRequest`], in the order of its names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DestroyAnswer {
    /// The store's revision at which all of it can be seen.
    pub revision: i64,
    /// One for each name.
    pub units: Vec<Destroyed>,
}

/// What became of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Destroyed {
    /// The unit.
    pub name: String,
    /// What happened.
    pub outcome: DestroyOutcome,
}

/// What happened to a unit that was to be destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DestroyOutcome {
    /// It is no longer asked for. It stays visible until its machines have stopped it.
    Destroyed,
    /// There was no such unit.
    Absent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_carries_only_what_it_asks_for() {
        let change = UnitChange {
            name: "a.service".into(),
            desired_state: Some(DesiredState::Launched),
            ..UnitChange::default()
        };
        let json = r#"{"name":"a.service","desiredState":"launched"}"#;
        assert_eq!(serde_json::to_string(&change).unwrap(), json);
        assert_eq!(serde_json::from_str::<UnitChange>(json).unwrap(), change);
    }

    #[test]
    fn drop_ins_are_named_as_the_contract_has_it() {
        let json = r#"{"name":"a.service","text":"x","dropIns":{"10.conf":"y"},"replace":true,"restart":true}"#;
        let change: UnitChange = serde_json::from_str(json).unwrap();
        assert_eq!(change.drop_ins.get("10.conf").map(String::as_str), Some("y"));
        assert_eq!(serde_json::to_string(&change).unwrap(), json);
    }

    #[test]
    fn outcomes_are_lower_case() {
        let outcome: UnitOutcome =
            serde_json::from_str(r#"{"name":"a","outcome":"refused","message":"unit does not exist"}"#).unwrap();
        assert_eq!(outcome.outcome, Outcome::Refused);
        assert_eq!(outcome.uid, None);
    }
}
