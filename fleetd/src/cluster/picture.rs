//! What the mirror's records come to: the typed view, the unit files read once each, and who has which unit.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use fleet_engine::Touched;
use fleet_registry::Layout;
use fleet_registry::mirror::KvChange;
use fleet_registry::record::{ContentKey, ContentRecord, MachineRecord, ScheduleRecord, Versioned};
use fleet_registry::view::{Change, Contents, View};
use fleet_units::{MachineId, Requirements, UnitFile, UnitFiles, UnitHash, UnitName};
use tokio::time::Instant;

use super::absent::Absent;

/// A unit file, read.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// Its options.
    pub file: UnitFile,
    /// With those of its drop-ins, where it has any.
    merged: Option<UnitFile>,
    /// CoreOS fleet's hash of it; with drop-ins, another.
    pub hash: UnitHash,
    /// Its `Description=`.
    pub description: String,
}

impl Parsed {
    /// What a unit of this text asks of the cluster, where that makes sense.
    #[must_use]
    pub fn requirements(&self, name: &UnitName) -> Option<Requirements> {
        Requirements::parse(self.merged.as_ref().unwrap_or(&self.file), name).ok()
    }
}

/// The cluster as it is known.
#[derive(Debug)]
pub struct Picture {
    /// The records.
    pub view: View,
    /// The revision of the last change that was taken in.
    pub revision: i64,
    parsed: BTreeMap<ContentKey, Parsed>,
    placed: BTreeMap<UnitName, BTreeSet<MachineId>>,
    leaving: BTreeMap<UnitName, BTreeSet<MachineId>>,
    pub(super) absent: Absent,
    /// What whoever decides as the engine would has not been told yet; none before somebody wants to.
    touched: Mutex<Option<Touched>>,
}

impl Picture {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self {
            view: View::new(layout, Contents::Keep),
            revision: 0,
            parsed: BTreeMap::new(),
            placed: BTreeMap::new(),
            leaving: BTreeMap::new(),
            absent: Absent::default(),
            touched: Mutex::new(None),
        }
    }

    /// What changed since this was last asked; none where it never was.
    pub(super) fn take_touched(&self) -> Option<Touched> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).replace(Touched::default())
    }

    /// Takes in changes that came at `now`, and says about which units there is something new.
    pub fn apply(&mut self, now: Instant, revision: i64, changes: &[KvChange]) -> BTreeSet<UnitName> {
        self.revision = revision;
        let mut touched = BTreeSet::new();
        for change in changes {
            let told = self.view.apply(change);
            if let Some(told) = &told {
                self.absent.changed(now, &self.view, told);
                if let Some(touched) = self.touched.get_mut().unwrap_or_else(PoisonError::into_inner) {
                    touched.add(told);
                }
            }
            match told {
                Some(Change::Unit { name, .. } | Change::Note { unit: name } | Change::State { unit: name, .. }) => {
                    touched.insert(name);
                }
                Some(Change::Content { key, record }) => self.read_content(key, record.as_deref()),
                Some(Change::Machine { id, old }) => self.touch_machine(&id, old.as_ref(), &mut touched),
                Some(Change::Schedule { id, old }) => self.reindex(&id, old.as_ref(), &mut touched),
                Some(Change::Applied { id, .. }) => {
                    let leaving = self.view.schedules.get(&id).map(|schedule| schedule.value.leaving.keys());
                    touched.extend(leaving.into_iter().flatten().cloned());
                }
                _ => {}
            }
        }
        touched
    }

    /// The unit file of this content.
    #[must_use]
    pub fn parsed(&self, key: &ContentKey) -> Option<&Parsed> {
        self.parsed.get(key)
    }

    /// What a unit asks of the cluster, where its text is known and makes sense.
    #[must_use]
    pub fn requirements(&self, name: &UnitName) -> Option<Requirements> {
        let unit = self.view.units.get(name)?;
        self.parsed(&unit.value.content)?.requirements(name)
    }

    /// Whether the unit runs on every machine that fits.
    #[must_use]
    pub fn is_global(&self, name: &UnitName) -> bool {
        self.requirements(name).is_some_and(|requirements| requirements.global)
    }

    /// The machines whose schedule lists the unit, by id.
    pub fn placed(&self, name: &UnitName) -> impl Iterator<Item = &MachineId> {
        self.placed.get(name).into_iter().flatten()
    }

    /// The machines that were told to stop the unit, and have not said yet that it is done.
    pub fn leaving(&self, name: &UnitName) -> impl Iterator<Item = &MachineId> {
        self.leaving.get(name).into_iter().flatten().filter(move |id| {
            let generation = self.view.schedules.get(*id).and_then(|s| s.value.leaving.get(name)).copied();
            let applied = self.view.applied.get(*id).map(|applied| &applied.value);
            generation.is_some_and(|given| !applied.is_some_and(|applied| applied.gave_back(name, given)))
        })
    }

    /// The first unit in this range that a schedule lists, to run or to be stopped.
    pub(super) fn next_listed(&self, range: (Bound<&UnitName>, Bound<&UnitName>)) -> Option<&UnitName> {
        let placed = self.placed.range::<UnitName, _>(range).next().map(|(name, _)| name);
        let leaving = self.leaving.range::<UnitName, _>(range).next().map(|(name, _)| name);
        placed.into_iter().chain(leaving).min()
    }

    fn read_content(&mut self, key: ContentKey, record: Option<&ContentRecord>) {
        // A text that cannot be read is still listed; it has no hash or description to show.
        match record.and_then(|record| Some((record, UnitFiles::parse(&record.text, &record.drop_ins).ok()?))) {
            Some((record, files)) => {
                let merged = (!record.drop_ins.is_empty()).then(|| files.merged());
                let description = merged.as_ref().unwrap_or(files.file()).last("Unit", "Description");
                let (hash, file) = (files.hash(), files.file().clone());
                self.parsed.insert(key, Parsed { file, merged, hash, description: description.unwrap_or_default() });
            }
            None => _ = self.parsed.remove(&key),
        }
    }

    /// A machine that comes, goes, or moves changes what is said of every unit on it.
    fn touch_machine(&self, id: &MachineId, old: Option<&Versioned<MachineRecord>>, touched: &mut BTreeSet<UnitName>) {
        let new = self.view.machines.get(id);
        if old.map(|m| &m.value.address) == new.map(|m| &m.value.address) {
            return;
        }
        if let Some(schedule) = self.view.schedules.get(id) {
            touched.extend(schedule.value.units.keys().chain(schedule.value.leaving.keys()).cloned());
        }
        let reported = self.view.states.iter().filter(|(_, states)| states.contains_key(id));
        touched.extend(reported.map(|(name, _)| name.clone()));
    }

    fn reindex(
        &mut self,
        id: &MachineId,
        old: Option<&Versioned<Arc<ScheduleRecord>>>,
        touched: &mut BTreeSet<UnitName>,
    ) {
        let new = self.view.schedules.get(id).map(|schedule| &schedule.value);
        let old = old.map(|schedule| &schedule.value);
        update(&mut self.placed, id, old.map(|s| &s.units), new.map(|s| &s.units), touched);
        update(&mut self.leaving, id, old.map(|s| &s.leaving), new.map(|s| &s.leaving), touched);
    }
}

/// Brings an index of machines by unit up to date with one machine's list.
fn update<T: PartialEq>(
    index: &mut BTreeMap<UnitName, BTreeSet<MachineId>>,
    id: &MachineId,
    old: Option<&BTreeMap<UnitName, T>>,
    new: Option<&BTreeMap<UnitName, T>>,
    touched: &mut BTreeSet<UnitName>,
) {
    let (none, no) = (BTreeMap::new(), BTreeMap::new());
    let (old, new) = (old.unwrap_or(&none), new.unwrap_or(&no));
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        if let Some(machines) = index.get_mut(name) {
            machines.remove(id);
            if machines.is_empty() {
                index.remove(name);
            }
        }
        touched.insert(name.clone());
    }
    for (name, value) in new {
        if old.get(name) != Some(value) {
            index.entry(name.clone()).or_default().insert(id.clone());
            touched.insert(name.clone());
        }
    }
}
