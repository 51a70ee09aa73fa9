//! What a unit asks of a machine's metadata.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The demands of all `MachineMetadata=` options of a unit.
///
/// A machine must have every key, with one of the values that were asked for
/// that key.
///
/// ```
/// use std::collections::BTreeMap;
/// use fleet_units::MetadataConstraints;
///
/// let wanted = MetadataConstraints::parse(["zone=a", "zone=b", "disk=ssd"]).unwrap();
/// let mut machine = BTreeMap::from([("zone".to_string(), "b".to_string())]);
/// assert_eq!(wanted.first_unmet(&machine).unwrap().0, "disk");
/// machine.insert("disk".to_string(), "ssd".to_string());
/// assert!(wanted.matches(&machine));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataConstraints {
    /// Keys, and the values of which the machine must have one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    any_of: BTreeMap<String, BTreeSet<String>>,
}

/// A value of `MachineMetadata=` that is not `key=value`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed MachineMetadata {0:?}: expected key=value{hint}", hint = hint(.0))]
pub struct MetadataError(pub String);

/// Tells who wrote two pairs on one line how that is done.
fn hint(value: &str) -> &'static str {
    if value.matches('=').count() > 1 && value.contains(' ') {
        " (several on one line are each quoted: \"a=1\" \"b=2\")"
    } else {
        ""
    }
}

impl MetadataConstraints {
    /// Reads `key=value` texts.
    pub fn parse<I>(values: I) -> Result<Self, MetadataError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut constraints = Self::default();
        for value in values {
            let text = value.as_ref();
            let (key, value) = parse_pair(text).ok_or_else(|| MetadataError(text.to_owned()))?;
            let values = constraints.any_of.entry(key.to_owned()).or_default();
            values.insert(value.to_owned());
        }
        Ok(constraints)
    }

    /// Whether a machine of this metadata will do.
    pub fn matches(&self, machine: &BTreeMap<String, String>) -> bool {
        self.first_unmet(machine).is_none()
    }

    /// The first key, in order, for which a machine of this metadata will not
    /// do, and the values that would.
    pub fn first_unmet(&self, machine: &BTreeMap<String, String>) -> Option<(&str, &BTreeSet<String>)> {
        self.iter().find(|(key, values)| !machine.get(*key).is_some_and(|value| values.contains(value)))
    }

    /// Every key with the values of which a machine must have one.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.any_of.iter().map(|(key, values)| (key.as_str(), values))
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.any_of.is_empty()
    }
}

/// Splits at the only `=`. Keys may not hold what operators are made of, so
/// that `ram>=2048` is never taken for a key named `ram>`.
fn parse_pair(text: &str) -> Option<(&str, &str)> {
    let (key, value) = text.split_once('=')?;
    let key_is_sound = !key.is_empty() && !key.contains(|c: char| c.is_whitespace() || "<>!~,()\"".contains(c));
    let value_is_sound = !value.is_empty() && !value.contains('=');
    (key_is_sound && value_is_sound).then_some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn keys_are_anded_and_values_of_a_key_ored() {
        let wanted = MetadataConstraints::parse(["a=1", "b=1", "a=2"]).unwrap();
        assert!(wanted.matches(&machine(&[("a", "1"), ("b", "1")])));
        assert!(wanted.matches(&machine(&[("a", "2"), ("b", "1"), ("c", "x")])));
        assert!(!wanted.matches(&machine(&[("a", "3"), ("b", "1")])));
        assert!(!wanted.matches(&machine(&[("a", "1")])));
        assert!(!wanted.matches(&machine(&[])));
    }

    #[test]
    fn asking_nothing_matches_everything() {
        let nothing = MetadataConstraints::default();
        assert!(nothing.is_empty());
        assert!(nothing.matches(&machine(&[])));
        assert_eq!(serde_json::to_string(&nothing).unwrap(), "{}");
    }

    #[test]
    fn malformed_values_are_named() {
        for text in ["", "a", "=", "a=", "=1", "a=b=c", "a==b", "ram>=2048", "a!=b", "a =1", "a=1 b=2"] {
            assert_eq!(MetadataConstraints::parse([text]), Err(MetadataError(text.to_owned())));
        }
    }

    #[test]
    fn two_pairs_on_a_line_get_a_hint() {
        assert_eq!(
            MetadataError("a=1 b=2".into()).to_string(),
            r#"malformed MachineMetadata "a=1 b=2": expected key=value (several on one line are each quoted: "a=1" "b=2")"#
        );
        assert_eq!(MetadataError("a=".into()).to_string(), r#"malformed MachineMetadata "a=": expected key=value"#);
    }
}
