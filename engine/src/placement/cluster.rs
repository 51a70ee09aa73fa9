//! The cluster as decisions see it: machines, units, who lists what, all indexed.
//!
//! Facts go in here, and each marks dirty what it may concern; [`Cluster::pass`] decides about that and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleet_registry::record::ContentKey;
use fleet_units::{DesiredState, MachineId, Requirements, UnitName};

use super::decision::{Departure, Outcome, Said};
use super::facts::{MachineFacts, Presence, UnitSpec};
use super::failures::Failures;
use super::machine::Machines;
use super::marks::Marks;
use super::order::Orders;
use super::patterns::Patterns;
use super::preempt::{Claims, Vain};
use super::slots::{GroupIx, MachineIx, Slots, UnitIx};
use super::small::Small;
use super::spread::Group;
use super::ties::Ties;
use super::unit::Unit;
use super::values::Values;

/// A machine may be given this many units: its schedule is one value.
pub const MAX_UNITS: usize = fleet_registry::record::ScheduleRecord::MAX_UNITS;

/// The state that placement decides over, and decides into: it is ahead of the registry by what is being written.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    pub(super) units: Slots<UnitIx, Unit, UnitName>,
    pub(super) machines: Machines,
    pub(super) orders: Orders,
    /// The values of the machines' metadata.
    pub(super) values: Values,
    pub(super) groups: Slots<GroupIx, Group>,
    pub(super) conflicts: Patterns,
    pub(super) replaces: Patterns,
    /// Who names whom in `MachineOf=`.
    pub(super) machine_of: Ties,
    /// Who names whom in `After=` and `Requires=`.
    pub(super) starts: Ties,
    /// Units whose start is to be looked at.
    pub(super) starts_dirty: BTreeSet<UnitIx>,
    /// Machines that are kept for units which displaced others there.
    pub(super) claims: Claims,
    /// For what no room could be made.
    pub(super) vain: Vain,
    /// How many units have which priority.
    pub(super) priorities: BTreeMap<i32, usize>,
    /// Units that people want launched since what was planned last.
    pub(super) not_yet_launched: BTreeSet<UnitIx>,
    /// Units that were launched where they are not listed any more, as far as is not planned yet.
    pub(super) launched_before: BTreeSet<(UnitIx, MachineIx)>,
    /// Global units that people want to run.
    pub(super) globals: BTreeSet<UnitIx>,
    /// Wanted units without a machine.
    pub(super) pending: BTreeSet<UnitIx>,
    /// Those of them that wait for something that will pass by itself.
    pub(super) waiting: BTreeSet<UnitIx>,
    /// Units that are to leave the machine where they failed, once another can take them.
    pub(super) failing: BTreeSet<UnitIx>,
    /// Units to decide about.
    pub(super) dirty: Marks<UnitIx>,
    /// Global units to decide about on one machine.
    pub(super) dirty_globals: BTreeSet<(UnitIx, MachineIx)>,
    /// Machines whose schedule is not what was last planned for them.
    pub(super) changed: Marks<MachineIx>,
    /// For a machine that was given units of lost ones: those.
    pub(super) relies_on_loss: BTreeMap<MachineIx, BTreeSet<MachineIx>>,
    /// Where units were taken off since the last pass.
    pub(super) departures: BTreeMap<UnitIx, Vec<(MachineId, Departure)>>,
    /// Machines whose schedule cannot be read and is not known otherwise, with the revision at which it was written:
    /// a unit that was there by then may be on it.
    pub(super) doubts: BTreeMap<MachineId, i64>,
    /// Where global units were started since the last pass.
    pub(super) arrivals: BTreeMap<UnitIx, Vec<MachineId>>,
    /// How many machines were tried for units so far.
    pub(super) tried: u64,
    /// How often something changed that may let a machine take a unit that it could not take before.
    pub(super) frees: u64,
    /// What a unit of each text asks for.
    pub(super) demands: BTreeMap<ContentKey, Arc<Requirements>>,
}

impl Cluster {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a pass would have anything to do.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty() || !self.dirty_globals.is_empty() || !self.starts_dirty.is_empty()
    }

    /// How many machines were tried for units so far: what decisions cost, without a clock.
    #[must_use]
    pub fn tried(&self) -> u64 {
        self.tried
    }

    /// Tells of a machine, new or changed.
    pub fn set_machine(&mut self, facts: MachineFacts) {
        let machine = match self.machines.find(facts.id.as_str()) {
            Some(machine) if self.machines[machine].facts == facts => return,
            Some(machine) => machine,
            None => {
                // It is new: entered as absent, so that what follows sees a change.
                let blank = MachineFacts { presence: Presence::Gone, ..MachineFacts::new(facts.id.clone()) };
                self.add_machine(blank)
            }
        };
        self.count_values_of(machine, false);
        if self.machines[machine].facts.metadata != facts.metadata {
            self.values.remove(machine, &self.machines[machine].values);
            self.machines[machine].values = self.values.add(machine, &facts);
        }
        let entry = &mut self.machines[machine];
        entry.facts = facts;
        let (share, carries_registry) = (entry.share(), entry.facts.carries_registry);
        let gauge = self.orders.gauge_mut(machine);
        (gauge.share, gauge.carries_registry) = (share, carries_registry);
        self.frees += 1;
        self.count_values_of(machine, true);
        self.orders.changed(machine);
        // What it holds may not suit it any more, or may run elsewhere now.
        let held = &self.machines[machine];
        let concerned: Vec<UnitIx> = held.units.iter().chain(held.leaving.keys()).copied().collect();
        concerned.iter().for_each(|&unit| self.touch_starts_after(unit));
        self.dirty.extend(concerned);
        self.dirty_globals.extend(self.globals.iter().map(|&unit| (unit, machine)));
        self.offer(machine);
    }

    /// Forgets a machine and its schedule, after its records were deleted.
    pub fn remove_machine(&mut self, id: &MachineId) {
        let Some(machine) = self.machines.find(id.as_str()) else { return };
        let (units, leaving) = {
            let held = &self.machines[machine];
            (held.units.clone(), held.leaving.keys().copied().collect::<Vec<_>>())
        };
        for unit in units {
            self.unlist(unit, machine);
            self.forget_start(unit, machine);
            self.launched_before.remove(&(unit, machine));
            self.dirty.insert(unit);
        }
        for unit in leaving {
            self.has_left(unit, machine);
            self.dirty.insert(unit);
        }
        self.changed.remove(machine);
        self.relies_on_loss.remove(&machine);
        for claimant in self.claims.remove(&machine).unwrap_or_default().into_keys() {
            self.units[claimant].rare.claims.remove(&machine);
        }
        self.dirty_globals.retain(|&(_, m)| m != machine);
        self.values.remove(machine, &self.machines[machine].values);
        self.orders.changed(machine);
        self.machines.remove(id.as_str());
        self.refresh_pending();
    }

    /// Tells of a unit, new or changed.
    pub fn set_unit(&mut self, name: &UnitName, mut spec: UnitSpec) {
        self.share_requirements(&mut spec);
        let unit = self.unit(name);
        let old = self.units[unit].spec.take();
        if old.as_ref() == Some(&spec) {
            self.units[unit].spec = old;
            return;
        }
        let same = old.as_ref().is_some_and(|old| old.uid == spec.uid);
        let launched = same && old.as_ref().is_some_and(|old| old.desired == DesiredState::Launched);
        let ordered = old.as_ref().is_some_and(UnitSpec::orders_its_start);
        let requirements = |spec: &UnitSpec| spec.requirements.as_ref().ok().cloned();
        self.units[unit].spec = old;
        if self.units[unit].requirements().cloned() != requirements(&spec) {
            self.replace_requirements(unit, spec);
        } else {
            self.units[unit].spec = Some(spec);
        }
        let entry = &mut self.units[unit];
        let places = entry.places.clone();
        let launches = entry.spec.as_ref().is_some_and(|spec| spec.desired == DesiredState::Launched);
        if launches && !launched {
            self.not_yet_launched.insert(unit);
        }
        if !same || !launches {
            if let Some(known) = entry.rare.known() {
                known.launched = Small::Empty;
            }
        } else if launched && !ordered && entry.orders_its_start() && !self.not_yet_launched.contains(&unit) {
            // What runs stays launched, though it is to be started after others from now on.
            entry.rare.launched = places.iter().filter(|at| !entry.rare.waits_on.contains(at)).copied().collect();
        }
        self.changed.extend(&places);
        self.touch(unit);
    }

    /// The instances of a template mostly ask for the very same, which is kept once.
    fn share_requirements(&mut self, spec: &mut UnitSpec) {
        let Ok(wanted) = &mut spec.requirements else { return };
        match self.demands.get_mut(&spec.content) {
            Some(known) if *known == *wanted => wanted.clone_from(known),
            Some(known) => known.clone_from(wanted),
            None => {
                if self.demands.len() > 2 * self.units.len() {
                    self.demands.retain(|_, known| Arc::strong_count(known) > 1);
                }
                self.demands.insert(spec.content.clone(), Arc::clone(wanted));
            }
        }
    }

    /// Tells that a unit is destroyed.
    pub fn remove_unit(&mut self, name: &UnitName) {
        let Some(unit) = self.units.find(name.as_str()) else { return };
        self.drop_requirements(unit);
        self.units[unit].spec = None;
        if let Some(known) = self.units[unit].rare.known() {
            known.failures = Failures::NONE;
            known.avoids = None;
        }
        self.failing.remove(&unit);
        self.touch(unit);
    }

    /// Tells what a machine's schedule lists and which units it has not acknowledged as gone. For loading: from then on
    /// the cluster itself decides what is listed.
    pub fn set_schedule<'a>(
        &mut self,
        id: &MachineId,
        units: impl Iterator<Item = &'a UnitName>,
        leaving: impl Iterator<Item = (&'a UnitName, u64)>,
    ) {
        let machine = match self.machines.find(id.as_str()) {
            Some(machine) => machine,
            None => {
                let absent = MachineFacts { presence: Presence::Held, ..MachineFacts::new(id.clone()) };
                self.add_machine(absent)
            }
        };
        for name in units {
            let unit = self.unit(name);
            self.list(unit, machine);
            self.dirty.insert(unit);
        }
        for (name, generation) in leaving {
            let unit = self.unit(name);
            self.leaves(unit, machine, Some(generation));
            self.dirty.insert(unit);
        }
    }

    /// Tells that nobody knows what a machine lists since this revision.
    pub fn set_doubt(&mut self, id: &MachineId, revision: i64) {
        self.doubts.insert(id.clone(), revision);
    }

    /// A machine that a unit without a place may be on: its schedule cannot be read, and was written when the unit was
    /// there already. What is listed elsewhere is not on it, since no unit is ever listed twice.
    pub(super) fn doubtful(&self, unit: UnitIx) -> Option<MachineId> {
        let entry = &self.units[unit];
        let uid = entry.spec.as_ref()?.uid;
        if !entry.places.is_empty() {
            return None;
        }
        self.doubts.iter().find(|(_, revision)| uid <= **revision).map(|(machine, _)| machine.clone())
    }

    /// Tells how far a machine has carried out its schedules: what it was to stop until then is gone from it, but for
    /// what it is still stopping. That may be units of which no schedule speaks any more: they were given elsewhere, or
    /// deleted, while the machine was lost.
    pub fn acknowledge(&mut self, id: &MachineId, generation: u64, stopping: &BTreeSet<UnitName>) {
        let Some(machine) = self.machines.find(id.as_str()) else { return };
        for name in stopping {
            let unit = self.unit(name);
            let entry = &self.machines[machine];
            if !entry.units.contains(&unit) && !entry.leaving.contains_key(&unit) {
                self.leaves(unit, machine, Some(generation));
                self.dirty.insert(unit);
                self.shut_out(unit);
            }
        }
        let done = |unit: UnitIx, given: Option<u64>| {
            given.is_some_and(|given| given <= generation) && !stopping.contains(&self.units[unit].name)
        };
        let leaving = &self.machines[machine].leaving;
        let gone: Vec<UnitIx> =
            leaving.iter().filter(|&(&unit, &given)| done(unit, given)).map(|(&unit, _)| unit).collect();
        for unit in gone {
            self.has_left(unit, machine);
            self.dirty.insert(unit);
            self.freed(unit, machine);
        }
    }

    /// Where a unit is listed, for people and for tests.
    #[must_use]
    pub fn places(&self, name: &UnitName) -> Vec<MachineId> {
        let Some(unit) = self.units.find(name.as_str()) else { return Vec::new() };
        let mut places: Vec<_> = self.units[unit].places.iter().map(|&m| self.machines[m].facts.id.clone()).collect();
        places.sort();
        places
    }

    /// What was last decided about a unit.
    #[must_use]
    pub fn outcome(&self, name: &UnitName) -> Option<&Outcome> {
        self.units.find(name.as_str()).map(|unit| &self.units[unit].outcome)
    }

    /// The same with what else there is to say of it.
    #[must_use]
    pub fn said(&self, name: &UnitName) -> Option<Said<'_>> {
        let entry = &self.units[self.units.find(name.as_str())?];
        let rare = &entry.rare;
        let (held, displaced_by, circle) = (rare.hold.as_ref(), rare.displaced_by.as_ref(), rare.circle.as_ref());
        Some(Said { outcome: &entry.outcome, held, displaced_by, circle })
    }
}
