//! Reads the options of `[X-Fleet]` into [`Requirements`].

use std::collections::BTreeSet;

use crate::specifier::expand_of_unit;
use crate::{Glob, MetadataConstraints, OnDisconnect, UnitFile, UnitName, expand_specifiers};

use super::{OnFailure, RequirementError, Requirements};

const SECTION: &str = "X-Fleet";

/// Every option that fleet knows, with its spellings of old.
const KNOWN: [&str; 24] = [
    "MachineID",
    "X-ConditionMachineID",
    "X-ConditionMachineBootID",
    "MachineOf",
    "X-ConditionMachineOf",
    "MachineMetadata",
    "X-ConditionMachineMetadata",
    "Conflicts",
    "X-Conflicts",
    "Replaces",
    "Global",
    "Priority",
    "Preempt",
    "After",
    "Requires",
    "OnFailure",
    "MaxMoves",
    "OnDisconnect",
    "Memory",
    "CPU",
    "PreferMetadata",
    "SpreadBy",
    "SpreadGroup",
    "MaxPerMachine",
];

pub(super) fn parse(file: &UnitFile, name: &UnitName) -> Result<Requirements, RequirementError> {
    let section = Section { file, name };
    Ok(Requirements {
        machine_id: section.machine_id(),
        machine_of: section.peers("MachineOf", &["X-ConditionMachineOf", "MachineOf"])?,
        metadata: section.metadata("MachineMetadata", &["X-ConditionMachineMetadata", "MachineMetadata"])?,
        conflicts: section.globs("Conflicts", &["X-Conflicts", "Conflicts"])?,
        replaces: section.globs("Replaces", &["Replaces"])?,
        global: section.global()?,
        priority: section.priority()?,
        preempt: section.preempt()?,
        after: section.peers("After", &["After"])?,
        requires: section.peers("Requires", &["Requires"])?,
        on_failure: section.on_failure()?,
        max_moves: section.max_moves()?,
        on_disconnect: section.on_disconnect()?,
        memory: section.memory()?,
        cpu_millis: section.cpu()?,
        prefer: section.metadata("PreferMetadata", &["PreferMetadata"])?,
        spread_by: section.spread_by()?,
        spread_group: section.spread_group(),
        max_per_machine: section.max_per_machine()?,
        unknown: section.unknown(),
    })
}

pub(super) struct Section<'a> {
    file: &'a UnitFile,
    name: &'a UnitName,
}

/// A value before and after its specifiers were replaced.
pub(super) struct Value {
    written: String,
    pub(super) expanded: String,
}

impl Section<'_> {
    /// The values of an option under all its spellings.
    fn values(&self, spellings: &[&str]) -> Vec<Value> {
        spellings
            .iter()
            .flat_map(|option| self.file.list(SECTION, option))
            .flat_map(|line| split_quoted(&line))
            .map(|written| self.value(written))
            .collect()
    }

    /// Values of which one line may hold several without quotes, since what
    /// they name never has blanks in it.
    pub(super) fn words(&self, spellings: &[&str]) -> Vec<Value> {
        let split = |value: Value| {
            let words: Vec<_> = value.written.split_whitespace().map(str::to_owned).collect();
            words.into_iter().map(|written| self.value(written))
        };
        self.values(spellings).into_iter().flat_map(split).collect()
    }

    fn value(&self, written: String) -> Value {
        Value { expanded: expand_specifiers(&written, self.name), written }
    }

    /// Fleet's order: the first value of the first spelling that has one. A
    /// template's stays as written, so that contradictions with it are seen.
    fn machine_id(&self) -> Option<String> {
        ["MachineID", "X-ConditionMachineID", "X-ConditionMachineBootID"]
            .iter()
            .flat_map(|option| self.values(&[option]))
            .map(|value| match self.is_open(&value) {
                true => value.written,
                false => value.expanded,
            })
            .find(|value| !value.is_empty())
    }

    fn metadata(&self, option: &'static str, spellings: &[&str]) -> Result<MetadataConstraints, RequirementError> {
        let values = self.values(spellings);
        let closed = values.into_iter().filter(|value| !self.is_open(value));
        let closed = closed.map(|value| expand_of_unit(&value.written, self.name));
        Ok(MetadataConstraints::parse_option(option, closed)?)
    }

    /// The last value of an option, if it says something.
    pub(super) fn last(&self, option: &str) -> Option<String> {
        let value = self.values(&[option]).pop().filter(|value| !self.is_open(value))?;
        Some(value.expanded).filter(|value| !value.is_empty())
    }

    fn globs(&self, option: &'static str, spellings: &[&str]) -> Result<Vec<Glob>, RequirementError> {
        let mut globs = Vec::new();
        for value in self.words(spellings) {
            let glob = Glob::new(&value.expanded);
            if glob.is_valid() {
                globs.push(glob);
            } else if !self.is_open(&value) {
                return Err(RequirementError::Pattern { option, pattern: value.expanded });
            }
        }
        Ok(globs)
    }

    /// The last value counts.
    fn global(&self) -> Result<bool, RequirementError> {
        let Some(value) = self.values(&["Global"]).pop() else {
            return Ok(false);
        };
        flag(&value.expanded).ok_or(RequirementError::Global(value.expanded))
    }

    /// The last value counts.
    fn on_failure(&self) -> Result<OnFailure, RequirementError> {
        let Some(value) = self.values(&["OnFailure"]).pop() else {
            return Ok(OnFailure::Stay);
        };
        match value.expanded.as_str() {
            "stay" | "" => Ok(OnFailure::Stay),
            "move" => Ok(OnFailure::Move),
            _ => Err(RequirementError::OnFailure(value.expanded)),
        }
    }

    /// The last value counts.
    fn max_moves(&self) -> Result<Option<u32>, RequirementError> {
        let Some(value) = self.values(&["MaxMoves"]).pop().filter(|value| !value.expanded.is_empty()) else {
            return Ok(None);
        };
        match value.expanded.parse() {
            Ok(moves) if (1..=Requirements::MAX_MOVES).contains(&moves) => Ok(Some(moves)),
            _ => Err(RequirementError::MaxMoves(value.expanded)),
        }
    }

    /// The last value counts.
    fn on_disconnect(&self) -> Result<OnDisconnect, RequirementError> {
        match self.file.last(SECTION, "OnDisconnect") {
            None => Ok(OnDisconnect::default()),
            Some(value) => OnDisconnect::parse(&value).ok_or(RequirementError::OnDisconnect(value)),
        }
    }

    fn unknown(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let names = self.file.options().iter().filter(|option| option.section == SECTION);
        names
            .map(|option| option.name.as_str())
            .filter(|name| !KNOWN.contains(name) && seen.insert(*name))
            .map(str::to_owned)
            .collect()
    }

    /// Whether a value says something only once there is an instance.
    pub(super) fn is_open(&self, value: &Value) -> bool {
        self.name.is_template() && ["%i", "%n", "%N"].iter().any(|specifier| value.written.contains(specifier))
    }
}

/// Yes or no, in the words that fleet took for `Global=`.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "1" | "on" | "t" => Some(true),
        "false" | "no" | "0" | "off" | "f" | "" => Some(false),
        _ => None,
    }
}

/// Splits a line that both starts and ends with a double quote into values:
/// quotes toggle, spaces outside them separate, and nothing is unescaped. Any
/// other line is one value.
pub(super) fn split_quoted(line: &str) -> Vec<String> {
    if !(line.starts_with('"') && line.ends_with('"')) {
        return vec![line.to_owned()];
    }
    let mut values = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match (c, values.last_mut()) {
            ('"', _) => quoted = !quoted,
            (' ', _) if !quoted => values.push(String::new()),
            (c, Some(value)) => value.push(c),
            (_, None) => {}
        }
    }
    values
}
