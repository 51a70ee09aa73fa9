//! `Priority=` and `Preempt=`: who goes first when room is short.

use super::options::{Section, flag};
use super::{RequirementError, Requirements};

impl Requirements {
    /// The highest priority that a unit may have; the lowest is as far below 0.
    pub const MAX_PRIORITY: i32 = 1_000_000;
}

impl Section<'_> {
    /// The last value counts.
    pub(super) fn priority(&self) -> Result<i32, RequirementError> {
        let Some(value) = self.last("Priority") else { return Ok(0) };
        match value.parse() {
            Ok(priority) if (-Requirements::MAX_PRIORITY..=Requirements::MAX_PRIORITY).contains(&priority) => {
                Ok(priority)
            }
            _ => Err(RequirementError::Priority(value)),
        }
    }

    /// The last value counts.
    pub(super) fn preempt(&self) -> Result<bool, RequirementError> {
        let Some(value) = self.last("Preempt") else { return Ok(false) };
        flag(&value).ok_or(RequirementError::Preempt(value))
    }
}
