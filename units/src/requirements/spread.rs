//! How units that belong together are spread: `SpreadBy=`, `SpreadGroup=`,
//! `MaxPerMachine=`.

use crate::UnitName;

use super::options::Section;
use super::{RequirementError, Requirements};

impl Section<'_> {
    /// The last value counts.
    pub(super) fn spread_by(&self) -> Result<Option<String>, RequirementError> {
        let Some(key) = self.last("SpreadBy") else { return Ok(None) };
        let sound = !key.contains(|c: char| c.is_whitespace() || "=<>!~,()\"".contains(c));
        if sound { Ok(Some(key)) } else { Err(RequirementError::SpreadBy(key)) }
    }

    /// The last value counts.
    pub(super) fn spread_group(&self) -> Option<String> {
        self.last("SpreadGroup")
    }

    /// The last value counts.
    pub(super) fn max_per_machine(&self) -> Result<Option<u32>, RequirementError> {
        let Some(value) = self.last("MaxPerMachine") else { return Ok(None) };
        match value.parse() {
            Ok(max) if (1..=Requirements::MAX_PER_MACHINE).contains(&max) => Ok(Some(max)),
            _ => Err(RequirementError::MaxPerMachine(value)),
        }
    }
}

impl Requirements {
    /// The most that `MaxPerMachine=` may ask for.
    pub const MAX_PER_MACHINE: u32 = 10_000;

    /// The group that the unit of this name is counted in; none for one that
    /// asks for nothing of the kind.
    ///
    /// `SpreadGroup=` names it; else it is all instances of one template, or the
    /// unit alone.
    #[must_use]
    pub fn group(&self, name: &UnitName) -> Option<String> {
        if let Some(group) = &self.spread_group {
            return Some(group.clone());
        }
        let asks = self.spread_by.is_some() || self.max_per_machine.is_some();
        asks.then(|| name.template_text().unwrap_or_else(|| name.to_string()))
    }
}
