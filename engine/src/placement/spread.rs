//! Units that are counted together: by machine for `MaxPerMachine=`, by value of a key for `SpreadBy=`.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet_registry::planted::{self, Fault};

use super::cluster::Cluster;
use super::facts::Presence;
use super::rejection::Rejection;
use super::slots::{GroupIx, KeyIx, MachineIx, UnitIx, ValueIx};
use super::values::MachineValues;

/// Units of one `SpreadGroup=`, or of one template.
#[derive(Debug, Clone)]
pub(super) struct Group {
    name: Arc<str>,
    /// How many units are counted in it, placed or not.
    members: usize,
    /// How many of them say which `MaxPerMachine=`.
    limited: usize,
    /// The keys that some of them spread over.
    keys: BTreeMap<KeyIx, Key>,
}

/// A key that units spread over.
#[derive(Debug, Clone, Default)]
struct Key {
    /// By how many.
    units: usize,
    /// How many units of the group are on machines of each value. Lost machines do not count.
    counts: Counts,
}

/// How many units are on machines of each value.
pub(super) type Counts = BTreeMap<ValueIx, u32>;

impl Group {
    fn new(name: &str) -> Self {
        Self { name: name.into(), members: 0, limited: 0, keys: BTreeMap::new() }
    }

    /// How many units are on machines of each value.
    pub(super) fn counts(&self, key: KeyIx) -> Option<&Counts> {
        self.keys.get(&key).map(|key| &key.counts)
    }
}

/// What a machine has of one group.
#[derive(Debug, Clone, Default)]
pub(super) struct Here {
    /// How many units.
    pub(super) listed: u32,
    /// How many of them say which `MaxPerMachine=`.
    limits: BTreeMap<u32, u32>,
}

/// Adds to a count, or takes off it, and forgets one that is zero.
fn change<K: Ord>(counts: &mut BTreeMap<K, u32>, at: K, by: u32, up: bool) {
    match counts.get_mut(&at) {
        Some(count) if up => *count += by,
        Some(count) if *count > by => *count -= by,
        Some(_) => drop(counts.remove(&at)),
        None if up && by > 0 => drop(counts.insert(at, by)),
        None => {}
    }
}

impl Cluster {
    /// Counts a unit in its group from now on, wherever it is put.
    pub(super) fn join_group(&mut self, unit: UnitIx) {
        let entry = &self.units[unit];
        let Some(wanted) = entry.requirements().cloned() else { return };
        let Some(name) = wanted.group(&entry.name) else { return };
        let group = self.groups.find_or_insert(&name, || Group::new(&name));
        self.units[unit].group = Some(group);
        self.units[unit].limit = wanted.max_per_machine;
        let is_new = self.groups[group].members == 0;
        self.groups[group].members += 1;
        self.groups[group].limited += usize::from(wanted.max_per_machine.is_some());
        let Some(key) = &wanted.spread_by else { return };
        let key = self.values.number(key);
        if let Some(key) = self.groups[group].keys.get_mut(&key) {
            key.units += 1;
            return;
        }
        let mut counted = Key { units: 1, ..Key::default() };
        // Of a group that was not there nothing is listed.
        let machines = (!is_new).then(|| self.machines.iter()).into_iter().flatten();
        let machines = machines.filter(|(_, machine)| machine.facts.presence != Presence::Gone);
        for (_, machine) in machines {
            if let Some((here, value)) = machine.of_group(group).zip(machine.value(key)) {
                change(&mut counted.counts, value, here.listed, true);
            }
        }
        self.groups[group].keys.insert(key, counted);
    }

    /// No longer counts a unit, which is counted nowhere by now.
    pub(super) fn leave_group(&mut self, unit: UnitIx) {
        let Some(group) = self.units[unit].group.take() else { return };
        self.units[unit].limit = None;
        let Some(wanted) = self.units[unit].requirements().cloned() else { return };
        let entry = &mut self.groups[group];
        entry.members -= 1;
        entry.limited -= usize::from(wanted.max_per_machine.is_some());
        if let Some(key) = &wanted.spread_by {
            let key = self.values.number(key);
            if let Some(counted) = entry.keys.get_mut(&key) {
                counted.units -= 1;
                if counted.units == 0 {
                    entry.keys.remove(&key);
                }
            }
        }
        if entry.members == 0 {
            let name = entry.name.clone();
            self.groups.remove(&name);
        }
    }

    /// Counts a unit of a group in or out on a machine.
    pub(super) fn count_in_group(&mut self, unit: UnitIx, machine: MachineIx, up: bool) {
        let entry = &self.units[unit];
        let Some(group) = entry.group else { return };
        let limit = entry.limit;
        let machine = &mut self.machines[machine];
        let at = machine.groups.binary_search_by_key(&group, |(known, _)| *known).unwrap_or_else(|at| {
            machine.groups.insert(at, (group, Here::default()));
            at
        });
        let here = &mut machine.groups[at].1;
        here.listed = if up { here.listed + 1 } else { here.listed - 1 };
        if let Some(limit) = limit {
            change(&mut here.limits, limit, 1, up);
        }
        if here.listed == 0 {
            machine.groups.remove(at);
        }
    }

    /// Counts a unit of a group in or out by the values of its machine.
    pub(super) fn count_value_of(&mut self, unit: UnitIx, machine: MachineIx, up: bool) {
        let Some(group) = self.units[unit].group else { return };
        let machine = &self.machines[machine];
        if machine.facts.presence != Presence::Gone {
            count_values(&mut self.groups[group], &machine.values, 1, up);
        }
    }

    /// Counts all units of a machine in or out by the values of its metadata.
    pub(super) fn count_values_of(&mut self, machine: MachineIx, up: bool) {
        let entry = &self.machines[machine];
        if entry.facts.presence != Presence::Gone {
            for (group, here) in &entry.groups {
                count_values(&mut self.groups[*group], &entry.values, here.listed, up);
            }
        }
    }

    /// Why a machine cannot have this one of these units beside the others of its group.
    pub(super) fn rejection_by_number(
        &self,
        unit: UnitIx,
        members: &[UnitIx],
        machine: MachineIx,
    ) -> Option<Rejection> {
        let group = self.units[unit].group?;
        if self.groups[group].limited == 0 {
            return None;
        }
        let entry = &self.machines[machine];
        let here = entry.of_group(group);
        let of_group = |other: &&UnitIx| self.units[**other].group == Some(group);
        let coming = members.iter().filter(of_group);
        let leaving = entry.leaving.keys().filter(of_group).filter(|other| !members.contains(other));
        let limits = coming.clone().chain(leaving.clone()).filter_map(|&other| self.units[other].limit);
        let limit = limits.chain(here.and_then(Here::limit)).min()?;
        // Who is there already is not counted twice.
        let coming = coming.filter(|unit| !self.units[**unit].places.contains(&machine));
        // As many as there are units at the very most.
        let count = here.map_or(0, |here| here.listed) + coming.count() as u32;
        if count > limit {
            return Some(self.too_many(group, count, limit));
        }
        if count + leaving.clone().count() as u32 > limit && !planted::is(Fault::NumberNotReserved) {
            let unit = self.first_by_name(leaving.copied())?;
            return Some(Rejection::StillUsed { unit: self.units[unit].name.clone() });
        }
        None
    }

    /// Why a machine that lists a unit has too many of its group.
    pub(super) fn rejection_by_number_kept(&self, unit: UnitIx, machine: MachineIx) -> Option<Rejection> {
        let group = self.units[unit].group?;
        let here = self.machines[machine].of_group(group)?;
        let limit = here.limit().filter(|&limit| here.listed > limit)?;
        Some(self.too_many(group, here.listed, limit))
    }

    fn too_many(&self, group: GroupIx, count: u32, limit: u32) -> Rejection {
        Rejection::MaxPerMachine { group: self.groups[group].name.clone(), count, limit }
    }

    /// Whether two units are counted together and one of them limits how many may be on one machine.
    pub(super) fn limit_each_other(&self, unit: UnitIx, other: UnitIx) -> bool {
        let (unit, other) = (&self.units[unit], &self.units[other]);
        unit.group.is_some() && unit.group == other.group && (unit.limit.is_some() || other.limit.is_some())
    }
}

impl Here {
    fn limit(&self) -> Option<u32> {
        self.limits.keys().next().copied()
    }
}

fn count_values(group: &mut Group, values: &MachineValues, by: u32, up: bool) {
    for (key, counted) in &mut group.keys {
        if let Some((_, value)) = values.iter().find(|(of, _)| of == key) {
            change(&mut counted.counts, *value, by, up);
        }
    }
}
