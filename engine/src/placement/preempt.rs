//! `Preempt=yes`: a unit that no machine can take otherwise displaces units of lower priority.
//!
//! As few as possible leave, the lowest first, on the machine where that is the least; and only if the unit can be there
//! then. They stop before it starts, as with any move, and meanwhile nobody of lower priority takes the place. Units that
//! `MachineOf=` ties together count as the lowest of them. Whoever is displaced may displace others in turn, but only
//! those below it, so that this comes to an end.

use std::collections::{BTreeMap, BTreeSet};

use fleet_units::UnitName;

use super::cluster::Cluster;
use super::decision::Departure;
use super::rejection::Rejection;
use super::room::Least;
use super::slots::{MachineIx, UnitIx};
use super::unit::Unit;

/// Kinds of units of which it is remembered that no room could be made for them.
const MAX_VAIN: usize = 8;

/// For what no room could be made.
#[derive(Debug, Clone, Default)]
pub(super) struct Vain {
    /// Of [`Cluster::frees`], when this was found out.
    frees: u64,
    /// Some of each kind.
    kinds: Vec<Vec<UnitIx>>,
}

/// Machines that are kept for units which displaced others there: for whom, and how they rank.
pub(super) type Claims = BTreeMap<MachineIx, BTreeMap<UnitIx, i32>>;

impl Cluster {
    /// Below which priority these may displace others; none where they may not.
    fn rank(&self, members: &[UnitIx]) -> Option<i32> {
        let displaces = |unit: &UnitIx| self.units[*unit].requirements().is_some_and(|wanted| wanted.preempt);
        let lowest = || members.iter().map(|&unit| self.units[unit].priority()).min();
        if members.iter().any(displaces) { lowest() } else { None }
    }

    /// Whether a unit may hope for a machine that has no room for it.
    pub(super) fn may_displace(&self, unit: UnitIx) -> bool {
        self.units[unit].requirements().is_some_and(|wanted| wanted.preempt)
    }

    /// Makes room for units that no machine can take, where that is possible. Answers the machine.
    pub(super) fn make_room(&mut self, members: &[UnitIx]) -> Option<MachineIx> {
        let rank = self.rank(members)?;
        let lowest = *self.priorities.keys().next().filter(|lowest| **lowest < rank)?;
        if self.is_in_vain(members) {
            return None;
        }
        let asked = self.asked(members);
        let machines: Vec<MachineIx> = self.machines.iter().map(|(machine, _)| machine).collect();
        let awaited = self.awaited_by(members);
        let mut best: Option<(Least, MachineIx, Vec<UnitIx>)> = None;
        for machine in machines {
            let Some(least) = self.least_to_leave(asked, machine, rank) else { continue };
            // Machines come in the order of their ids: the first of those that are alike stays.
            if best.as_ref().is_some_and(|(best, ..)| *best <= least) {
                continue;
            }
            let Some(leaving) = self.in_the_way(members, machine, rank, &awaited) else { continue };
            let highest = leaving.iter().map(|&unit| self.units[unit].priority()).max().unwrap_or(rank);
            let needs = Least { units: leaving.len(), priority: highest };
            if best.as_ref().is_none_or(|(best, ..)| needs < *best) {
                best = Some((needs, machine, leaving));
                if needs <= (Least { units: 1, priority: lowest }) {
                    break;
                }
            }
        }
        let Some((_, machine, leaving)) = best else {
            // What it is to be started after may not be displaced, which is another's for another unit.
            if awaited.is_empty() && self.are_fresh(members) {
                self.was_in_vain(members);
            }
            return None;
        };
        self.displace(members, machine, &leaving);
        Some(machine)
    }

    /// Whether no room could be made for units of this kind, and nothing has left a machine since.
    fn is_in_vain(&mut self, members: &[UnitIx]) -> bool {
        if self.vain.frees != self.frees {
            self.vain = Vain { frees: self.frees, kinds: Vec::new() };
        }
        self.are_fresh(members) && self.vain.kinds.iter().any(|kind| self.are_of_one_kind(kind, members))
    }

    fn was_in_vain(&mut self, members: &[UnitIx]) {
        if self.vain.kinds.len() == MAX_VAIN {
            self.vain.kinds.remove(0);
        }
        self.vain.kinds.push(members.to_vec());
    }

    /// The same on one machine, where their peers are.
    pub(super) fn make_room_at(&mut self, members: &[UnitIx], machine: MachineIx) -> bool {
        let Some(rank) = self.rank(members) else { return false };
        let awaited = self.awaited_by(members);
        let Some(leaving) = self.in_the_way(members, machine, rank, &awaited) else { return false };
        self.displace(members, machine, &leaving);
        true
    }

    fn displace(&mut self, members: &[UnitIx], machine: MachineIx, leaving: &[UnitIx]) {
        let by = self.units[members[0]].name.clone();
        for &unit in leaving {
            self.take_off(unit, machine, Departure::Displaced { by: by.clone() });
            self.units[unit].rare.displaced_by = Some(by.clone());
            self.touch(unit);
        }
    }

    /// The units that would have to leave a machine for these, the fewest and lowest that will do; none where that does
    /// not help, or would touch one that does not rank below, or for which their start waits: without that they would never
    /// be started.
    fn in_the_way(
        &mut self,
        members: &[UnitIx],
        machine: MachineIx,
        rank: i32,
        awaited: &BTreeSet<UnitIx>,
    ) -> Option<Vec<UnitIx>> {
        let (why, _) = self.rejection_of(members, machine).filter(|_| self.machines[machine].facts.is_open())?;
        if !why.is_of_room() {
            return None;
        }
        let mut lower: Vec<UnitIx> = self.machines[machine].units.iter().copied().collect();
        lower.retain(|unit| !members.contains(unit) && self.may_be_displaced(*unit, machine, rank, awaited));
        let mut leaving: BTreeSet<UnitIx> = self.fewest_to_leave(members, machine, lower).into_iter().collect();
        // With a unit leave those that must be with it.
        let with: Vec<UnitIx> = leaving.iter().flat_map(|&unit| self.followers_at(unit, machine)).collect();
        leaving.extend(with);
        (!leaving.is_empty()).then(|| self.in_order(leaving))
    }

    /// Whether a unit ranks below and is not awaited, and all that must be with it.
    fn may_be_displaced(&self, unit: UnitIx, machine: MachineIx, rank: i32, awaited: &BTreeSet<UnitIx>) -> bool {
        let is_below = |unit: &UnitIx| {
            let entry = &self.units[*unit];
            entry.is_wanted() && !entry.is_unreadable() && entry.priority() < rank && !awaited.contains(unit)
        };
        is_below(&unit) && self.followers_at(unit, machine).iter().all(is_below)
    }

    /// Those on a machine that must be with a unit of it, by way of others too.
    pub(super) fn followers_at(&self, unit: UnitIx, machine: MachineIx) -> BTreeSet<UnitIx> {
        let mut seen = BTreeSet::new();
        let mut stack = vec![unit];
        while let Some(at) = stack.pop() {
            for follower in self.machine_of.namers(&self.units[at].name) {
                let is_here = self.machines[machine].units.contains(&follower);
                if is_here && follower != unit && self.peers(follower).any(|peer| peer == at) && seen.insert(follower) {
                    stack.push(follower);
                }
            }
        }
        seen
    }

    // --- machines that are kept ---

    /// For whom a machine is kept that this unit would take the place from.
    pub(super) fn kept_for(&self, unit: UnitIx, machine: MachineIx) -> Option<UnitName> {
        let claims = self.claims.get(&machine)?;
        let priority = self.units[unit].priority();
        let higher = claims.iter().filter(|(_, rank)| **rank > priority).map(|(claimant, _)| *claimant);
        higher.map(|claimant| &self.units[claimant].name).min().cloned()
    }

    /// Units that may displace others, and wait for something to stop on a machine, are kept the place.
    pub(super) fn claim(&mut self, members: &[UnitIx]) {
        let Some(rank) = self.rank(members) else { return };
        for &unit in members {
            if let Some(machine) = self.units[unit].outcome.waits_for_stop_on()
                && let Some(machine) = self.machines.find(machine.as_str())
                && self.claims.entry(machine).or_default().insert(unit, rank) != Some(rank)
            {
                self.units[unit].rare.claims.insert(machine);
                self.refresh_pending();
            }
        }
    }

    /// Finds out which machines are kept for whom, where nothing is decided yet: who waits for something to stop.
    pub(super) fn recall_claims(&mut self) {
        let nowhere = |unit: &Unit| unit.is_placeable() && unit.places.is_empty();
        let claimants = self.units.iter().filter(|(unit, entry)| nowhere(entry) && self.may_displace(*unit));
        let claimants: Vec<UnitIx> = claimants.map(|(unit, _)| unit).collect();
        for unit in self.in_order(claimants) {
            let members = self.together(unit);
            if self.find_machine(&members).is_none() {
                let outcome = self.nowhere(&members);
                members.iter().for_each(|&member| self.conclude(member, outcome.clone()));
                self.claim(&members);
            }
        }
    }

    /// A unit waits for something else, or no more.
    pub(super) fn drop_claims(&mut self, unit: UnitIx, but: Option<MachineIx>) {
        let Some(known) = self.units[unit].rare.known() else { return };
        let claims = std::mem::take(&mut known.claims);
        for &machine in &claims {
            if Some(machine) == but {
                self.units[unit].rare.claims.insert(machine);
                continue;
            }
            if let Some(claimants) = self.claims.get_mut(&machine) {
                claimants.remove(&unit);
                if claimants.is_empty() {
                    self.claims.remove(&machine);
                }
            }
            self.frees += 1;
            self.refresh_pending();
            self.dirty_globals.extend(self.globals.iter().map(|&global| (global, machine)));
        }
    }
}

impl Rejection {
    /// Whether it is for want of room, which units of lower priority can give.
    fn is_of_room(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Full | Self::Resources { .. } | Self::MaxPerMachine { .. })
    }
}
