//! Turns records into the facts that placement decides over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fleet_registry::record::{self as registry, ContentKey, ContentRecord, MachineRecord};
use fleet_registry::{Key, View};
use fleet_units::{MachineId, Requirements, UnitFile, UnitName, UnitOption};

use crate::placement::{Capacity, MachineFacts, Presence, UnitSpec};
use crate::stop_bound::stop_bound;

/// The section that placement reads.
const SECTION: &str = "X-Fleet";

/// What a text says of where its units may run.
#[derive(Debug, Clone)]
enum Section {
    /// The same for every unit: it was read once.
    Same(Result<Arc<Requirements>, Arc<str>>),
    /// For each unit another, by its name.
    ByName(Arc<UnitFile>),
}

impl Section {
    fn new(file: UnitFile) -> Self {
        // A specifier is a percent sign with something behind it, quotes perhaps in between; an amount ends with one.
        let is_by_name =
            file.options().iter().any(|option| option.value.trim_end().trim_end_matches('%').contains('%'));
        match UnitName::parse("any.service") {
            Ok(any) if !is_by_name => Self::Same(requirements(&file, &any)),
            _ => Self::ByName(Arc::new(file)),
        }
    }

    fn requirements(&self, name: &UnitName) -> Result<Arc<Requirements>, Arc<str>> {
        match self {
            Self::Same(same) => same.clone(),
            Self::ByName(file) => requirements(file, name),
        }
    }
}

fn requirements(file: &UnitFile, name: &UnitName) -> Result<Arc<Requirements>, Arc<str>> {
    Requirements::parse(file, name).map(Arc::new).map_err(|error| error.to_string().into())
}

/// What remains in memory of units' texts: the section that says where they may run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Digests {
    sections: BTreeMap<ContentKey, Result<Section, Arc<str>>>,
    /// Of texts with `OnDisconnect=stop`: how long stopping takes at most.
    stop_bounds: BTreeMap<ContentKey, Duration>,
}

impl Digests {
    /// A text came.
    pub(crate) fn insert(&mut self, key: ContentKey, content: &ContentRecord) {
        let files = parse(content);
        if let Some(bound) = files.as_deref().ok().and_then(stop_bound) {
            self.stop_bounds.insert(key.clone(), bound);
        }
        let section = files.and_then(|files| digest(&files));
        self.sections.insert(key, section.map(Section::new).map_err(Arc::from));
    }

    /// A text was deleted.
    pub(crate) fn remove(&mut self, key: &ContentKey) {
        self.sections.remove(key);
        self.stop_bounds.remove(key);
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.sections.clear();
        self.stop_bounds.clear();
    }

    /// How long stopping a unit of this text takes at most, where it asks for `OnDisconnect=stop`.
    pub(crate) fn stop_bound(&self, content: &ContentKey) -> Option<Duration> {
        self.stop_bounds.get(content).copied()
    }

    /// Whether it is there.
    pub(crate) fn knows(&self, key: &ContentKey) -> bool {
        self.sections.contains_key(key)
    }

    /// What a unit of this text asks for.
    pub(crate) fn requirements(&self, content: &ContentKey, name: &UnitName) -> Result<Arc<Requirements>, Arc<str>> {
        match self.sections.get(content) {
            Some(section) => section.as_ref().map_err(Arc::clone)?.requirements(name),
            None => Err("the registry does not hold it".into()),
        }
    }
}

/// A unit file and its drop-ins.
fn parse(content: &ContentRecord) -> Result<Vec<UnitFile>, String> {
    let texts = std::iter::once(&content.text).chain(content.drop_ins.values());
    texts.map(|text| UnitFile::parse(text).map_err(|error| error.to_string())).collect()
}

/// The section of a unit file and its drop-ins.
fn digest(files: &[UnitFile]) -> Result<UnitFile, String> {
    let mut options: Vec<UnitOption> = Vec::new();
    for file in files {
        options.extend(file.options().iter().filter(|option| option.section == SECTION).cloned());
    }
    UnitFile::from_options(options).map_err(|error| error.to_string())
}

/// A unit's facts; none if there is no such unit.
pub(crate) fn unit(view: &View, digests: &Digests, name: &UnitName) -> Option<UnitSpec> {
    if let Some(found) = view.trouble(|| Key::Unit(name.clone())) {
        return Some(UnitSpec::unreadable(found.create_revision, &found.why));
    }
    let record = view.units.get(name)?;
    Some(UnitSpec {
        uid: record.create_revision,
        content: record.value.content.clone(),
        desired: record.value.desired,
        restarts: record.value.restarts,
        requirements: digests.requirements(&record.value.content, name),
        readable: true,
    })
}

/// The machine that somebody asked a unit to leave.
pub(crate) fn avoided(view: &View, name: &UnitName) -> Option<MachineId> {
    view.units.get(name)?.value.avoids.clone()
}

/// Whether a machine that left has given back all that it had: its absence is no loss then. One that said that it leaves,
/// and went before it had stopped everything, was lost.
pub(crate) fn has_left(view: &View, digests: &Digests, id: &MachineId, last: &MachineRecord) -> bool {
    let unknown = view.is_unreadable(|| Key::Schedule(id.clone()));
    last.leaving && !unknown && !holds_units(view, digests, id) && !owes_units(view, id)
}

/// Whether a machine has not given back all that was taken from it: it may run there still.
pub(crate) fn owes_units(view: &View, id: &MachineId) -> bool {
    let applied = view.applied.get(id).map(|applied| &applied.value);
    view.schedules.get(id).is_some_and(|schedule| {
        let mut leaving = schedule.value.leaving.iter();
        leaving.any(|(unit, &generation)| !applied.is_some_and(|applied| applied.gave_back(unit, generation)))
    })
}

/// Whether a machine's schedule lists units that must run somewhere else without it: all but global ones.
pub(crate) fn holds_units(view: &View, digests: &Digests, id: &MachineId) -> bool {
    let is_global = |name: &UnitName| {
        let spec = unit(view, digests, name);
        spec.is_none_or(|spec| spec.requirements.is_ok_and(|wanted| wanted.global))
    };
    view.schedules.get(id).is_some_and(|schedule| !schedule.value.units.keys().all(is_global))
}

/// A machine's facts. `fencing` is there where its absence is taken as its loss: what it may still be stopping then.
pub(crate) fn machine(view: &View, id: &MachineId, fencing: Option<BTreeMap<UnitName, Duration>>) -> MachineFacts {
    let mut facts = MachineFacts::new(id.clone());
    facts.unreadable = view.is_unreadable(|| Key::Schedule(id.clone()))
        || view.is_present(id)
            && (view.is_unreadable(|| Key::Machine(id.clone())) || view.is_unreadable(|| Key::Operator(id.clone())));
    match view.machines.get(id) {
        Some(record) => {
            facts.metadata.clone_from(&record.value.metadata);
            facts.hostname.clone_from(&record.value.hostname);
            let registry::Capacity { memory, cpu_millis, .. } = record.value.capacity;
            facts.capacity = Capacity { memory, cpu_millis };
            facts.catching_up = record.value.catching_up;
            facts.draining = record.value.leaving;
            facts.carries_registry = record.value.carries_registry;
        }
        None => {
            facts.presence = if fencing.is_some() { Presence::Gone } else { Presence::Held };
            facts.fencing = fencing.unwrap_or_default();
        }
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
    if facts.unreadable {
        facts.presence = Presence::Held;
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever writes one text for many units gets for each of them what it says of that one.
    #[test]
    fn a_text_that_is_read_once_says_the_same_of_every_unit() {
        let cases = [
            ("", true),
            ("Memory=512M\nCPU=25%\nMachineMetadata=zone=a", true),
            ("Conflicts=web@*.service", true),
            ("MachineOf=nonsense", true),
            ("Conflicts=%p@*.service", false),
            ("MachineOf=\"db@%\"i.service", false),
            ("MachineID=%m", false),
            ("MachineMetadata=load=50%\nSpreadGroup=%N", false),
        ];
        for (text, same) in cases {
            let file = UnitFile::parse(&format!("[X-Fleet]\n{text}\n")).unwrap();
            let section = Section::new(file.clone());
            assert_eq!(matches!(section, Section::Same(_)), same, "{text}");
            for name in ["web@1.service", "web@.service", "db.timer"] {
                let name = name.parse().unwrap();
                assert_eq!(section.requirements(&name), requirements(&file, &name), "{text} of {name}");
            }
        }
    }
}
