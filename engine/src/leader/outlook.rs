//! What any fleetd can say of decisions: it follows the records, has the same facts of them as a leader that was just
//! elected, and asks the same code.
//!
//! It is loaded once, which costs as much as a new leader's first look, and from then on is told what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleet_registry::record::{ContentKey, ContentRecord, Extra, FORMAT, Target};
use fleet_registry::{Change, View};
use fleet_units::{DesiredState, MachineId, UnitName};

use super::facts::{self, Digests};
use super::failures;
use super::{Stored, knowledge, starts};
use crate::placement::{Cluster, Explanation, MachineFacts, Supposition, UnitSpec};

/// What changed in a view since an [`Outlook`] was last told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    units: BTreeSet<UnitName>,
    machines: BTreeSet<MachineId>,
    contents: BTreeSet<ContentKey>,
    /// More than can be told apart.
    all: bool,
}

impl Touched {
    /// Another change. It is in the view already.
    pub fn add(&mut self, change: &Change) {
        match change {
            Change::Unit { name, .. } | Change::Note { unit: name } => _ = self.units.insert(name.clone()),
            Change::Content { key, .. } => _ = self.contents.insert(key.clone()),
            Change::Machine { id, .. }
            | Change::Operator { id }
            | Change::Schedule { id, .. }
            | Change::Applied { id, .. } => _ = self.machines.insert(id.clone()),
            Change::State { machine, unit, .. } => {
                self.machines.insert(machine.clone());
                self.units.insert(unit.clone());
            }
            Change::Unreadable { .. } => self.all = true,
            Change::Cluster | Change::Leader { .. } | Change::Standby | Change::Brake { .. } => {}
        }
    }
}

/// A unit as a person would have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: UnitName,
    /// Its text, where one is given.
    pub text: Option<String>,
    /// Its drop-ins: file name to text.
    pub drop_ins: BTreeMap<String, String>,
    /// Whether that goes before the text that the cluster has.
    pub replace: bool,
    /// What is wanted of it; what was, or nothing, where that is not said.
    pub desired: Option<DesiredState>,
}

/// The facts of a cluster, as far as its records tell.
///
/// A machine that is absent counts as not (yet) lost: whether it is, only the leader has the evidence for.
#[derive(Debug, Clone)]
pub struct Outlook {
    digests: Digests,
    cluster: Cluster,
    /// Units whose text is not there (yet).
    textless: BTreeMap<ContentKey, BTreeSet<UnitName>>,
    /// Machines whose schedule was played with.
    disturbed: BTreeSet<MachineId>,
    /// Whether some of it hangs on more than the records that it is told of: there were some that cannot be read, or that
    /// were deleted.
    is_doubtful: bool,
}

/// The texts of units, read before all else: nobody need wait meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Texts(Digests);

impl Texts {
    /// The texts that a view holds, which are to be [read](Self::read).
    #[must_use]
    pub fn of(view: &View) -> Vec<(ContentKey, Arc<ContentRecord>)> {
        view.contents.iter().filter_map(|(key, found)| Some((key.clone(), found.value.clone()?))).collect()
    }

    /// Reads them.
    #[must_use]
    pub fn read(texts: Vec<(ContentKey, Arc<ContentRecord>)>) -> Self {
        let mut digests = Digests::default();
        for (key, text) in texts {
            digests.insert(key, &text);
        }
        Self(digests)
    }
}

impl Outlook {
    /// What a view that keeps texts holds.
    #[must_use]
    pub fn load(view: &View) -> Self {
        Self::with(Texts::read(Texts::of(view)), view)
    }

    /// What a view holds whose texts were read before; those that came since are among what it is told next.
    #[must_use]
    pub fn with(texts: Texts, view: &View) -> Self {
        let Texts(digests) = texts;
        let mut textless: BTreeMap<ContentKey, BTreeSet<UnitName>> = BTreeMap::new();
        for (name, unit) in &view.units {
            if !digests.knows(&unit.value.content) {
                textless.entry(unit.value.content.clone()).or_default().insert(name.clone());
            }
        }
        let stored = view.schedules.iter().map(|(id, found)| {
            let stored = Stored { record: Arc::clone(&found.value), revision: found.mod_revision };
            (id.clone(), stored)
        });
        let stored: BTreeMap<MachineId, Stored> = stored.collect();
        let machines: Vec<MachineFacts> =
            knowledge::machines(view).iter().map(|id| facts::machine(view, id, None)).collect();
        // Nobody here would have written a schedule that cannot be read: what it lists is in doubt whenever it was
        // written.
        let mut cluster = knowledge::cluster(view, &digests, machines, &stored, i64::MAX);
        for (name, note) in &view.notes {
            cluster.set_failures(name, failures::noted(&note.value));
        }
        // What a machine without a schedule says that it runs counts only until another lists it, and again after that.
        let mut said = view.states.values().flat_map(|states| states.iter());
        let counts = said.any(|(id, state)| !state.value.is_orphan() && !view.schedules.contains_key(id));
        let is_doubtful = counts || !view.unreadable.is_empty();
        Self { digests, cluster, textless, disturbed: BTreeSet::new(), is_doubtful }
    }

    /// Takes in what changed in the view since.
    pub fn update(&mut self, view: &View, touched: Touched) {
        let Touched { mut units, mut machines, contents, all } = touched;
        machines.append(&mut self.disturbed);
        // Of a machine without a schedule counts what it says that it runs, unless that is listed elsewhere.
        let unknown = |id: &MachineId| {
            !view.schedules.contains_key(id) && view.states.values().any(|states| states.contains_key(id))
        };
        if all || self.is_doubtful || machines.iter().any(unknown) {
            *self = Self::load(view);
            return;
        }
        for key in contents {
            match view.contents.get(&key).and_then(|record| record.value.as_ref()) {
                Some(text) => {
                    self.digests.insert(key.clone(), text);
                    units.extend(self.textless.remove(&key).unwrap_or_default());
                }
                None => self.digests.remove(&key),
            }
        }
        for name in &units {
            self.unit_changed(view, name);
        }
        for id in &machines {
            self.machine_changed(view, id);
        }
        units.iter().for_each(|name| self.cluster.forget_if_gone(name));
    }

    fn machine_changed(&mut self, view: &View, id: &MachineId) {
        if !knowledge::knows(view, id) {
            let destroyed = self.cluster.replace_schedule(id, &BTreeSet::new(), &BTreeMap::new());
            self.cluster.remove_machine(id);
            return destroyed.iter().for_each(|name| self.cluster.forget_if_gone(name));
        }
        self.cluster.set_machine(facts::machine(view, id, None));
        let record = view.schedules.get(id).map(|schedule| &*schedule.value);
        let units: BTreeSet<&UnitName> = record.into_iter().flat_map(|record| record.units.keys()).collect();
        let leaving = record.into_iter().flat_map(|record| &record.leaving);
        let destroyed =
            self.cluster.replace_schedule(id, &units, &leaving.map(|(name, &generation)| (name, generation)).collect());
        // What it says of its units counts or not, as it is there or not.
        for name in units {
            self.tell_launched(view, name);
            starts::tell(&mut self.cluster, view, name);
        }
        if let Some(applied) = view.applied.get(id) {
            self.cluster.acknowledge(id, applied.value.generation, &applied.value.stopping);
        }
        destroyed.iter().for_each(|name| self.cluster.forget_if_gone(name));
    }

    fn unit_changed(&mut self, view: &View, name: &UnitName) {
        match facts::unit(view, &self.digests, name) {
            Some(spec) => {
                if !self.digests.knows(&spec.content) {
                    self.textless.entry(spec.content.clone()).or_default().insert(name.clone());
                }
                self.cluster.set_unit(name, spec);
                self.cluster.set_found(name, knowledge::found(view, name));
                self.cluster.set_avoided(name, facts::avoided(view, name));
                starts::tell(&mut self.cluster, view, name);
                self.tell_launched(view, name);
                let noted = view.notes.get(name).map(|note| failures::noted(&note.value));
                self.cluster.set_failures(name, noted.unwrap_or_default());
                self.cluster.set_displaced(name, knowledge::displaced_by(view, name));
            }
            None => {
                self.cluster.remove_unit(name);
            }
        }
    }

    /// Tells where a unit was told to launch, by the schedules that list it.
    fn tell_launched(&mut self, view: &View, name: &UnitName) {
        let Some(unit) = view.units.get(name) else { return };
        self.cluster.replace_launched(name, |machine| {
            let given = view.schedules.get(machine).and_then(|schedule| schedule.value.units.get(name));
            given.is_some_and(|given| given.target == Target::Launched && given.uid == unit.create_revision)
        });
    }

    /// Explains a unit; none if there is no such unit.
    #[must_use]
    pub fn explain(&mut self, name: &UnitName) -> Option<Explanation> {
        let (found, disturbed) = self.cluster.explain_in_place(name)?;
        self.disturbed.extend(disturbed);
        Some(found)
    }

    /// The cluster, to ask what would come of a change. Nothing is decided about in it.
    ///
    /// It is one that nobody has asked to explain anything since it was told what changed.
    #[must_use]
    pub fn cluster(&self) -> Cluster {
        self.cluster.clone()
    }

    /// The facts of a unit as a person would have it, on top of what the view holds.
    ///
    /// # Errors
    /// When there is no such unit and no text of it, or when its text cannot be used.
    pub fn suppose(&self, view: &View, wanted: &Wanted) -> Result<Supposition, String> {
        let Wanted { name, text, drop_ins, replace, desired } = wanted;
        let old = view.units.get(name);
        let text = text.as_ref().filter(|_| *replace || old.is_none());
        let text = text.map(|text| ContentRecord {
            v: FORMAT,
            text: text.clone(),
            drop_ins: drop_ins.clone(),
            extra: Extra::new(),
        });
        let content = match (&text, old) {
            (Some(text), _) => text.key(),
            (None, Some(old)) => old.value.content.clone(),
            (None, None) => return Err("unit does not exist".to_owned()),
        };
        let mut digests = Digests::default();
        let digests = match &text {
            Some(text) => {
                digests.insert(content.clone(), text);
                &digests
            }
            None => &self.digests,
        };
        // What is not there yet is younger than all that is.
        let (uid, restarts) = old.map_or((i64::MAX, 0), |old| (old.create_revision, old.value.restarts));
        let requirements = digests.requirements(&content, name);
        if let Err(why) = &requirements {
            return Err(why.to_string());
        }
        let desired = desired.or(old.map(|old| old.value.desired)).unwrap_or_default();
        let spec = UnitSpec { uid, content, desired, restarts, requirements, readable: true };
        Ok(Supposition::Unit { name: name.clone(), spec })
    }
}

#[cfg(test)]
mod tests;
