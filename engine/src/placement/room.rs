//! What the units of lower priority on a machine could make room for, without moving any of them.

use std::collections::BTreeMap;

use super::cluster::Cluster;
use super::resources::{Amount, Resource};
use super::slots::{MachineIx, UnitIx};

/// What a machine's units use up to one priority, those of lower ones included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Below {
    priority: i32,
    /// All together.
    used: Amount,
    /// The most that one of them uses of each resource.
    largest: Amount,
}

/// How little would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Least {
    /// At least so many units would have to leave.
    pub(super) units: usize,
    /// None ranks below this.
    pub(super) priority: i32,
}

impl Cluster {
    /// How few units would have to leave a machine at the least for this to fit; none where it cannot, whoever leaves
    /// that ranks below. It is a bound: what is worth trying is told from what is not, without a look at any unit.
    pub(super) fn least_to_leave(&mut self, asked: Amount, machine: MachineIx, rank: i32) -> Option<Least> {
        if self.machines[machine].below.is_none() {
            self.machines[machine].below = Some(self.below(machine));
        }
        let entry = &self.machines[machine];
        let below = entry.below.as_ref()?;
        let lower = &below[..below.partition_point(|up_to| up_to.priority < rank)];
        let (first, all) = (lower.first()?, lower.last()?);
        let mut units = 1;
        for resource in Resource::ALL.into_iter().filter(|&resource| asked.get(resource) > 0) {
            let free = resource.of(&entry.facts.capacity)?.saturating_sub(entry.used.get(resource));
            let missing = asked.get(resource).saturating_sub(free);
            if missing > all.used.get(resource) {
                return None;
            }
            if missing > 0 {
                units = units.max(missing.div_ceil(all.largest.get(resource)));
            }
        }
        Some(Least { units: usize::try_from(units).unwrap_or(usize::MAX), priority: first.priority })
    }

    fn below(&self, machine: MachineIx) -> Box<[Below]> {
        let mut by_priority: BTreeMap<i32, Below> = BTreeMap::new();
        for &unit in &self.machines[machine].units {
            let (priority, asks) = (self.units[unit].priority(), self.units[unit].asks);
            let nothing = Below { priority, used: Amount::default(), largest: Amount::default() };
            let of_it = by_priority.entry(priority).or_insert(nothing);
            (of_it.used, of_it.largest) = (of_it.used.plus(asks), of_it.largest.most(asks));
        }
        let mut all = Below { priority: 0, used: Amount::default(), largest: Amount::default() };
        let up_to = by_priority.into_values().map(|of_it| {
            let (used, largest) = (all.used.plus(of_it.used), all.largest.most(of_it.largest));
            all = Below { used, largest, ..of_it };
            all
        });
        up_to.collect()
    }

    /// The units that would have to leave a machine for these, of some that may; none where that does not help. One that
    /// is enough goes rather than several, else those that rank highest stay; of those that are alike the younger go.
    pub(super) fn fewest_to_leave(
        &mut self,
        members: &[UnitIx],
        machine: MachineIx,
        mut may_leave: Vec<UnitIx>,
    ) -> Vec<UnitIx> {
        may_leave.sort_by_cached_key(|&unit| self.units[unit].seniority());
        may_leave.iter().for_each(|&unit| self.set_aside(unit, machine));
        let helps = self.rejection_of(members, machine).is_none();
        may_leave.iter().for_each(|&unit| self.bring_back(unit, machine));
        if !helps {
            return Vec::new();
        }
        for &unit in may_leave.iter().rev() {
            self.set_aside(unit, machine);
            let is_enough = self.rejection_of(members, machine).is_none();
            self.bring_back(unit, machine);
            if is_enough && self.followers_at(unit, machine).is_empty() {
                return vec![unit];
            }
        }
        may_leave.iter().for_each(|&unit| self.set_aside(unit, machine));
        let mut leaving = Vec::new();
        for &unit in &may_leave {
            self.bring_back(unit, machine);
            if self.rejection_of(members, machine).is_some() {
                self.set_aside(unit, machine);
                leaving.push(unit);
            }
        }
        leaving.iter().for_each(|&unit| self.bring_back(unit, machine));
        leaving
    }

    /// Has a machine count as though a unit that it lists were not there, until it is brought back. Nothing is to be
    /// decided because of it.
    fn set_aside(&mut self, unit: UnitIx, machine: MachineIx) {
        self.machines[machine].units.remove(&unit);
        self.count_here(unit, machine, false);
    }

    fn bring_back(&mut self, unit: UnitIx, machine: MachineIx) {
        self.machines[machine].units.insert(unit);
        self.count_here(unit, machine, true);
    }
}
