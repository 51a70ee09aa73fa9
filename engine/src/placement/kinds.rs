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
        if !self.are_alike(&last.members, members) || !members.iter().chain(&last.members).all(is_fresh) {
            return None;
        }
        let mut outcome = last.outcome.clone();
        if let Outcome::Unplaceable { rejections } = &mut outcome {
            for member in rejections.tallies.iter_mut().filter_map(|tally| tally.member.as_mut()) {
                let at = last.members.iter().position(|&unit| self.units[unit].name == *member)?;
                *member = self.units[members[at]].name.clone();
            }
        }
        Some(outcome)
    }

    /// Whether units are of one kind, one by one.
    pub(super) fn are_alike(&self, these: &[UnitIx], those: &[UnitIx]) -> bool {
        let alike = |(&this, &that)| self.is_like(this, that);
        these.len() == those.len()
            && these.iter().zip(those).all(alike)
            && [these, those].into_iter().all(|members| self.follow_each_other_alone(members))
    }

    /// Whether two units ask for the same of a machine, nothing but their names tells them apart for any pattern, and
    /// neither has a machine that may be given units, is still leaving one, or has one kept for it.
    fn is_like(&self, this: UnitIx, that: UnitIx) -> bool {
        let (this, that) = (&self.units[this], &self.units[that]);
        let is_closed = |at: &MachineIx| !self.machines[*at].facts.is_open();
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
            && [this, that]
                .into_iter()
                .all(|unit| unit.leaving.is_empty() && unit.rare.claims.is_empty() && unit.places.iter().all(is_closed))
    }

    /// Whether nobody else is named by `MachineOf=` of these.
    fn follow_each_other_alone(&self, members: &[UnitIx]) -> bool {
        members.iter().all(|&unit| self.peers(unit).all(|peer| members.contains(&peer)))
    }
}
