//! Units that are moved because systemd gave up on them where they are (`OnFailure=move`).
//!
//! When to move one is for [`crate::leader`] to say, which knows time. Here is where to: to a machine where it has not
//! failed while there is one, else to the one where it failed longest ago; and it leaves only if there is another that
//! can take it, with all that must be with it.

use fleet_units::{MachineId, UnitName};

use super::choice::Choice;
use super::cluster::Cluster;
use super::slots::{MachineIx, UnitIx};

/// Where a unit failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    /// The machines, the latest last.
    pub machines: Vec<MachineId>,
    /// Whether it is to leave the last of them, if another can take it.
    pub leaves: bool,
}

impl Failures {
    /// Nowhere.
    pub(super) const NONE: Self = Self { machines: Vec::new(), leaves: false };
}

impl Cluster {
    /// Tells where a unit failed, and whether it is to leave.
    pub fn set_failures(&mut self, name: &UnitName, failures: Failures) {
        let Some(unit) = self.units.find(name.as_str()) else { return };
        if self.units[unit].rare.failures == failures {
            return;
        }
        self.touch(unit);
        self.units[unit].rare.failures = failures;
        self.note_leaving(unit);
    }

    /// Whether a unit is to leave this machine for having failed there.
    pub(super) fn leaves_for_failing(&self, unit: UnitIx, machine: MachineIx) -> bool {
        let failures = &self.units[unit].rare.failures;
        let last = || failures.machines.last() == Some(&self.machines[machine].facts.id);
        failures.leaves && last() && self.has_alternative(unit, machine)
    }

    /// Whether another machine can take a unit and all that must be with it. Where one of these does not follow it and
    /// stays, the others would have to come back there at once. A global unit is on the others already.
    pub(super) fn has_alternative(&self, unit: UnitIx, machine: MachineIx) -> bool {
        if self.units[unit].is_global() {
            return false;
        }
        let group = self.group_of(unit);
        let comes_along = |member: &UnitIx| *member == unit || self.follows(*member, unit, &group);
        group.iter().all(comes_along)
            && self.machines.iter().any(|(other, _)| other != machine && self.rejection_of(&group, other).is_none())
    }

    /// How lately one of these failed on a machine, or was asked to leave it: 0 where none did or was.
    pub(super) fn failed_lately(&self, members: &[UnitIx], machine: MachineIx) -> usize {
        let id = &self.machines[machine].facts.id;
        let rank = |unit: &UnitIx| self.units[*unit].rare.failures.machines.iter().position(|at| at == id);
        let failed = members.iter().filter_map(rank).map(|at| at + 1).max().unwrap_or(0);
        let asked = members.iter().any(|&unit| self.units[unit].rare.avoids.as_ref() == Some(id));
        failed.max(usize::from(asked))
    }

    /// The best machine for units of which some have failed, or are to keep away from one; none where none is.
    pub(super) fn find_after_failures(&mut self, members: &[UnitIx]) -> Option<Option<(MachineIx, Choice)>> {
        let failed = members.iter().copied().find(|unit| !self.units[*unit].rare.failures.machines.is_empty());
        let avoided = members.iter().find_map(|unit| self.units[*unit].rare.avoids.clone());
        if failed.is_none() && avoided.is_none() {
            return None;
        }
        let mut walk = self.begin_walk(members);
        let able =
            std::iter::from_fn(|| walk.next(self)).filter(|&machine| self.rejection_of(members, machine).is_none());
        // Of those that are alike the first is taken, which is the least loaded.
        let best = able.min_by_key(|&machine| self.failed_lately(members, machine));
        self.end_walk(walk, members);
        Some(best.map(|machine| {
            let why = match (self.failed_lately(members, machine), failed, avoided) {
                (0, Some(failed), _) => {
                    Choice::NotFailed { elsewhere: self.units[failed].rare.failures.machines.clone() }
                }
                (0, None, Some(from)) => Choice::AskedAway { from },
                (_, Some(_), _) => Choice::FailedLongestAgo,
                (_, None, _) => Choice::Only,
            };
            (machine, why)
        }))
    }
}
