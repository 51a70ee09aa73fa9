//! One demand on one key of a machine's metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::number::Number;
use crate::specifier::expand_of_machine;

/// What demands are held against: a machine's metadata, and what `%H` and `%m`
/// stand for on it.
#[derive(Clone, Copy, Debug)]
pub struct MachineTraits<'a> {
    /// Its metadata.
    pub metadata: &'a BTreeMap<String, String>,
    /// `%H`: its host name.
    pub hostname: &'a str,
    /// `%m`: its id.
    pub id: &'a str,
}

impl<'a> MachineTraits<'a> {
    /// A machine without a name.
    pub fn of(metadata: &'a BTreeMap<String, String>) -> Self {
        Self { metadata, hostname: "", id: "" }
    }
}

/// One demand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MetadataPredicate {
    /// The key.
    pub key: String,
    /// What its value must be.
    pub test: MetadataTest,
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetadataTest {
    /// `=`, `in (…)`: one of these.
    In(MetadataValues),
    /// `!=`, `not in (…)`: none of these; a machine without the key will do.
    NotIn(MetadataValues),
    /// `>=`, `<=`, `>`, `<`: a number that compares so with this one. A value
    /// that is no number will not do.
    Compare(Comparison, Number),
}

/// How numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Comparison {
    /// `>=`
    #[serde(rename = ">=")]
    AtLeast,
    /// `<=`
    #[serde(rename = "<=")]
    AtMost,
    /// `>`
    #[serde(rename = ">")]
    Above,
    /// `<`
    #[serde(rename = "<")]
    Below,
}

/// Values that a demand names.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MetadataValues {
    /// Those that are the same for every machine.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub fixed: BTreeSet<String>,
    /// Those with `%H` or `%m` in them, as written.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub of_machine: BTreeSet<String>,
}

impl MetadataValues {
    /// Adds a value in which `%H`, `%m`, and `%%` are still to be replaced.
    pub(super) fn insert(&mut self, written: &str) {
        match expand_of_machine(written, None) {
            Some(value) => self.fixed.insert(value),
            None => self.of_machine.insert(written.to_owned()),
        };
    }

    fn contains(&self, value: &str, machine: &MachineTraits<'_>) -> bool {
        self.fixed.contains(value)
            || self.of_machine.iter().any(|written| {
                expand_of_machine(written, Some((machine.hostname, machine.id))).as_deref() == Some(value)
            })
    }

    fn iter(&self) -> impl Iterator<Item = &String> {
        self.fixed.iter().chain(&self.of_machine)
    }
}

impl Comparison {
    fn holds(self, value: Number, limit: Number) -> bool {
        match self {
            Self::AtLeast => value >= limit,
            Self::AtMost => value <= limit,
            Self::Above => value > limit,
            Self::Below => value < limit,
        }
    }

    fn is_lower_bound(self) -> bool {
        matches!(self, Self::AtLeast | Self::Above)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::Below => "<",
        })
    }
}

impl MetadataPredicate {
    /// Whether a machine meets it.
    pub fn matches(&self, machine: &MachineTraits<'_>) -> bool {
        let value = machine.metadata.get(&self.key);
        match &self.test {
            MetadataTest::In(values) => value.is_some_and(|value| values.contains(value, machine)),
            MetadataTest::NotIn(values) => value.is_none_or(|value| !values.contains(value, machine)),
            MetadataTest::Compare(comparison, limit) => {
                let number = value.and_then(|value| Number::parse(value));
                number.is_some_and(|number| comparison.holds(number, *limit))
            }
        }
    }

    /// The values of which a machine must have one, where they are the same for
    /// every machine: what an index can find it by.
    pub fn any_of(&self) -> Option<&BTreeSet<String>> {
        match &self.test {
            MetadataTest::In(values) if values.of_machine.is_empty() => Some(&values.fixed),
            _ => None,
        }
    }

    /// Whether no value meets both this and another demand on the same key.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        if let (MetadataTest::Compare(a, one), MetadataTest::Compare(b, two)) = (&self.test, &other.test) {
            let (low, high) = if one <= two { ((a, one), (b, two)) } else { ((b, two), (a, one)) };
            let strict = |comparison: &Comparison| matches!(comparison, Comparison::Above | Comparison::Below);
            return match one == two {
                true => a.is_lower_bound() != b.is_lower_bound() && (strict(a) || strict(b)),
                false => !low.0.is_lower_bound() && high.0.is_lower_bound(),
            };
        }
        let meets = |value: &String, predicate: &Self| {
            let metadata = BTreeMap::from([(predicate.key.clone(), value.clone())]);
            predicate.matches(&MachineTraits::of(&metadata))
        };
        match (self.any_of(), other.any_of()) {
            (Some(values), _) if !other.depends_on_machine() => !values.iter().any(|value| meets(value, other)),
            (_, Some(values)) if !self.depends_on_machine() => !values.iter().any(|value| meets(value, self)),
            _ => false,
        }
    }

    fn depends_on_machine(&self) -> bool {
        match &self.test {
            MetadataTest::In(values) | MetadataTest::NotIn(values) => !values.of_machine.is_empty(),
            MetadataTest::Compare(..) => false,
        }
    }

    /// What is wrong with a machine that does not meet it, in words that follow
    /// "the machine".
    pub fn complaint(&self) -> String {
        let pairs = |values: &MetadataValues| {
            let pairs: Vec<String> = values.iter().map(|value| format!("{}={value}", self.key)).collect();
            pairs.join(" or ")
        };
        match &self.test {
            MetadataTest::In(values) => format!("lacks {}", pairs(values)),
            MetadataTest::NotIn(values) => format!("has {}", pairs(values)),
            MetadataTest::Compare(..) => format!("lacks {self}"),
        }
    }
}

/// As it is written in a unit file.
impl fmt::Display for MetadataPredicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let (one, many, values) = match &self.test {
            MetadataTest::Compare(comparison, limit) => return write!(f, "{key}{comparison}{limit}"),
            MetadataTest::In(values) => ("=", "in", values),
            MetadataTest::NotIn(values) => ("!=", "not in", values),
        };
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        match values[..] {
            [value] => write!(f, "{key}{one}{value}"),
            _ => write!(f, "{key} {many} ({})", values.join(",")),
        }
    }
}
