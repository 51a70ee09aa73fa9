//! Units of one kind: whatever keeps a machine from taking one of them keeps it from taking another.
//!
//! The instances of a template are decided one after the other. What was found out about one (which machines cannot take
//! it, and why) needs no second look for the next, as long as nothing that counts moved.

use std::sync::Arc;

use fleet_units::Requirements;

use super::cluster::Cluster;
use super::decision::Outcome;
use super::slots::{MachineIx, UnitIx};

/// What was said of units that found no machine.
pub(super) struct Homeless {
    pub(super) members: Vec<UnitIx>,
    pub(super) outcome: Outcome,
}

impl Cluster {
    /// What was said of units that found no machine, where it holds for these too. Nothing has moved since.
    pub(super) fn said_of(&self, last: &Homeless, members: &[UnitIx]) -> Option<Outcome> {
        let is_fresh = |unit: &UnitIx| {
            let unit = &self.units[*unit];
            unit.places.is_empty()
                && unit.rare.found.is_empty()
                && unit.rare.failures.machines.is_empty()
                && unit.rare.avoids.is_none()
        };
        let are_alike = self.are_of_one_kind(&last.members, members);
        if !are_alike
            || !self.are_fresh(&last.members)
            || !self.are_fresh(members)
            || !members.iter().chain(&last.members).all(is_fresh)
        {
            return None;
        }
        let mut outcome = last.outcome.clone();
        if let Outcome::Unplaceable { rejections } = &mut outcome {
            rejections.displaced_by = self.displaced_by(members);
            rejections.together = self.told_together(members);
            for member in rejections.tallies.iter_mut().filter_map(|tally| tally.member.as_mut()) {
                let at = last.members.iter().position(|&unit| self.units[unit].name == *member)?;
                *member = self.units[members[at]].name.clone();
            }
        }
        Some(outcome)
    }

    /// Whether units are of one kind, one by one: as long as they are fresh, no machine can take these that cannot take
    /// those.
    pub(super) fn are_of_one_kind(&self, these: &[UnitIx], those: &[UnitIx]) -> bool {
        let alike = |(&this, &that)| self.is_like(this, that);
        these.len() == those.len() && these.iter().zip(those).all(alike)
    }

    /// Whether nothing counts for these but what they ask for: none of them has a machine that may be given units, is
    /// still leaving one, has one kept for it, or must be beside a unit that is not of these.
    pub(super) fn are_fresh(&self, members: &[UnitIx]) -> bool {
        let is_closed = |at: &MachineIx| !self.machines[*at].facts.is_open();
        members.iter().all(|&unit| {
            let entry = &self.units[unit];
            entry.leaving.is_empty()
                && entry.rare.claims.is_empty()
                && entry.places.iter().all(is_closed)
                && self.peers(unit).all(|peer| members.contains(&peer))
        })
    }

    /// Whether two units ask for the same of a machine, and nothing but their names tells them apart for any pattern.
    fn is_like(&self, this: UnitIx, that: UnitIx) -> bool {
        let (this, that) = (&self.units[this], &self.units[that]);
        let same_demands = match (this.requirements(), that.requirements()) {
            (Some(this), Some(that)) => {
                let rest = |wanted: &Requirements| (wanted.machine_id.clone(), wanted.priority, wanted.preempt);
                Arc::ptr_eq(this, that) || rest(this) == rest(that)
            }
            _ => false,
        };
        same_demands
            && this.profile == that.profile
            && this.asks == that.asks
            && (this.group, this.limit) == (that.group, that.limit)
            && (&this.conflicts, &this.rare.replaces) == (&that.conflicts, &that.rare.replaces)
    }
}
