//! What a unit asks of a machine's metadata.

mod number;
mod parse;
mod predicate;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use parse::{MetadataError, MetadataProblem};
pub use predicate::{Comparison, MachineTraits, MetadataPredicate, MetadataTest, MetadataValues};

/// The demands of all `MachineMetadata=` options of a unit: a machine must meet
/// each of them.
///
/// Several `key=value` of one key are one demand, which any of the values
/// meets. Each value with another operator is a demand of its own.
///
/// ```
/// use std::collections::BTreeMap;
/// use fleet_units::{MachineTraits, MetadataConstraints};
///
/// let wanted = MetadataConstraints::parse(["zone=a", "zone=b", "ram>=2048"]).unwrap();
/// let mut metadata = BTreeMap::from([("zone".to_string(), "b".to_string())]);
/// assert_eq!(wanted.first_unmet(&MachineTraits::of(&metadata)).unwrap().key, "ram");
/// metadata.insert("ram".to_string(), "4096".to_string());
/// assert!(wanted.matches(&MachineTraits::of(&metadata)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MetadataConstraints {
    /// Sorted: by key, then by operator.
    predicates: Vec<MetadataPredicate>,
}

impl MetadataConstraints {
    /// Reads values of `MachineMetadata=`, see [`MetadataConstraints::parse_option`].
    pub fn parse<I>(values: I) -> Result<Self, MetadataError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self::parse_option("MachineMetadata", values)
    }

    /// Reads values of an option as they are written in a unit file, but for
    /// the unit's own specifiers: `%H`, `%m`, and `%%` are still in them.
    pub fn parse_option<I>(option: &'static str, values: I) -> Result<Self, MetadataError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut any_of: BTreeMap<String, MetadataValues> = BTreeMap::new();
        let mut predicates = BTreeSet::new();
        for value in values {
            let value = value.as_ref();
            let malformed = |problem| MetadataError { option, value: value.to_owned(), problem };
            match parse::predicate(value).map_err(malformed)? {
                parse::Written::Equals(key, value) => any_of.entry(key).or_default().insert(&value),
                parse::Written::Other(predicate) => {
                    predicates.insert(predicate);
                }
            }
        }
        predicates
            .extend(any_of.into_iter().map(|(key, values)| MetadataPredicate { key, test: MetadataTest::In(values) }));
        Ok(Self { predicates: predicates.into_iter().collect() })
    }

    /// What this and another ask together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let predicates: BTreeSet<_> = self.predicates.iter().chain(&other.predicates).cloned().collect();
        Self { predicates: predicates.into_iter().collect() }
    }

    /// Whether a machine meets all.
    pub fn matches(&self, machine: &MachineTraits<'_>) -> bool {
        self.first_unmet(machine).is_none()
    }

    /// The first demand, by key, that a machine does not meet.
    pub fn first_unmet(&self, machine: &MachineTraits<'_>) -> Option<&MetadataPredicate> {
        self.predicates.iter().find(|predicate| !predicate.matches(machine))
    }

    /// How many demands a machine does not meet.
    pub fn unmet(&self, machine: &MachineTraits<'_>) -> usize {
        self.predicates.iter().filter(|predicate| !predicate.matches(machine)).count()
    }

    /// Every demand, by key.
    pub fn iter(&self) -> impl Iterator<Item = &MetadataPredicate> {
        self.predicates.iter()
    }

    /// How many demands there are.
    pub fn len(&self) -> usize {
        self.predicates.len()
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.predicates.is_empty()
    }

    /// Two demands on one key that no value meets at once, where that can be
    /// told without a machine: as they are written.
    pub(crate) fn contradiction(&self) -> Option<(String, String)> {
        self.predicates.iter().enumerate().find_map(|(n, a)| {
            let same_key = self.predicates[n + 1..].iter().take_while(|b| b.key == a.key);
            let against = same_key.into_iter().find(|b| a.excludes(b))?;
            Some((a.to_string(), against.to_string()))
        })
    }
}

#[cfg(test)]
mod tests;
