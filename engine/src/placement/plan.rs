//! What is to be written so that the registry says what was decided.

use std::collections::{BTreeMap, BTreeSet};

use fleet_registry::record::{Assignment, Target};
use fleet_units::{MachineId, UnitName};

use super::cluster::Cluster;
use super::facts::Presence;
use super::slots::{MachineIx, UnitIx};
use super::unit::Unit;

/// One machine's schedule as decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachinePlan {
    /// Which machine.
    pub id: MachineId,
    /// What it is to run.
    pub units: BTreeMap<UnitName, Assignment>,
    /// What it is to run as it does: nobody can read what is wanted of these.
    pub as_is: BTreeSet<UnitName>,
    /// What it may still run until it acknowledges; the generation, where that is written already.
    pub leaving: BTreeMap<UnitName, Option<u64>>,
    /// Lost machines that held some of these units: the plan is good only while they are absent.
    pub relies_on_loss: BTreeSet<MachineId>,
    /// Whether the machine itself is lost.
    pub lost: bool,
}

impl Cluster {
    /// The schedules that changed since this was last asked, by machine.
    pub fn take_plan(&mut self) -> Vec<MachinePlan> {
        for (unit, machine) in std::mem::take(&mut self.launched_before) {
            let entry = &mut self.units[unit];
            if !entry.places.contains(&machine) {
                entry.rare.launched.remove(&machine);
            }
        }
        self.not_yet_launched.clear();
        let changed = std::mem::take(&mut self.changed);
        let mut plans: Vec<MachinePlan> = changed.iter().map(|machine| self.plan_for(machine)).collect();
        plans.sort_by(|a, b| a.id.cmp(&b.id));
        plans
    }

    /// Has a machine's schedule planned even if nothing changed.
    pub fn plan_anyway(&mut self, id: &MachineId) {
        self.changed.extend(self.machines.find(id.as_str()));
    }

    fn plan_for(&mut self, machine: MachineIx) -> MachinePlan {
        let relies_on_loss = self.relies_on_loss.remove(&machine).unwrap_or_default();
        if !self.starts.is_empty() {
            for unit in &self.machines[machine].units {
                let entry = &mut self.units[*unit];
                if entry.orders_its_start() && entry.target(machine) == Some(Target::Launched) {
                    entry.rare.launched.insert(machine);
                }
            }
        }
        let entry = &self.machines[machine];
        let name = |unit: &UnitIx| self.units[*unit].name.clone();
        MachinePlan {
            id: entry.facts.id.clone(),
            units: entry.units.iter().filter_map(|unit| assignment(&self.units[*unit], machine)).collect(),
            as_is: entry.units.iter().filter(|unit| self.units[**unit].is_as_is()).map(name).collect(),
            leaving: entry.leaving.iter().map(|(unit, &given)| (name(unit), given)).collect(),
            relies_on_loss: relies_on_loss.iter().map(|&lost| self.machines[lost].facts.id.clone()).collect(),
            lost: entry.facts.presence == Presence::Gone,
        }
    }

    /// Tells with which generation a machine's schedule is written: what leaves with it leaves by that one.
    pub fn set_generation(&mut self, id: &MachineId, generation: u64) {
        let Some(machine) = self.machines.find(id.as_str()) else { return };
        for given in self.machines[machine].leaving.values_mut() {
            given.get_or_insert(generation);
        }
    }
}

/// What a machine is told of a unit.
fn assignment(unit: &Unit, machine: MachineIx) -> Option<(UnitName, Assignment)> {
    let spec = unit.spec.as_ref().filter(|spec| spec.readable)?;
    let target = unit.target(machine)?;
    let (content, extra) = (spec.content.clone(), BTreeMap::new());
    let given = Assignment { uid: spec.uid, content, target, restarts: spec.restarts, extra };
    Some((unit.name.clone(), given))
}
