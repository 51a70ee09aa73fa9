//! What a unit needs of a machine: `Memory=` and `CPU=`.

use crate::{parse_bytes, parse_cpu};

use super::options::Section;
use super::{RequirementError, Requirements};

impl Section<'_> {
    /// The last value counts.
    pub(super) fn memory(&self) -> Result<Option<u64>, RequirementError> {
        let Some(value) = self.last("Memory") else { return Ok(None) };
        let bytes = parse_bytes(&value).filter(|bytes| *bytes > 0);
        bytes.map(Some).ok_or(RequirementError::Memory(value))
    }

    /// The last value counts.
    pub(super) fn cpu(&self) -> Result<Option<u64>, RequirementError> {
        let Some(value) = self.last("CPU") else { return Ok(None) };
        let millis = parse_cpu(&value).filter(|millis| *millis > 0);
        millis.map(Some).ok_or(RequirementError::Cpu(value))
    }
}

impl Requirements {
    /// Whether it asks for some of what a machine has only so much of.
    #[must_use]
    pub fn asks_resources(&self) -> bool {
        self.memory.is_some() || self.cpu_millis.is_some()
    }
}
