//! Reads one value of `MachineMetadata=`.

use super::number::Number;
use super::predicate::{Comparison, MetadataPredicate, MetadataTest, MetadataValues};

/// A value that is no demand on a machine's metadata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {option} {value:?}: {problem}")]
pub struct MetadataError {
    /// The option.
    pub option: &'static str,
    /// The value, with the unit's specifiers replaced.
    pub value: String,
    /// What is wrong with it.
    pub problem: MetadataProblem,
}

/// What is wrong with a demand on a machine's metadata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataProblem {
    /// There is no operator, or nothing on one side of it.
    #[error("expected key=value{0}")]
    Malformed(&'static str),
    /// A number is compared with what is none.
    #[error("{limit:?} is not a decimal number, and only numbers compare by {operator}")]
    NotANumber {
        /// What ought to be a number.
        limit: String,
        /// The operator.
        operator: Comparison,
    },
    /// What follows `in` is not a list.
    #[error("expected values in parentheses with commas between, such as zone in (a,b)")]
    List,
}

/// Tells who wrote two pairs on one line how that is done.
fn hint(value: &str) -> &'static str {
    if value.matches('=').count() > 1 && value.contains(' ') {
        " (several on one line are each quoted: \"a=1\" \"b=2\")"
    } else {
        ""
    }
}

/// A demand as written.
pub(super) enum Written {
    /// `key=value`: one of those that make up one demand.
    Equals(String, String),
    /// A demand of its own.
    Other(MetadataPredicate),
}

/// Longer operators come before those that they begin with.
const COMPARISONS: [(&str, Comparison); 4] =
    [(">=", Comparison::AtLeast), ("<=", Comparison::AtMost), (">", Comparison::Above), ("<", Comparison::Below)];

pub(super) fn predicate(text: &str) -> Result<Written, MetadataProblem> {
    let malformed = || MetadataProblem::Malformed(hint(text));
    let is_key = |c: char| !c.is_whitespace() && !"=<>!~,()\"".contains(c);
    let (key, rest) = text.split_at(text.find(|c| !is_key(c)).unwrap_or(text.len()));
    if key.is_empty() {
        return Err(malformed());
    }
    // Blanks are part of the value here, as they always were.
    if let Some(value) = rest.strip_prefix('=') {
        let sound = !value.is_empty() && !value.contains('=');
        return if sound { Ok(Written::Equals(key.to_owned(), value.to_owned())) } else { Err(malformed()) };
    }
    let other = |test| Ok(Written::Other(MetadataPredicate { key: key.to_owned(), test }));
    let operator = rest.trim_start();
    if let Some(value) = operator.strip_prefix("!=") {
        let value = value.trim();
        if value.is_empty() || value.contains('=') {
            return Err(malformed());
        }
        let mut values = MetadataValues::default();
        values.insert(value);
        return other(MetadataTest::NotIn(values));
    }
    for (sign, comparison) in COMPARISONS {
        if let Some(limit) = operator.strip_prefix(sign) {
            let limit = limit.trim();
            let not_a_number = || MetadataProblem::NotANumber { limit: limit.to_owned(), operator: comparison };
            return other(MetadataTest::Compare(comparison, Number::parse(limit).ok_or_else(not_a_number)?));
        }
    }
    // A word is told from the key by a blank.
    if operator.len() == rest.len() {
        return Err(malformed());
    }
    if let Some(list) = word(operator, "in") {
        return other(MetadataTest::In(values(list)?));
    }
    let list = word(operator, "not").and_then(|rest| word(rest.trim_start(), "in")).ok_or_else(malformed)?;
    other(MetadataTest::NotIn(values(list)?))
}

/// What follows a word.
fn word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(word)?;
    rest.starts_with(|c: char| c.is_whitespace() || c == '(').then_some(rest)
}

/// `(a, b)`.
fn values(list: &str) -> Result<MetadataValues, MetadataProblem> {
    let list = list.trim().strip_prefix('(').and_then(|list| list.strip_suffix(')')).ok_or(MetadataProblem::List)?;
    let mut values = MetadataValues::default();
    for value in list.split(',').map(str::trim) {
        if value.is_empty() || value.contains(|c: char| "=()\"".contains(c)) {
            return Err(MetadataProblem::List);
        }
        values.insert(value);
    }
    Ok(values)
}
