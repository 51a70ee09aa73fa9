//! What agents complain of.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Every complaint, and how often it was made. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Arc<Mutex<BTreeMap<String, usize>>>);

impl Warnings {
    pub(super) fn note(&self, text: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(text.to_owned()).or_default() += 1;
    }
}

impl fmt::Display for Warnings {
    /// How many there are, and the most frequent one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warnings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "{} warnings of agents", warnings.values().sum::<usize>())?;
        match warnings.iter().max_by_key(|(_, count)| **count) {
            Some((text, count)) => write!(f, ", {count} times \"{text}\""),
            None => Ok(()),
        }
    }
}
