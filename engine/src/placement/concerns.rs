//! What a change concerns: the units to decide about because of it.

use super::cluster::Cluster;
use super::slots::{MachineIx, UnitIx};

/// Below this many (unplaced units × machines), every unplaced unit is looked at again whenever a machine changes, so
/// that the reasons people read are never out of date. Beyond it, only those that the machine may help.
const REFRESH_LIMIT: usize = 20_000;

impl Cluster {
    /// A unit changed: it, and those that must be with it, are to be decided about.
    pub(super) fn touch(&mut self, unit: UnitIx) {
        self.dirty.insert(unit);
        self.touch_starts(unit);
        let entry = &self.units[unit];
        if entry.is_global() && entry.is_wanted() {
            self.globals.insert(unit);
        } else {
            self.globals.remove(&unit);
        }
        if entry.is_named {
            self.dirty.extend(self.machine_of.namers(&entry.name));
        }
        // Those it follows are decided together with it; one of them may be waiting for what just changed.
        let peers: Vec<UnitIx> = self.peers(unit).collect();
        self.dirty.extend(peers);
    }

    /// A global unit came to or left some machine: those that must be with it are to be decided about.
    pub(super) fn touch_followers_of_global(&mut self, unit: UnitIx) {
        let entry = &self.units[unit];
        if entry.is_global() || entry.places.len() > 1 {
            self.dirty.extend(self.machine_of.namers(&entry.name));
        }
    }

    /// A unit was given a machine: those that must be with it, and were not given one with it, are to be decided about.
    pub(super) fn touch_waiting_followers(&mut self, unit: UnitIx) {
        if self.pending.is_empty() || !self.units[unit].is_named {
            return;
        }
        let followers = self.machine_of.namers(&self.units[unit].name);
        self.dirty.extend(followers.filter(|follower| self.pending.contains(follower)));
    }

    /// A unit with `Replaces=` came to a machine: those it names there are to be decided about.
    pub(super) fn drive_away(&mut self, unit: UnitIx, machine: MachineIx) {
        for &pattern in &self.units[unit].rare.replaces.own {
            let here = |other: &UnitIx| self.machines[machine].units.contains(other);
            self.dirty.extend(self.replaces.matches(pattern).iter().copied().filter(here));
        }
    }

    /// A unit came to a machine, or asks for more where it is: those that wait and cannot be beside it may have hoped for
    /// that machine.
    pub(super) fn shut_out(&mut self, unit: UnitIx) {
        let came = &self.units[unit];
        if !came.conflicts.own.is_empty() || !came.conflicts.matching.is_empty() || !came.rare.replaces.own.is_empty() {
            let touches = |other: &UnitIx| *other != unit && self.cannot_be_beside(*other, unit);
            let hoping = if self.is_small() { &self.pending } else { &self.waiting };
            let hoping: Vec<UnitIx> = hoping.iter().copied().filter(touches).collect();
            self.dirty.extend(hoping);
        }
        let came = &self.units[unit];
        if !came.asks.is_nothing() || came.group.is_some() {
            let hoping: Vec<UnitIx> =
                self.waiting.iter().copied().filter(|&other| self.take_room_from(unit, other)).collect();
            self.dirty.extend(hoping);
        }
    }

    /// Whether a unit takes room that another may need, of the machine or of the number of their group.
    fn take_room_from(&self, unit: UnitIx, other: UnitIx) -> bool {
        let asks = |unit: UnitIx| !self.units[unit].asks.is_nothing();
        unit != other && (asks(unit) && asks(other) || self.limit_each_other(unit, other))
    }

    /// Whether a unit may have to keep away from where another is.
    pub(super) fn cannot_be_beside(&self, unit: UnitIx, other: UnitIx) -> bool {
        let (unit, other) = (&self.units[unit], &self.units[other]);
        unit.conflicts.touches(&other.conflicts) || other.rare.replaces.points_at(&unit.rare.replaces)
    }

    /// A unit is gone from a machine: whoever it kept away may go there now.
    pub(super) fn freed(&mut self, unit: UnitIx, machine: MachineIx) {
        let has_room = |other: UnitIx| self.rejection_by_room(&[other], machine).is_none();
        let touches = |other: &UnitIx| {
            *other != unit
                && (self.cannot_be_beside(*other, unit)
                    || self.take_room_from(unit, *other) && (self.waiting.contains(other) || has_room(*other)))
        };
        let is_small = self.is_small();
        let may_go = |other: &UnitIx| {
            touches(other) && (is_small || self.waiting.contains(other) || self.is_able(&[*other], machine))
        };
        // Of a machine that can be given nothing only those may hope that wait for it.
        let waiting: Vec<UnitIx> = if is_small || self.machines[machine].facts.is_open() {
            self.pending.union(&self.failing).copied().filter(may_go).collect()
        } else {
            self.waiting.iter().copied().filter(may_go).collect()
        };
        let globals: Vec<_> = self.globals.iter().copied().filter(touches).map(|global| (global, machine)).collect();
        self.dirty.extend(waiting);
        self.dirty_globals.extend(globals);
    }

    /// A machine changed: units without a machine that it may suit are to be decided about.
    pub(super) fn offer(&mut self, machine: MachineIx) {
        if self.is_small() {
            return self.refresh_pending();
        }
        let open = self.machines[machine].facts.is_open();
        let suits = |unit: &UnitIx| open && (self.may_displace(*unit) || self.is_able(&[*unit], machine));
        let suited: Vec<UnitIx> = self.pending.union(&self.failing).copied().filter(suits).collect();
        self.dirty.extend(suited);
    }

    /// Whether all that wait can be looked at again.
    pub(super) fn is_small(&self) -> bool {
        self.pending.len() * self.machines.len() <= REFRESH_LIMIT
    }

    pub(super) fn refresh_pending(&mut self) {
        self.dirty.extend(self.pending.union(&self.failing).copied());
    }
}
