//! The cluster's indexes, kept with every unit that comes to a machine or leaves it, and with what units ask for.

use std::collections::BTreeSet;

use fleet_registry::planted::{self, Fault};
use fleet_units::UnitName;

use super::cluster::{Cluster, MAX_UNITS};
use super::decision::Departure;
use super::facts::UnitSpec;
use super::machine::{Machine, count_down, count_up};
use super::slots::{MachineIx, UnitIx};
use super::unit::Unit;

impl Cluster {
    /// The number of a unit, made if need be.
    pub(super) fn unit(&mut self, name: &UnitName) -> UnitIx {
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
        self.machine_of.came(unit, name);
        unit
    }

    /// Forgets a unit that nothing refers to any more.
    pub(super) fn forget_unit(&mut self, unit: UnitIx) {
        let gone = &self.units[unit];
        self.conflicts.remove_match(unit, &gone.conflicts.matching);
        self.replaces.remove_match(unit, &gone.replaces.matching);
        let name = gone.name.clone();
        self.machine_of.went(unit, &name);
        self.pending.remove(&unit);
        self.failing.remove(&unit);
        self.globals.remove(&unit);
        self.dirty.remove(&unit);
        self.dirty_globals.retain(|&(u, _)| u != unit);
        self.units.remove(name.as_str());
    }

    /// Puts a machine into the load order, if it may be given units.
    pub(super) fn index(&mut self, machine: MachineIx) {
        let entry = &self.machines[machine];
        if entry.facts.is_open() {
            self.load.insert(&entry.key(machine), &entry.facts.metadata);
        }
    }

    /// Takes it out.
    pub(super) fn unindex(&mut self, machine: MachineIx) {
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
    pub(super) fn count(&mut self, unit: UnitIx, machine: MachineIx, up: bool) {
        let unit = &self.units[unit];
        let machine = &mut self.machines[machine];
        let change = if up { count_up } else { count_down };
        change(&mut machine.conflict_holders, &unit.conflicts.own);
        change(&mut machine.conflict_matches, &unit.conflicts.matching);
        change(&mut machine.replacers, &unit.replaces.own);
    }

    pub(super) fn count_everywhere(&mut self, unit: UnitIx, up: bool) {
        let places = self.units[unit].places.clone();
        for machine in places {
            self.count(unit, machine, up);
        }
    }

    /// Forgets what a unit asks for.
    pub(super) fn drop_requirements(&mut self, unit: UnitIx) {
        self.globals.remove(&unit);
        let Some(old) = self.units[unit].requirements().cloned() else { return };
        self.count_everywhere(unit, false);
        self.load.unwant(&old.metadata);
        // Without it the units it was tied to may fit.
        let peers: Vec<UnitIx> = self.peers(unit).collect();
        self.dirty.extend(peers);
        self.machine_of.unname(unit, old.machine_of.iter());
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
    pub(super) fn forget_pattern(
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
    pub(super) fn replace_requirements(&mut self, unit: UnitIx, spec: UnitSpec) {
        self.drop_requirements(unit);
        self.units[unit].spec = Some(spec);
        let Some(wanted) = self.units[unit].requirements().cloned() else { return };
        let machines = &self.machines;
        self.load.want(&wanted.metadata, |machine| &machines[machine].facts.metadata);
        self.tie(unit, &wanted.machine_of);
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

    pub(super) fn names_matching(&self, glob: &fleet_units::Glob) -> Vec<UnitIx> {
        let matches = |&unit: &UnitIx| glob.matches(self.units[unit].name.as_str());
        self.units.with_prefix(glob.literal_prefix()).filter(matches).collect()
    }
}

fn insert_sorted<T: Ord + Copy>(list: &mut Vec<T>, item: T) {
    if let Err(at) = list.binary_search(&item) {
        list.insert(at, item);
    }
}
