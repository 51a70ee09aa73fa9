//! Unit states: what systemd says of a unit on a machine.

use serde::{Deserialize, Serialize};

use super::or_empty;

/// What systemd on one machine says of one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UnitState {
    /// The hash of the unit file that is loaded.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub hash: String,
    /// The machine.
    #[serde(rename = "machineID", skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub machine_id: String,
    /// The unit.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub name: String,
    /// systemd's ActiveState.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub systemd_active_state: String,
    /// systemd's LoadState.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub systemd_load_state: String,
    /// systemd's SubState.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub systemd_sub_state: String,
}

/// A page of states, sorted by unit, then machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UnitStatePage {
    /// Asks for the next page; empty on the last.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub next_page_token: String,
    /// The states.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_empty")]
    pub states: Vec<UnitState>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_and_ordered_as_in_fleet() {
        let state = UnitState {
            name: "a.service".into(),
            hash: "86943ac".into(),
            machine_id: "m1".into(),
            systemd_load_state: "loaded".into(),
            systemd_active_state: "active".into(),
            systemd_sub_state: "running".into(),
        };
        let json = concat!(
            r#"{"hash":"86943ac","machineID":"m1","name":"a.service","systemdActiveState":"active","#,
            r#""systemdLoadState":"loaded","systemdSubState":"running"}"#,
        );
        assert_eq!(serde_json::to_string(&state).unwrap(), json);
        assert_eq!(serde_json::from_str::<UnitState>(json).unwrap(), state);
        assert_eq!(serde_json::to_string(&UnitStatePage::default()).unwrap(), "{}");
    }
}
