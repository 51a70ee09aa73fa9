//! The cluster's indexes, kept with every unit that comes to a machine or leaves it, and with what units ask for.

use std::collections::BTreeSet;

use fleet_registry::planted::{self, Fault};
use fleet_units::UnitName;

use super::cluster::{Cluster, MAX_UNITS};
use super::decision::Departure;
use super::facts::{MachineFacts, UnitSpec};
use super::machine::{Counts, Machine};
use super::resources::Amount;
use super::slots::{MachineIx, UnitIx};
use super::small::Small;
use super::unit::Unit;

/// Between the ranks of two machines that come one after the other, so that others find a place there.
const RANKS_APART: u64 = 1 << 32;

impl Cluster {
    /// The number of a unit, made if need be.
    pub(super) fn unit(&mut self, name: &UnitName) -> UnitIx {
        let unit = match self.units.insert(name.clone(), || Unit::new(name.clone())) {
            Ok(unit) => unit,
            Err(known) => return known,
        };
        let conflicts = Small::from(self.conflicts.matching(name.as_str()));
        self.conflicts.add_match(unit, &conflicts);
        let replaces = Small::from(self.replaces.matching(name.as_str()));
        self.replaces.add_match(unit, &replaces);
        self.units[unit].conflicts.matching = conflicts;
        if !replaces.is_empty() {
            self.units[unit].rare.replaces.matching = replaces;
        }
        self.machine_of.came(unit, name);
        self.units[unit].is_named = self.machine_of.namers(name).next().is_some();
        self.starts.came(unit, name);
        unit
    }

    /// Forgets a unit that nothing refers to any more.
    pub(super) fn forget_unit(&mut self, unit: UnitIx) {
        let gone = &self.units[unit];
        self.conflicts.remove_match(unit, &gone.conflicts.matching);
        self.replaces.remove_match(unit, &gone.rare.replaces.matching);
        let name = gone.name.clone();
        self.machine_of.went(unit, &name);
        self.starts.went(unit, &name);
        self.drop_claims(unit, None);
        self.starts_dirty.remove(&unit);
        self.not_yet_launched.remove(&unit);
        self.launched_before.retain(|&(gone, _)| gone != unit);
        self.pending.remove(&unit);
        self.waiting.remove(&unit);
        self.failing.remove(&unit);
        self.globals.remove(&unit);
        self.dirty.remove(unit);
        self.dirty_globals.retain(|&(u, _)| u != unit);
        self.units.remove(name.as_str());
    }

    /// A machine that was not known, among the others by its id.
    pub(super) fn add_machine(&mut self, facts: MachineFacts) -> MachineIx {
        let id = facts.id.clone();
        let machine = match self.machines.insert(id.clone(), || Machine::new(facts)) {
            Ok(machine) => machine,
            Err(known) => return known,
        };
        self.orders.add(machine);
        let (before, after) = self.machines.neighbours(id.as_str());
        let low = before.map_or(0, |before| self.orders.gauge(before).rank);
        let rank = match after.map(|after| self.orders.gauge(after).rank) {
            Some(high) => low + (high - low) / 2,
            None => low.saturating_add(RANKS_APART),
        };
        if rank > low && rank < u64::MAX {
            self.orders.gauge_mut(machine).rank = rank;
            return machine;
        }
        let all: Vec<MachineIx> = self.machines.iter().map(|(machine, _)| machine).collect();
        for (n, &machine) in all.iter().enumerate() {
            self.orders.gauge_mut(machine).rank = (n as u64 + 1).saturating_mul(RANKS_APART);
        }
        self.orders.forget();
        machine
    }

    /// A unit that a machine does not list may still run there.
    pub(super) fn leaves(&mut self, unit: UnitIx, machine: MachineIx, given: Option<u64>) {
        self.units[unit].leaving.insert(machine);
        let asks = self.units[unit].asks;
        let entry = &mut self.machines[machine];
        if entry.leaving.insert(unit, given).is_none() {
            entry.stopping = entry.stopping.plus(asks);
        }
    }

    /// It does not any more, or is listed again.
    pub(super) fn has_left(&mut self, unit: UnitIx, machine: MachineIx) {
        self.units[unit].leaving.remove(&machine);
        let asks = self.units[unit].asks;
        let entry = &mut self.machines[machine];
        if entry.leaving.remove(&unit).is_some() {
            entry.stopping = entry.stopping.minus(asks);
            self.frees += u64::from(entry.facts.is_open());
        }
    }

    /// Writes a unit into a machine's schedule.
    pub(super) fn list(&mut self, unit: UnitIx, machine: MachineIx) {
        if !self.units[unit].places.insert(machine) {
            return;
        }
        self.machines[machine].units.insert(unit);
        self.orders.gauge_mut(machine).load = self.machines[machine].load();
        self.has_left(unit, machine);
        self.count(unit, machine, true);
        self.changed.insert(machine);
        self.drive_away(unit, machine);
        self.shut_out(unit);
        self.touch_followers_of_global(unit);
        self.touch_starts(unit);
    }

    /// Takes a unit off a machine's schedule, without leaving a trace there.
    pub(super) fn unlist(&mut self, unit: UnitIx, machine: MachineIx) {
        if !self.units[unit].places.remove(&machine) {
            return;
        }
        self.count(unit, machine, false);
        let was_full = self.machines[machine].units.len() >= MAX_UNITS;
        self.machines[machine].units.remove(&unit);
        self.orders.gauge_mut(machine).load = self.machines[machine].load();
        if self.machines[machine].facts.is_open() {
            self.orders.changed(machine);
            self.frees += 1;
        }
        self.changed.insert(machine);
        if was_full {
            self.refresh_pending();
        }
        self.freed(unit, machine);
        self.touch_followers_of_global(unit);
        self.touch_starts(unit);
    }

    /// Takes a unit off a machine's schedule: until the machine acknowledges, it may run there.
    pub(super) fn take_off(&mut self, unit: UnitIx, machine: MachineIx, why: Departure) {
        if !self.units[unit].places.contains(&machine) {
            return;
        }
        self.unlist(unit, machine);
        let entry = &mut self.units[unit];
        if let Some(known) = entry.rare.known() {
            known.waits_on.remove(&machine);
            if known.launched.contains(&machine) {
                self.launched_before.insert((unit, machine));
            }
        }
        if !planted::is(Fault::NoWaitForStop) {
            self.leaves(unit, machine, None);
        }
        let id = self.machines[machine].facts.id.clone();
        self.departures.entry(unit).or_default().push((id, why));
    }

    fn count_priority(&mut self, priority: i32, up: bool) {
        let count = self.priorities.entry(priority).or_default();
        *count = if up { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.priorities.remove(&priority);
        }
    }

    /// Counts a unit's patterns in or out on a machine.
    pub(super) fn count(&mut self, unit: UnitIx, machine: MachineIx, up: bool) {
        self.count_here(unit, machine, up);
        self.machines[machine].below = None;
        self.count_value_of(unit, machine, up);
    }

    /// The same for nobody but the machine itself.
    pub(super) fn count_here(&mut self, unit: UnitIx, machine: MachineIx, up: bool) {
        let entry = &self.units[unit];
        let here = &mut self.machines[machine];
        let change = if up { Counts::count_up } else { Counts::count_down };
        change(&mut here.conflict_holders, &entry.conflicts.own);
        change(&mut here.conflict_matches, &entry.conflicts.matching);
        change(&mut here.replacers, &entry.rare.replaces.own);
        if !entry.asks.is_nothing() {
            here.used = if up { here.used.plus(entry.asks) } else { here.used.minus(entry.asks) };
            self.orders.gauge_mut(machine).share = here.share();
        }
        self.count_in_group(unit, machine, up);
    }

    fn count_everywhere(&mut self, unit: UnitIx, up: bool) {
        let places = self.units[unit].places.clone();
        for &machine in &places {
            self.count(unit, machine, up);
            self.orders.changed(machine);
        }
        let entry = &self.units[unit];
        for &machine in &entry.leaving {
            let here = &mut self.machines[machine];
            here.stopping = if up { here.stopping.plus(entry.asks) } else { here.stopping.minus(entry.asks) };
        }
    }

    /// Forgets what a unit asks for.
    pub(super) fn drop_requirements(&mut self, unit: UnitIx) {
        self.globals.remove(&unit);
        let Some(old) = self.units[unit].requirements().cloned() else { return };
        self.frees += 1;
        self.count_everywhere(unit, false);
        self.leave_group(unit);
        let entry = &mut self.units[unit];
        entry.asks = Amount::default();
        if let Some(profile) = entry.profile.take() {
            self.orders.release(profile);
        }
        // Without it the units it was tied to may fit.
        let peers: Vec<UnitIx> = self.peers(unit).collect();
        self.dirty.extend(peers);
        self.machine_of.unname(unit, old.machine_of.iter());
        self.count_priority(old.priority, false);
        self.starts.unname(unit, old.after.iter().chain(&old.requires));
        let own = std::mem::take(&mut self.units[unit].conflicts.own);
        for &pattern in &own {
            let orphans = self.conflicts.release(unit, pattern);
            self.forget_pattern(orphans, |unit| &mut unit.conflicts.matching, pattern, |m| &mut m.conflict_matches);
        }
        let own =
            self.units[unit].rare.known().map(|known| std::mem::take(&mut known.replaces.own)).unwrap_or_default();
        for &pattern in &own {
            let orphans = self.replaces.release(unit, pattern);
            for orphan in orphans {
                self.units[orphan].rare.replaces.matching.remove(&pattern);
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
        matching: impl Fn(&mut Unit) -> &mut Small<super::slots::PatternIx>,
        pattern: super::slots::PatternIx,
        counts: impl Fn(&mut Machine) -> &mut Counts,
    ) {
        for orphan in orphans {
            let unit = &mut self.units[orphan];
            matching(unit).remove(&pattern);
            let places = unit.places.clone();
            for &machine in &places {
                counts(&mut self.machines[machine]).remove(pattern);
            }
        }
    }

    /// Takes up what a unit asks for now.
    pub(super) fn replace_requirements(&mut self, unit: UnitIx, spec: UnitSpec) {
        self.drop_requirements(unit);
        self.units[unit].spec = Some(spec);
        let Some(wanted) = self.units[unit].requirements().cloned() else { return };
        self.tie(unit, &wanted.machine_of);
        self.count_priority(wanted.priority, true);
        self.order_start(unit, &wanted.after);
        self.order_start(unit, &wanted.requires);
        self.count_everywhere(unit, false);
        self.join_group(unit);
        self.units[unit].asks = Amount::of(&wanted);
        self.units[unit].profile = Some(self.orders.hold(&wanted, &mut self.values));
        let mut own = Vec::new();
        for glob in wanted.conflicts.iter().filter(|glob| glob.is_valid()) {
            let (pattern, is_new) = self.conflicts.hold(unit, glob);
            own.push(pattern);
            if is_new {
                let matching = self.names_matching(glob);
                for &other in &matching {
                    self.conflicts.add_match(other, &[pattern]);
                    self.units[other].conflicts.matching.insert(pattern);
                    let places = if other == unit { Small::Empty } else { self.units[other].places.clone() };
                    for &machine in &places {
                        self.machines[machine].conflict_matches.count_up(&[pattern]);
                    }
                }
            }
        }
        self.units[unit].conflicts.own = own.into();
        let mut own = Vec::new();
        for glob in wanted.replaces.iter().filter(|glob| glob.is_valid()) {
            let (pattern, is_new) = self.replaces.hold(unit, glob);
            own.push(pattern);
            if is_new {
                for other in self.names_matching(glob) {
                    self.replaces.add_match(other, &[pattern]);
                    self.units[other].rare.replaces.matching.insert(pattern);
                }
            }
        }
        if !own.is_empty() {
            self.units[unit].rare.replaces.own = own.into();
        }
        self.count_everywhere(unit, true);
        let places = self.units[unit].places.clone();
        let is_somewhere = !places.is_empty() || !self.units[unit].leaving.is_empty();
        for &machine in &places {
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
