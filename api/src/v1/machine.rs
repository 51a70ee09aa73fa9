//! Machines that are present.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::or_empty;

/// A machine that is present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Its `/etc/machine-id`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub id: String,
    /// From its configuration, with what operators changed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Its address for people.
    #[serde(rename = "primaryIP", skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub primary_ip: String,
}

/// A page of machines, sorted by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MachinePage {
    /// The machines.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_empty")]
    pub machines: Vec<Machine>,
    /// Asks for the next page; empty on the last.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_empty")]
    pub next_page_token: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_and_ordered_as_in_fleet() {
        let page = MachinePage {
            machines: vec![Machine {
                id: "m1".into(),
                primary_ip: "192.0.2.2".into(),
                metadata: BTreeMap::from([("disk".into(), "ssd".into())]),
            }],
            next_page_token: "ZAACAA==".into(),
        };
        let json = concat!(
            r#"{"machines":[{"id":"m1","metadata":{"disk":"ssd"},"primaryIP":"192.0.2.2"}],"#,
            r#""nextPageToken":"ZAACAA=="}"#,
        );
        assert_eq!(serde_json::to_string(&page).unwrap(), json);
        assert_eq!(serde_json::from_str::<MachinePage>(json).unwrap(), page);
        assert_eq!(serde_json::to_string(&MachinePage::default()).unwrap(), "{}");
    }
}
