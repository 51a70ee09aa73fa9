//! Units that replace each other, directly or in a circle: none of them drives another away, for they would chase each
//! other for ever. That is said of each of them.

use std::collections::BTreeSet;
use std::fmt;

use fleet_units::UnitName;

use super::cluster::Cluster;
use super::graph::{Cycle, circle};
use super::pass::Before;
use super::slots::UnitIx;

/// Units of which each replaces the next, and the last the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplacesCircle(pub Cycle);

impl fmt::Display for ReplacesCircle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replaces has no effect among units that replace each other: {}", self.0)
    }
}

impl Cluster {
    /// Who displaced a unit that has no machine since, as it was told to a cluster that did not see it happen.
    pub fn set_displaced(&mut self, name: &UnitName, by: Option<UnitName>) {
        let Some(unit) = self.units.find(name.as_str()) else { return };
        let entry = &mut self.units[unit];
        if entry.rare.displaced_by != by {
            entry.rare.displaced_by = by;
        }
    }

    /// Finds out about the circles that those make, or made, who were decided about. Answers of whom that is another now.
    pub(super) fn settle_circles(&mut self, before: &mut Before) -> BTreeSet<UnitIx> {
        let mut todo: Vec<UnitIx> = before.outcomes.iter().map(|(unit, _)| *unit).collect();
        let mut changed = BTreeSet::new();
        while let Some(unit) = todo.pop() {
            let fresh = self.replaces_circle(unit);
            let entry = &self.units[unit];
            if entry.rare.circle == fresh {
                continue;
            }
            before.note(unit, &entry.outcome);
            changed.insert(unit);
            let named = entry.rare.circle.iter().chain(&fresh).flat_map(|circle| circle.0.units());
            todo.extend(named.filter_map(|name| self.units.find(name.as_str())));
            self.units[unit].rare.circle = fresh;
        }
        changed
    }

    /// The shortest circle of `Replaces=` that leads from a unit back to it.
    pub(super) fn replaces_circle(&self, unit: UnitIx) -> Option<ReplacesCircle> {
        let may_be_in_one = |unit: &UnitIx| {
            let replaces = &self.units[*unit].rare.replaces;
            !replaces.own.is_empty() && !replaces.matching.is_empty()
        };
        let replaced = |name: &UnitName| -> BTreeSet<UnitName> {
            let Some(unit) = self.units.find(name.as_str()) else { return BTreeSet::new() };
            let own = self.units[unit].rare.replaces.own.iter();
            let others = own.flat_map(|&pattern| self.replaces.matches(pattern)).filter(|other| **other != unit);
            others.filter(|other| may_be_in_one(other)).map(|&other| self.units[other].name.clone()).collect()
        };
        may_be_in_one(&unit).then(|| circle(&self.units[unit].name, replaced)).flatten().map(ReplacesCircle)
    }
}
