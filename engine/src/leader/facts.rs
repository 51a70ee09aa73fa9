//! Turns records into the facts that placement decides over.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet_registry::View;
use fleet_registry::record::{ContentKey, ContentRecord, MachineRecord};
use fleet_units::{MachineId, Requirements, UnitFile, UnitName, UnitOption};

use crate::placement::{MachineFacts, Presence, UnitSpec};

/// The section that placement reads.
const SECTION: &str = "X-Fleet";

/// What remains in memory of units' texts: the section that says where they may run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Digests {
    sections: BTreeMap<ContentKey, Result<Arc<UnitFile>, Arc<str>>>,
}

impl Digests {
    /// A text came.
    pub(crate) fn insert(&mut self, key: ContentKey, content: &ContentRecord) {
        self.sections.insert(key, digest(content).map(Arc::new).map_err(Arc::from));
    }

    /// A text was deleted.
    pub(crate) fn remove(&mut self, key: &ContentKey) {
        self.sections.remove(key);
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.sections.clear();
    }

    /// What a unit of this text asks for.
    fn requirements(&self, content: &ContentKey, name: &UnitName) -> Result<Arc<Requirements>, Arc<str>> {
        let section = match self.sections.get(content) {
            Some(section) => section.as_ref().map_err(Arc::clone)?,
            None => return Err("the registry does not hold it".into()),
        };
        Requirements::parse(section, name).map(Arc::new).map_err(|error| error.to_string().into())
    }
}

/// The section of a unit file and its drop-ins.
fn digest(content: &ContentRecord) -> Result<UnitFile, String> {
    let mut options: Vec<UnitOption> = Vec::new();
    for text in std::iter::once(&content.text).chain(content.drop_ins.values()) {
        let file = UnitFile::parse(text).map_err(|error| error.to_string())?;
        options.extend(file.options().iter().filter(|option| option.section == SECTION).cloned());
    }
    UnitFile::from_options(options).map_err(|error| error.to_string())
}

/// A unit's facts; none if there is no such unit.
pub(crate) fn unit(view: &View, digests: &Digests, name: &UnitName) -> Option<UnitSpec> {
    let record = view.units.get(name)?;
    Some(UnitSpec {
        uid: record.create_revision,
        content: record.value.content.clone(),
        desired: record.value.desired,
        restarts: record.value.restarts,
        requirements: digests.requirements(&record.value.content, name),
    })
}

/// Whether a machine says that it has stopped everything and is about to let its lease go: `"left": true`.
pub(crate) fn has_left(record: &MachineRecord) -> bool {
    record.extra.get("left") == Some(&serde_json::Value::Bool(true))
}

/// A machine's facts. `lost` says whether absence is taken as loss.
pub(crate) fn machine(view: &View, id: &MachineId, lost: bool) -> MachineFacts {
    let mut facts = MachineFacts::new(id.clone());
    match view.machines.get(id) {
        Some(record) => {
            facts.metadata.clone_from(&record.value.metadata);
            facts.catching_up = record.value.catching_up;
            facts.draining = record.value.leaving;
            facts.carries_registry = record.value.carries_registry;
            facts.cordoned = has_left(&record.value);
        }
        None => facts.presence = if lost { Presence::Gone } else { Presence::Held },
    }
    if let Some(operator) = view.operators.get(id) {
        facts.cordoned |= operator.value.cordoned;
        facts.draining |= operator.value.draining;
        for (key, value) in &operator.value.metadata {
            match value {
                Some(value) => facts.metadata.insert(key.clone(), value.clone()),
                None => facts.metadata.remove(key),
            };
        }
    }
    facts
}
