//! Units: what people asked for.

use serde::{Deserialize, Serialize};

use super::or_empty;

/// One line of a unit file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnitOption {
    /// What stands before the `=`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub name: String,
    /// The section it stands in.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub section: String,
    /// What stands after the `=`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub value: String,
}

/// A unit. States are texts, since a request may carry any: the server checks them and says what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Unit {
    /// How far the cluster got with it; empty for global units.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub current_state: String,
    /// What people want of it.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub desired_state: String,
    /// The machine that it is scheduled to.
    #[serde(rename = "machineID", skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub machine_id: String,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub name: String,
    /// Its unit file.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_empty")]
    pub options: Vec<UnitOption>,
}

/// A page of units, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UnitPage {
    /// Asks for the next page; empty on the last.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub next_page_token: String,
    /// The units.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_empty")]
    pub units: Vec<Unit>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_fields_are_left_out() {
        assert_eq!(serde_json::to_string(&Unit::default()).unwrap(), "{}");
        assert_eq!(serde_json::to_string(&UnitPage::default()).unwrap(), "{}");
    }

    #[test]
    fn fields_are_named_and_ordered_as_in_fleet() {
        let unit = Unit {
            name: "a.service".into(),
            options: vec![UnitOption {
                section: "Service".into(),
                name: "ExecStart".into(),
                value: "/bin/true".into(),
            }],
            desired_state: "launched".into(),
            current_state: "loaded".into(),
            machine_id: "m1".into(),
        };
        let json = concat!(
            r#"{"currentState":"loaded","desiredState":"launched","machineID":"m1","name":"a.service","#,
            r#""options":[{"name":"ExecStart","section":"Service","value":"/bin/true"}]}"#,
        );
        assert_eq!(serde_json::to_string(&unit).unwrap(), json);
        assert_eq!(serde_json::from_str::<Unit>(json).unwrap(), unit);
    }

    #[test]
    fn null_and_unknown_fields_are_borne() {
        let unit: Unit = serde_json::from_str(r#"{"name":"a.service","options":null,"color":"red"}"#).unwrap();
        assert_eq!(unit.name, "a.service");
        assert!(unit.options.is_empty());
    }
}
