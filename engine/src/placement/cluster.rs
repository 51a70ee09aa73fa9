//! The cluster as decisions see it: machines, units, who lists what, all indexed.
//!
//! Facts go in here, and each marks dirty what it may concern; [`Cluster::pass`] decides about that and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use fleet_registry::planted::{self, Fault};
use fleet_units::{MachineId, UnitName};

use super::decision::{Departure, Outcome};
use super::facts::{MachineFacts, Presence, UnitSpec};
use super::failures::Failures;
use super::load::LoadIndex;
use super::machine::{Machine, count_down, count_up};
use super::patterns::Patterns;
use super::slots::{MachineIx, Slots, UnitIx};
use super::unit::Unit;

/// A machine may be given this many units: its schedule is one value.
pub const MAX_UNITS: usize = fleet_registry::record::ScheduleRecord::MAX_UNITS;

/// Below this many (unplaced units × machines), every unplaced unit is looked at again whenever a machine changes, so
/// that the reasons people read are never out of date. Beyond it, only those that the machine may help.
const REFRESH_LIMIT: usize = 20_000;

/// The state that placement decides over, and decides into: it is ahead of the registry by what is being written.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    pub(super) units: Slots<UnitIx, Unit>,
    pub(super) machines: Slots<MachineIx, Machine>,
    pub(super) load: LoadIndex,
    pub(super) conflicts: Patterns,
    pub(super) replaces: Patterns,
    /// Who names a unit in `MachineOf=`.
    pub(super) followers: BTreeMap<UnitName, BTreeSet<UnitIx>>,
    /// Global units that people want to run.
    pub(super) globals: BTreeSet<UnitIx>,
    /// Wanted units without a machine.
    pub(super) pending: BTreeSet<UnitIx>,
    /// Units that are to leave the machine where they failed, once another can take them.
    pub(super) failing: BTreeSet<UnitIx>,
    /// Units to decide about.
    pub(super) dirty: BTreeSet<UnitIx>,
    /// Global units to decide about on one machine.
    pub(super) dirty_globals: BTreeSet<(UnitIx, MachineIx)>,
    /// Machines whose schedule is not what was last planned for them.
    pub(super) changed: BTreeSet<MachineIx>,
    /// For a machine that was given units of lost ones: those.
    pub(super) relies_on_loss: BTreeMap<MachineIx, BTreeSet<MachineIx>>,
    /// Where units were taken off since the last pass.
    pub(super) departures: BTreeMap<UnitIx, Vec<(MachineId, Departure)>>,
    /// Machines whose schedule cannot be read and is not known otherwise, with the revision at which it was written:
    /// a unit that was there by then may be on it.
    pub(super) doubts: BTreeMap<MachineId, i64>,
    /// Where global units were started since the last pass.
    pub(super) arrivals: BTreeMap<UnitIx, Vec<MachineId>>,
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
        !self.dirty.is_empty() || !self.dirty_globals.is_empty()
    }

    /// Tells of a machine, new or changed.
    pub fn set_machine(&mut self, facts: MachineFacts) {
        let machine = match self.machines.find(facts.id.as_str()) {
            Some(machine) if self.machines[machine].facts == facts => return,
            Some(machine) => machine,
            None => {
                // It is new: entered as absent, so that what follows sees a change.
                let blank = MachineFacts { presence: Presence::Gone, ..MachineFacts::new(facts.id.clone()) };
                self.machines.find_or_insert(facts.id.as_str(), || Machine::new(blank))
            }
        };
        self.unindex(machine);
        self.machines[machine].facts = facts;
        self.index(machine);
        // What it holds may not suit it any more, or may run elsewhere now.
        let held = &self.machines[machine];
        let concerned: Vec<UnitIx> = held.units.iter().chain(held.leaving.keys()).copied().collect();
        self.dirty.extend(concerned);
        self.dirty_globals.extend(self.globals.iter().map(|&unit| (unit, machine)));
        self.offer(machine);
    }

    /// Forgets a machine and its schedule, after its records were deleted.
    pub fn remove_machine(&mut self, id: &MachineId) {
        let Some(machine) = self.machines.find(id.as_str()) else { return };
        self.unindex(machine);
        let (units, leaving) = {
            let held = &self.machines[machine];
            (held.units.clone(), held.leaving.keys().copied().collect::<Vec<_>>())
        };
        for unit in units {
            self.unlist(unit, machine);
            self.dirty.insert(unit);
        }
        for unit in leaving {
            self.machines[machine].leaving.remove(&unit);
            self.units[unit].leaving.remove(&machine);
            self.dirty.insert(unit);
        }
        self.changed.remove(&machine);
        self.relies_on_loss.remove(&machine);
        self.dirty_globals.retain(|&(_, m)| m != machine);
        self.machines.remove(id.as_str());
        self.refresh_pending();
    }

    /// Tells of a unit, new or changed.
    pub fn set_unit(&mut self, name: &UnitName, spec: UnitSpec) {
        let unit = self.unit(name);
        let old = self.units[unit].spec.take();
        if old.as_ref() == Some(&spec) {
            self.units[unit].spec = old;
            return;
        }
        let requirements = |spec: &UnitSpec| spec.requirements.as_ref().ok().cloned();
        self.units[unit].spec = old;
        if self.units[unit].requirements().cloned() != requirements(&spec) {
            self.replace_requirements(unit, spec);
        } else {
            self.units[unit].spec = Some(spec);
        }
        let places = self.units[unit].places.clone();
        self.changed.extend(places);
        self.touch(unit);
    }

    /// Tells that a unit is destroyed.
    pub fn remove_unit(&mut self, name: &UnitName) {
        let Some(unit) = self.units.find(name.as_str()) else { return };
        self.drop_requirements(unit);
        self.units[unit].spec = None;
        self.units[unit].failures = Failures::default();
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
                self.machines.find_or_insert(id.as_str(), || Machine::new(absent))
            }
        };
        for name in units {
            let unit = self.unit(name);
            self.list(unit, machine);
            self.dirty.insert(unit);
        }
        for (name, generation) in leaving {
            let unit = self.unit(name);
            self.machines[machine].leaving.insert(unit, Some(generation));
            self.units[unit].leaving.insert(machine);
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
            let entry = &mut self.machines[machine];
            if !entry.units.contains(&unit) && !entry.leaving.contains_key(&unit) {
                entry.leaving.insert(unit, Some(generation));
                self.units[unit].leaving.insert(machine);
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
            self.machines[machine].leaving.remove(&unit);
            self.units[unit].leaving.remove(&machine);
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

    // --- indexes ---

    /// The number of a unit, made if need be.
    fn unit(&mut self, name: &UnitName) -> UnitIx {
        if let Some(unit) = self.units.find(name.as_str()) {
            return unit;
        }
        let unit = self.units.find_or_insert(name.as_str(), || Unit::new(name.clone()));
        let conflicts = self.conflicts.matching(name.as_str());
        self.conflicts.add_match(unit, &conflicts);
        let replaces = self.replaces.matching(name.as_str());
        self.replaces.add_match(unit, &replaces);
        self.units[unit].conflicts.matching = conflicts;
        self.units[unit].replaces.matching = replaces;
        unit
    }

    /// Forgets a unit that nothing refers to any more.
    pub(super) fn forget_unit(&mut self, unit: UnitIx) {
        let gone = &self.units[unit];
        self.conflicts.remove_match(unit, &gone.conflicts.matching);
        self.replaces.remove_match(unit, &gone.replaces.matching);
        let name = gone.name.clone();
        self.pending.remove(&unit);
        self.failing.remove(&unit);
        self.globals.remove(&unit);
        self.dirty.remove(&unit);
        self.dirty_globals.retain(|&(u, _)| u != unit);
        self.units.remove(name.as_str());
    }

    /// Puts a machine into the load order, if it may be given units.
    fn index(&mut self, machine: MachineIx) {
        let entry = &self.machines[machine];
        if entry.facts.is_open() {
            self.load.insert(&entry.key(machine), &entry.facts.metadata);
        }
    }

    /// Takes it out.
    fn unindex(&mut self, machine: MachineIx) {
        let entry = &self.machines[machine];
        if entry.facts.is_open() {
            self.load.remove(&entry.key(machine), &entry.facts.metadata);
        }
    }

    /// Writes a unit into a machine's schedule.
    pub(super) fn list(&mut self, unit: UnitIx, machine: MachineIx) {
        if !self.units[unit].places.insert(machine) {
            return;
        }
        self.unindex(machine);
        let entry = &mut self.machines[machine];
        entry.units.insert(unit);
        entry.leaving.remove(&unit);
        self.index(machine);
        self.units[unit].leaving.remove(&machine);
        self.count(unit, machine, true);
        self.changed.insert(machine);
        self.drive_away(unit, machine);
        self.shut_out(unit);
        self.touch_followers_of_global(unit);
    }

    /// Takes a unit off a machine's schedule, without leaving a trace there.
    pub(super) fn unlist(&mut self, unit: UnitIx, machine: MachineIx) {
        if !self.units[unit].places.remove(&machine) {
            return;
        }
        self.count(unit, machine, false);
        self.unindex(machine);
        let was_full = self.machines[machine].units.len() >= MAX_UNITS;
        self.machines[machine].units.remove(&unit);
        self.index(machine);
        self.changed.insert(machine);
        if was_full {
            self.refresh_pending();
        }
        self.freed(unit, machine);
        self.touch_followers_of_global(unit);
    }

    /// Takes a unit off a machine's schedule: until the machine acknowledges, it may run there.
    pub(super) fn take_off(&mut self, unit: UnitIx, machine: MachineIx, why: Departure) {
        if !self.units[unit].places.contains(&machine) {
            return;
        }
        self.unlist(unit, machine);
        if !planted::is(Fault::NoWaitForStop) {
            self.machines[machine].leaving.insert(unit, None);
            self.units[unit].leaving.insert(machine);
        }
        let id = self.machines[machine].facts.id.clone();
        self.departures.entry(unit).or_default().push((id, why));
    }

    /// Counts a unit's patterns in or out on a machine.
    fn count(&mut self, unit: UnitIx, machine: MachineIx, up: bool) {
        let unit = &self.units[unit];
        let machine = &mut self.machines[machine];
        let change = if up { count_up } else { count_down };
        change(&mut machine.conflict_holders, &unit.conflicts.own);
        change(&mut machine.conflict_matches, &unit.conflicts.matching);
        change(&mut machine.replacers, &unit.replaces.own);
    }

    fn count_everywhere(&mut self, unit: UnitIx, up: bool) {
        let places = self.units[unit].places.clone();
        for machine in places {
            self.count(unit, machine, up);
        }
    }

    /// Forgets what a unit asks for.
    fn drop_requirements(&mut self, unit: UnitIx) {
        self.globals.remove(&unit);
        let Some(old) = self.units[unit].requirements().cloned() else { return };
        self.count_everywhere(unit, false);
        self.load.unwant(&old.metadata);
        for peer in &old.machine_of {
            if let Some(followers) = self.followers.get_mut(peer) {
                followers.remove(&unit);
                if followers.is_empty() {
                    self.followers.remove(peer);
                }
            }
            // Without it the units it was tied to may fit.
            let peer = self.units.find(peer.as_str());
            self.dirty.extend(peer);
        }
        let own = std::mem::take(&mut self.units[unit].conflicts.own);
        for pattern in own {
            let orphans = self.conflicts.release(unit, pattern);
            self.forget_pattern(orphans, |unit| &mut unit.conflicts.matching, pattern, |m| &mut m.conflict_matches);
        }
        let own = std::mem::take(&mut self.units[unit].replaces.own);
        for pattern in own {
            let orphans = self.replaces.release(unit, pattern);
            for orphan in orphans {
                self.units[orphan].replaces.matching.retain(|&p| p != pattern);
            }
        }
        self.count_everywhere(unit, true);
        // Whoever it kept away may have room now.
        let unit = &self.units[unit];
        let places: Vec<MachineIx> = unit.places.iter().chain(&unit.leaving).copied().collect();
        if !places.is_empty() {
            self.refresh_pending();
            for machine in places {
                self.dirty_globals.extend(self.globals.iter().map(|&global| (global, machine)));
            }
        }
    }

    /// A pattern that nobody has any more: nobody matches it either.
    fn forget_pattern(
        &mut self,
        orphans: BTreeSet<UnitIx>,
        matching: impl Fn(&mut Unit) -> &mut Vec<super::slots::PatternIx>,
        pattern: super::slots::PatternIx,
        counts: impl Fn(&mut Machine) -> &mut super::machine::Counts,
    ) {
        for orphan in orphans {
            let unit = &mut self.units[orphan];
            matching(unit).retain(|&p| p != pattern);
            let places = unit.places.clone();
            for machine in places {
                counts(&mut self.machines[machine]).remove(&pattern);
            }
        }
    }

    /// Takes up what a unit asks for now.
    fn replace_requirements(&mut self, unit: UnitIx, spec: UnitSpec) {
        self.drop_requirements(unit);
        self.units[unit].spec = Some(spec);
        let Some(wanted) = self.units[unit].requirements().cloned() else { return };
        let machines = &self.machines;
        self.load.want(&wanted.metadata, |machine| &machines[machine].facts.metadata);
        for peer in &wanted.machine_of {
            self.followers.entry(peer.clone()).or_default().insert(unit);
        }
        self.count_everywhere(unit, false);
        let mut own = Vec::new();
        for glob in wanted.conflicts.iter().filter(|glob| glob.is_valid()) {
            let (pattern, is_new) = self.conflicts.hold(unit, glob);
            own.push(pattern);
            if is_new {
                let matching = self.names_matching(glob);
                for &other in &matching {
                    self.conflicts.add_match(other, &[pattern]);
                    insert_sorted(&mut self.units[other].conflicts.matching, pattern);
                    let places = if other == unit { BTreeSet::new() } else { self.units[other].places.clone() };
                    for machine in places {
                        count_up(&mut self.machines[machine].conflict_matches, &[pattern]);
                    }
                }
            }
        }
        own.sort_unstable();
        own.dedup();
        self.units[unit].conflicts.own = own;
        let mut own = Vec::new();
        for glob in wanted.replaces.iter().filter(|glob| glob.is_valid()) {
            let (pattern, is_new) = self.replaces.hold(unit, glob);
            own.push(pattern);
            if is_new {
                for other in self.names_matching(glob) {
                    self.replaces.add_match(other, &[pattern]);
                    insert_sorted(&mut self.units[other].replaces.matching, pattern);
                }
            }
        }
        own.sort_unstable();
        own.dedup();
        self.units[unit].replaces.own = own;
        self.count_everywhere(unit, true);
        let places = self.units[unit].places.clone();
        let is_somewhere = !places.is_empty() || !self.units[unit].leaving.is_empty();
        for machine in places {
            self.drive_away(unit, machine);
        }
        if is_somewhere {
            self.shut_out(unit);
        }
    }

    fn names_matching(&self, glob: &fleet_units::Glob) -> Vec<UnitIx> {
        let matches = |&unit: &UnitIx| glob.matches(self.units[unit].name.as_str());
        self.units.with_prefix(glob.literal_prefix()).filter(matches).collect()
    }

    // --- what a change concerns ---

    /// A unit changed: it, and those that must be with it, are to be decided about.
    pub(super) fn touch(&mut self, unit: UnitIx) {
        self.dirty.insert(unit);
        let entry = &self.units[unit];
        if entry.is_global() && entry.is_wanted() {
            self.globals.insert(unit);
        } else {
            self.globals.remove(&unit);
        }
        let followers = self.followers.get(&entry.name);
        self.dirty.extend(followers.into_iter().flatten().copied());
        // Those it follows are decided together with it; one of them may be waiting for what just changed.
        let peers = entry.requirements().map(|wanted| wanted.machine_of.clone()).unwrap_or_default();
        let peers = peers.iter().filter_map(|peer| self.units.find(peer.as_str()));
        self.dirty.extend(peers);
    }

    /// A global unit came to or left some machine: those that must be with it are to be decided about.
    fn touch_followers_of_global(&mut self, unit: UnitIx) {
        let entry = &self.units[unit];
        if entry.is_global() || entry.places.len() > 1 {
            let followers = self.followers.get(&entry.name);
            self.dirty.extend(followers.into_iter().flatten().copied());
        }
    }

    /// A unit with `Replaces=` came to a machine: those it names there are to be decided about.
    fn drive_away(&mut self, unit: UnitIx, machine: MachineIx) {
        for &pattern in &self.units[unit].replaces.own {
            let here = |other: &UnitIx| self.machines[machine].units.contains(other);
            self.dirty.extend(self.replaces.matches(pattern).iter().copied().filter(here));
        }
    }

    /// A unit came to a machine, or asks for more where it is: those that wait and cannot be beside it may have hoped for
    /// that machine.
    fn shut_out(&mut self, unit: UnitIx) {
        let came = &self.units[unit];
        if came.conflicts.own.is_empty() && came.conflicts.matching.is_empty() && came.replaces.own.is_empty() {
            return;
        }
        let touches = |other: &UnitIx| *other != unit && self.cannot_be_beside(*other, unit);
        let waiting: Vec<UnitIx> = self.pending.iter().copied().filter(touches).collect();
        self.dirty.extend(waiting);
    }

    /// Whether a unit may have to keep away from where another is.
    fn cannot_be_beside(&self, unit: UnitIx, other: UnitIx) -> bool {
        let (unit, other) = (&self.units[unit], &self.units[other]);
        unit.conflicts.touches(&other.conflicts) || other.replaces.points_at(&unit.replaces)
    }

    /// A unit is gone from a machine: whoever it kept away may go there now.
    fn freed(&mut self, unit: UnitIx, machine: MachineIx) {
        let touches = |other: &UnitIx| *other != unit && self.cannot_be_beside(*other, unit);
        let waiting: Vec<UnitIx> = self.pending.union(&self.failing).copied().filter(touches).collect();
        let globals: Vec<_> = self.globals.iter().copied().filter(touches).map(|global| (global, machine)).collect();
        self.dirty.extend(waiting);
        self.dirty_globals.extend(globals);
    }

    /// A machine changed: units without a machine that it may suit are to be decided about.
    fn offer(&mut self, machine: MachineIx) {
        if self.pending.len() * self.machines.len() <= REFRESH_LIMIT {
            return self.refresh_pending();
        }
        let open = self.machines[machine].facts.is_open();
        let suits = |unit: &UnitIx| open && self.rejection_new(*unit, machine).is_none();
        let suited: Vec<UnitIx> = self.pending.union(&self.failing).copied().filter(suits).collect();
        self.dirty.extend(suited);
    }

    fn refresh_pending(&mut self) {
        self.dirty.extend(self.pending.union(&self.failing).copied());
    }
}

fn insert_sorted<T: Ord + Copy>(list: &mut Vec<T>, item: T) {
    if let Err(at) = list.binary_search(&item) {
        list.insert(at, item);
    }
}
