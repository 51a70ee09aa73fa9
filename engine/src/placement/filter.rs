//! Whether one machine can take one unit: the filters, in fleet's order, each with its reason.
//!
//! What ties units to each other by `MachineOf=` is not a filter but the business of [`super::group`]; only a global
//! peer, which is nobody's group, is looked for here.

use std::collections::BTreeSet;

use super::cluster::{Cluster, MAX_UNITS};
use super::demand::Demand;
use super::facts::Presence;
use super::machine::Machine;
use super::rejection::Rejection;
use super::slots::{MachineIx, PatternIx, UnitIx};
use super::small::Small;

impl Cluster {
    /// Why a machine cannot be given a unit that it does not have.
    pub(super) fn rejection_new(&self, unit: UnitIx, machine: MachineIx) -> Option<Rejection> {
        self.rejection_among(unit, &[unit], machine)
    }

    /// The same for a unit that comes with others; whether there is room for all is another question.
    pub(super) fn rejection_among(&self, unit: UnitIx, members: &[UnitIx], machine: MachineIx) -> Option<Rejection> {
        let alone = members.len() == 1;
        self.rejection_by_demands(unit, machine)
            .or_else(|| if alone { self.rejection_by_room(members, machine) } else { None })
            .or_else(|| self.rejection_by_number(unit, members, machine))
            .or_else(|| self.rejection_by_neighbours(unit, machine))
            .or_else(|| self.rejection_by_stopping(unit, machine))
            .or_else(|| self.kept_for(unit, machine).map(|by| Rejection::Kept { by }))
            .or_else(|| rejection_by_state(&self.machines[machine]))
    }

    /// Why a machine cannot keep a unit that it has. A machine that is catching up, cordoned or full keeps what it has, and
    /// so does one with less capacity than its units ask for by now.
    pub(super) fn rejection_kept(&self, unit: UnitIx, machine: MachineIx) -> Option<Rejection> {
        let rejection = self
            .rejection_by_demands(unit, machine)
            .or_else(|| self.rejection_by_number_kept(unit, machine))
            .or_else(|| self.rejection_by_neighbours(unit, machine));
        rejection.or_else(|| {
            let drains = self.machines[machine].facts.draining && !self.units[unit].is_global();
            let failed = || self.leaves_for_failing(unit, machine).then_some(Rejection::Failed);
            let asked = || self.leaves_when_asked(unit, machine).then_some(Rejection::AskedAway);
            drains.then_some(Rejection::Draining).or_else(failed).or_else(asked)
        })
    }

    /// `MachineID=`, `MachineMetadata=`, and global units named by `MachineOf=`.
    fn rejection_by_demands(&self, unit: UnitIx, machine: MachineIx) -> Option<Rejection> {
        let wanted = self.units[unit].requirements()?;
        let entry = &self.machines[machine];
        if let Some(id) = &wanted.machine_id
            && !entry.facts.id.matches(id)
        {
            return Some(Rejection::OtherMachine { wanted: id.clone() });
        }
        if let Some(unmet) = Demand::first_unmet(wanted, &entry.facts.traits()) {
            return Some(Rejection::Metadata { unmet });
        }
        let peer = self.missing_global(unit, machine)?;
        Some(Rejection::PeerNotHere { peer: self.units[peer].name.clone() })
    }

    /// A global unit that `MachineOf=` names and that a machine does not have.
    fn missing_global(&self, unit: UnitIx, machine: MachineIx) -> Option<UnitIx> {
        let is_missing = |peer: &UnitIx| self.units[*peer].is_global() && !self.machines[machine].units.contains(peer);
        self.first_by_name(self.peers(unit).filter(is_missing))
    }

    /// `Conflicts=` of either side, and `Replaces=` of those who are there.
    fn rejection_by_neighbours(&self, unit: UnitIx, machine: MachineIx) -> Option<Rejection> {
        if let Some(with) = self.conflict_on(unit, machine) {
            return Some(Rejection::Conflict { with: self.units[with].name.clone() });
        }
        let by = self.replacer_on(unit, machine)?;
        Some(Rejection::Replaced { by: self.units[by].name.clone() })
    }

    /// Whether a machine can be given all of these, which it does not have. The counters alone tell of conflicts, so that
    /// in the search for a machine nobody asks whose they are.
    pub(super) fn is_able(&self, members: &[UnitIx], machine: MachineIx) -> bool {
        !members.iter().any(|&unit| self.has_conflict_on(unit, machine))
            && self.rejection_of(members, machine).is_none()
    }

    /// The same of a machine that is open and meets all demands on its metadata, as it is known of those that a walk
    /// answers.
    pub(super) fn is_able_if_suitable(&self, members: &[UnitIx], machine: MachineIx) -> bool {
        let is_able = |&unit: &UnitIx| {
            !self.has_conflict_on(unit, machine)
                && self.rejection_by_number(unit, members, machine).is_none()
                && self.missing_global(unit, machine).is_none()
                && self.replacer_on(unit, machine).is_none()
                && self.rejection_by_stopping(unit, machine).is_none()
                && self.kept_for(unit, machine).is_none()
        };
        self.machines[machine].units.len() + members.len() <= MAX_UNITS
            && self.rejection_by_room(members, machine).is_none()
            && members.iter().all(is_able)
    }

    /// A listed unit that conflicts.
    fn conflict_on(&self, unit: UnitIx, machine: MachineIx) -> Option<UnitIx> {
        if !self.has_conflict_on(unit, machine) {
            return None;
        }
        let (entry, this) = (&self.machines[machine], &self.units[unit]);
        let conflicts = |other: &UnitIx| *other != unit && self.units[*other].conflicts.touches(&this.conflicts);
        self.first_by_name(entry.units.iter().copied().filter(conflicts))
    }

    /// Whether a listed unit conflicts.
    fn has_conflict_on(&self, unit: UnitIx, machine: MachineIx) -> bool {
        let entry = &self.machines[machine];
        let this = &self.units[unit];
        let here = this.places.contains(&machine);
        let itself = |patterns: &Small<PatternIx>, p: &PatternIx| u32::from(here && patterns.contains(p));
        let matches = |p: &PatternIx| entry.conflict_matches.get(*p) > itself(&this.conflicts.matching, p);
        let holds = |p: &PatternIx| entry.conflict_holders.get(*p) > itself(&this.conflicts.own, p);
        this.conflicts.own.iter().any(matches) || this.conflicts.matching.iter().any(holds)
    }

    /// A listed unit whose `Replaces=` names this one, unless this one in turn (or by way of others) replaces that:
    /// units that replace each other in a circle would chase each other for ever, so the rule does not hold for them.
    fn replacer_on(&self, unit: UnitIx, machine: MachineIx) -> Option<UnitIx> {
        let entry = &self.machines[machine];
        let this = &self.units[unit];
        if this.is_global() || !this.rare.replaces.matching.iter().any(|p| entry.replacers.get(*p) > 0) {
            return None;
        }
        self.first_by_name(entry.units.iter().copied().filter(|other| self.drives_away(*other, unit)))
    }

    /// Whether the first, by its `Replaces=`, keeps the second from being on its machine.
    pub(super) fn drives_away(&self, by: UnitIx, unit: UnitIx) -> bool {
        by != unit
            && !self.units[unit].is_global()
            && self.units[by].rare.replaces.points_at(&self.units[unit].rare.replaces)
            && !self.replaces_transitively(unit, by)
    }

    /// Whether `from` replaces `to`, itself or by way of others.
    fn replaces_transitively(&self, from: UnitIx, to: UnitIx) -> bool {
        let mut seen = BTreeSet::from([from]);
        let mut stack = vec![from];
        while let Some(unit) = stack.pop() {
            for &pattern in &self.units[unit].rare.replaces.own {
                for &next in self.replaces.matches(pattern) {
                    if next == to {
                        return true;
                    }
                    if seen.insert(next) {
                        stack.push(next);
                    }
                }
            }
        }
        false
    }

    /// A unit that conflicts and that the machine has not acknowledged as stopped.
    fn rejection_by_stopping(&self, unit: UnitIx, machine: MachineIx) -> Option<Rejection> {
        let this = &self.units[unit];
        let conflicts = |other: &UnitIx| *other != unit && self.units[*other].conflicts.touches(&this.conflicts);
        let with = self.first_by_name(self.machines[machine].leaving.keys().copied().filter(conflicts))?;
        Some(Rejection::StillStopping { unit: self.units[with].name.clone() })
    }

    pub(super) fn first_by_name(&self, units: impl Iterator<Item = UnitIx>) -> Option<UnitIx> {
        units.min_by(|a, b| self.units[*a].name.cmp(&self.units[*b].name))
    }
}

/// What keeps a machine from being given anything.
pub(super) fn rejection_by_state(machine: &Machine) -> Option<Rejection> {
    let facts = &machine.facts;
    if facts.presence != Presence::Present {
        Some(facts.absence())
    } else if facts.draining {
        Some(Rejection::Draining)
    } else if facts.cordoned {
        Some(Rejection::Cordoned)
    } else if facts.catching_up {
        Some(Rejection::CatchingUp)
    } else if machine.units.len() >= MAX_UNITS {
        Some(Rejection::Full)
    } else {
        None
    }
}
