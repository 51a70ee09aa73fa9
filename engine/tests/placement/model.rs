//! A cluster in plain words beside the engine's: what tests tell the one they tell the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleet_engine::placement::{
    Activity, Cluster, Decision, Departure, Failures, MachineFacts, MachinePlan, Presence, UnitSpec,
};
use fleet_registry::record::{Assignment, ContentKey, Target};
use fleet_units::{DesiredState, MachineId, Requirements, UnitFile, UnitName};

/// A unit as submitted.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    pub(crate) uid: i64,
    pub(crate) options: String,
    pub(crate) desired: DesiredState,
    pub(crate) requirements: Arc<Requirements>,
}

/// A machine's schedule as written, and how far it is with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    pub(crate) units: BTreeMap<UnitName, Assignment>,
    pub(crate) leaving: BTreeMap<UnitName, u64>,
    pub(crate) generation: u64,
}

/// The cluster.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) cluster: Cluster,
    pub(crate) machines: BTreeMap<MachineId, MachineFacts>,
    pub(crate) units: BTreeMap<UnitName, Unit>,
    pub(crate) written: BTreeMap<MachineId, Written>,
    /// Where units failed.
    pub(crate) failures: BTreeMap<UnitName, Failures>,
    /// What machines say of units that they were told to launch.
    pub(crate) activity: BTreeMap<UnitName, BTreeMap<MachineId, Activity>>,
    /// Which units of which name were launched where before the last plan.
    pub(crate) launched: BTreeSet<(UnitName, MachineId, i64)>,
    /// Who was displaced from where by whom in the last plan.
    pub(crate) displaced: Vec<(UnitName, MachineId, UnitName)>,
    /// Who holds a unit without having been given it.
    pub(crate) found: BTreeMap<UnitName, BTreeSet<MachineId>>,
    /// Where units were listed before the last plan.
    pub(crate) before: BTreeMap<UnitName, BTreeSet<MachineId>>,
    revision: i64,
}

pub(crate) fn unit(name: &str) -> UnitName {
    name.parse().unwrap_or_else(|e| panic!("{name}: {e}"))
}

pub(crate) fn machine(name: &str) -> MachineId {
    name.parse().unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Options as a test writes them, separated by semicolons.
pub(crate) fn requirements(name: &UnitName, options: &str) -> Requirements {
    let lines: String = options.split(';').map(|option| format!("{}\n", option.trim())).collect();
    let file = UnitFile::parse(&format!("[X-Fleet]\n{lines}")).unwrap_or_else(|e| panic!("{options}: {e}"));
    Requirements::parse(&file, name).unwrap_or_else(|e| panic!("{options}: {e}"))
}

impl Model {
    /// Another change reached the registry.
    pub(crate) fn next_revision(&mut self) {
        self.revision += 1;
    }

    pub(crate) fn set_machine(&mut self, facts: MachineFacts) {
        self.written.entry(facts.id.clone()).or_default();
        self.machines.insert(facts.id.clone(), facts.clone());
        self.cluster.set_machine(facts);
    }

    pub(crate) fn change_machine(&mut self, id: &MachineId, change: impl FnOnce(&mut MachineFacts)) {
        let mut facts = self.machines.get(id).unwrap_or_else(|| panic!("no machine {id}")).clone();
        change(&mut facts);
        self.set_machine(facts);
    }

    pub(crate) fn forget_machine(&mut self, id: &MachineId) {
        self.machines.remove(id);
        self.written.remove(id);
        self.cluster.remove_machine(id);
    }

    /// Submits a unit, or changes its text.
    pub(crate) fn submit(&mut self, name: &UnitName, options: &str) {
        let (uid, desired) =
            self.units.get(name).map_or((self.revision, DesiredState::Inactive), |old| (old.uid, old.desired));
        let requirements = Arc::new(requirements(name, options));
        self.units.insert(name.clone(), Unit { uid, options: options.to_owned(), desired, requirements });
        self.forgive(name);
        self.tell(name);
    }

    pub(crate) fn desire(&mut self, name: &UnitName, desired: DesiredState) {
        if !self.units.contains_key(name) {
            self.submit(name, "");
        }
        self.units.get_mut(name).expect("it was submitted").desired = desired;
        self.tell(name);
    }

    pub(crate) fn destroy(&mut self, name: &UnitName) {
        self.units.remove(name);
        self.failures.remove(name);
        self.activity.remove(name);
        self.cluster.set_activity(name, Vec::new());
        self.cluster.remove_unit(name);
    }

    fn spec(&self, name: &UnitName) -> UnitSpec {
        let unit = &self.units[name];
        UnitSpec {
            uid: unit.uid,
            content: ContentKey(unit.options.as_str().into()),
            desired: unit.desired,
            restarts: 0,
            requirements: Ok(unit.requirements.clone()),
            readable: true,
        }
    }

    /// A unit as it would be if people wanted this of it.
    pub(crate) fn desired(&self, name: &UnitName, desired: DesiredState) -> UnitSpec {
        UnitSpec { desired, ..self.spec(name) }
    }

    fn tell(&mut self, name: &UnitName) {
        let spec = self.spec(name);
        self.cluster.set_unit(name, spec);
    }

    /// A unit fails where it is, and is to leave that machine.
    pub(crate) fn fail(&mut self, name: &UnitName) {
        let Some(at) = self.listed().remove(name).and_then(|at| at.into_iter().next()) else { return };
        let failures = self.failures.entry(name.clone()).or_default();
        failures.machines.retain(|id| *id != at);
        failures.machines.push(at);
        failures.leaves = true;
        self.cluster.set_failures(name, failures.clone());
    }

    /// The machines that list a unit say this of it, or neither.
    pub(crate) fn say(&mut self, name: &UnitName, activity: Option<Activity>) {
        let places = self.listed().remove(name).unwrap_or_default();
        let said = activity.into_iter().flat_map(|said| places.iter().map(move |id| (id.clone(), said)));
        let said: BTreeMap<MachineId, Activity> = said.collect();
        self.cluster.set_activity(name, said.clone().into_iter().collect());
        self.activity.insert(name.clone(), said);
    }

    /// Which units are launched where, as written.
    pub(crate) fn launched(&self) -> BTreeSet<(UnitName, MachineId, i64)> {
        let written = self.written.iter().flat_map(|(id, written)| written.units.iter().map(move |unit| (id, unit)));
        let launched = written.filter(|(_, (_, given))| given.target == Target::Launched);
        launched.map(|(id, (name, given))| (name.clone(), id.clone(), given.uid)).collect()
    }

    /// These machines hold it without having been given it.
    pub(crate) fn find(&mut self, name: &UnitName, machines: BTreeSet<MachineId>) {
        self.cluster.set_found(name, machines.clone());
        self.found.insert(name.clone(), machines);
    }

    /// It failed nowhere, or that is forgotten.
    pub(crate) fn forgive(&mut self, name: &UnitName) {
        self.failures.remove(name);
        self.cluster.set_failures(name, Failures::default());
    }

    /// Decides, and writes what was decided.
    pub(crate) fn plan(&mut self) -> (Vec<Decision>, Vec<MachinePlan>) {
        self.before = self.listed();
        self.launched = self.launched();
        let decisions = self.cluster.pass();
        self.displaced.clear();
        for decision in &decisions {
            for (id, why) in &decision.left {
                if let Departure::Displaced { by } = why {
                    self.displaced.push((decision.unit.clone(), id.clone(), by.clone()));
                }
            }
        }
        let mut plans = self.cluster.take_plan();
        plans.retain(|plan| {
            let written = self.written.entry(plan.id.clone()).or_default();
            let same = plan.units == written.units && plan.leaving.values().all(Option::is_some);
            if same {
                return false;
            }
            written.generation += 1;
            let generation = written.generation;
            written.units = plan.units.clone();
            written.leaving =
                plan.leaving.iter().map(|(name, given)| (name.clone(), given.unwrap_or(generation))).collect();
            self.cluster.set_generation(&plan.id, generation);
            true
        });
        (decisions, plans)
    }

    /// A machine acknowledges its newest schedule, but for what it is still stopping.
    pub(crate) fn acknowledge(&mut self, id: &MachineId, stopping: &BTreeSet<UnitName>) {
        let Some(written) = self.written.get_mut(id) else { return };
        written.leaving.retain(|name, _| stopping.contains(name));
        let generation = written.generation;
        // It says of others, too, that it is still stopping them.
        for name in stopping.iter().filter(|name| !written.units.contains_key(*name)) {
            written.leaving.entry(name.clone()).or_insert(generation);
        }
        self.cluster.acknowledge(id, generation, stopping);
    }

    /// The same facts told to an engine that knows nothing yet, as to a new leader.
    pub(crate) fn told_anew(&self) -> Model {
        let mut cluster = Cluster::new();
        for facts in self.machines.values() {
            cluster.set_machine(facts.clone());
        }
        for name in self.units.keys() {
            cluster.set_unit(name, self.spec(name));
        }
        for (id, written) in &self.written {
            let leaving = written.leaving.iter().map(|(name, &generation)| (name, generation));
            cluster.set_schedule(id, written.units.keys(), leaving);
            let launched = written.units.iter().filter(|(_, given)| given.target == Target::Launched);
            cluster.set_launched(id, launched.map(|(name, given)| (name, given.uid)));
        }
        for (name, machines) in &self.found {
            cluster.set_found(name, machines.clone());
        }
        for (name, activity) in &self.activity {
            cluster.set_activity(name, activity.clone().into_iter().collect());
        }
        for (name, failures) in &self.failures {
            cluster.set_failures(name, failures.clone());
        }
        Model { cluster, ..self.clone() }
    }

    /// Where units are listed, by unit.
    pub(crate) fn listed(&self) -> BTreeMap<UnitName, BTreeSet<MachineId>> {
        let mut listed: BTreeMap<UnitName, BTreeSet<MachineId>> = BTreeMap::new();
        for (id, written) in &self.written {
            for name in written.units.keys() {
                listed.entry(name.clone()).or_default().insert(id.clone());
            }
        }
        listed
    }

    pub(crate) fn is_gone(&self, id: &MachineId) -> bool {
        self.machines.get(id).is_none_or(|facts| facts.presence == Presence::Gone)
    }
}
