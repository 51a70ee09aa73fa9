//! A cluster as plain rules, and what a placement is worth.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use fleet_units::{MachineId, MachineTraits, UnitName};

use super::Assignment;
use crate::synthetic::Synthetic;

#[derive(Clone, Debug)]
struct Machine {
    id: MachineId,
    metadata: BTreeMap<String, String>,
    memory: u64,
    cpu: u64,
}

#[derive(Clone, Debug)]
struct Unit {
    name: UnitName,
    memory: u64,
    cpu: u64,
    /// Machines that suit it, and those that must be with it, by their metadata.
    suits: Vec<usize>,
    /// Units that share this number may not share a machine.
    apart: Option<usize>,
    /// Units that share this number are spread by this key.
    spread: Option<(usize, String)>,
}

/// Machines, and units that must be together.
#[derive(Clone, Debug)]
pub struct Problem {
    machines: Vec<Machine>,
    units: Vec<Unit>,
    /// Units that must be on one machine, in the order in which they were submitted.
    pub(super) groups: Vec<Vec<usize>>,
}

/// What is left of the machines while units are put on them.
#[derive(Clone, Debug)]
pub(super) struct Room {
    free: Vec<(u64, u64)>,
    apart: BTreeSet<(usize, usize)>,
}

/// What a placement is worth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// How many units have a machine.
    pub placed: usize,
    /// How much memory those ask for.
    pub memory: u64,
    /// For each group that is spread, the most units of it on machines of one value, less the fewest on those of another.
    pub uneven: Vec<u32>,
    /// The share of its memory that is used of the fullest machine, and of the emptiest.
    pub fullest: (f64, f64),
}

impl Judgement {
    /// More is better: units first, then memory, then evenness.
    #[must_use]
    pub fn value(&self) -> (usize, u64, Reverse<u32>) {
        (self.placed, self.memory, Reverse(self.uneven.iter().sum()))
    }
}

impl Problem {
    /// The problem that a cluster is.
    #[must_use]
    pub fn of(cluster: &Synthetic) -> Self {
        let machines: Vec<Machine> = cluster
            .machines
            .iter()
            .map(|facts| Machine {
                id: facts.id.clone(),
                metadata: facts.metadata.clone(),
                memory: facts.capacity.memory.unwrap_or(0),
                cpu: facts.capacity.cpu_millis.unwrap_or(0),
            })
            .collect();
        let mut prefixes = BTreeMap::new();
        let mut numbers = BTreeMap::new();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut group_of = BTreeMap::new();
        let mut units = Vec::new();
        for (n, unit) in cluster.units.iter().enumerate() {
            let wanted = unit.spec.requirements.as_ref().unwrap_or_else(|why| panic!("{}: {why}", unit.name));
            let next = prefixes.len();
            let template = *prefixes.entry(unit.name.prefix().to_owned()).or_insert(next);
            let suit = |machine: &Machine| wanted.metadata.matches(&MachineTraits::of(&machine.metadata));
            units.push(Unit {
                name: unit.name.clone(),
                memory: wanted.memory.unwrap_or(0),
                cpu: wanted.cpu_millis.unwrap_or(0),
                suits: (0..machines.len()).filter(|&at| suit(&machines[at])).collect(),
                apart: wanted.conflicts.iter().any(|glob| glob.matches(unit.name.as_str())).then_some(template),
                spread: wanted.spread_by.clone().map(|key| (template, key)),
            });
            numbers.insert(unit.name.clone(), n);
            let group = match unit.beside.as_ref().and_then(|peer| numbers.get(peer)) {
                Some(peer) => group_of[peer],
                None => {
                    groups.push(Vec::new());
                    groups.len() - 1
                }
            };
            groups[group].push(n);
            group_of.insert(n, group);
        }
        // What one of them cannot be on, none of them can.
        for group in &groups {
            let all = |at: &usize| group.iter().all(|&unit| units[unit].suits.binary_search(at).is_ok());
            let suits: Vec<usize> = units[group[0]].suits.iter().copied().filter(all).collect();
            group.iter().for_each(|&unit| units[unit].suits.clone_from(&suits));
        }
        Self { machines, units, groups }
    }

    /// How many machines there are.
    #[must_use]
    pub fn machines(&self) -> usize {
        self.machines.len()
    }

    /// How many units.
    #[must_use]
    pub fn units(&self) -> usize {
        self.units.len()
    }

    /// The assignment that somebody made, who tells where a unit is.
    pub fn found(&self, places: impl Fn(&UnitName) -> Vec<MachineId>) -> Assignment {
        let numbers: BTreeMap<&MachineId, usize> = self.machines.iter().map(|m| &m.id).zip(0..).collect();
        self.units.iter().map(|unit| places(&unit.name).first().map(|id| numbers[id])).collect()
    }

    /// The machines on which nothing is.
    pub(super) fn empty(&self) -> Room {
        Room { free: self.machines.iter().map(|m| (m.memory, m.cpu)).collect(), apart: BTreeSet::new() }
    }

    /// Puts a group on a machine. False, and nothing changed, where a rule forbids it.
    pub(super) fn put(&self, room: &mut Room, group: &[usize], machine: usize) -> bool {
        let (memory, cpu) = self.asked(group);
        let (free_memory, free_cpu) = room.free[machine];
        let suits = |&unit: &usize| self.units[unit].suits.binary_search(&machine).is_ok();
        let apart = || group.iter().filter_map(|&unit| Some((self.units[unit].apart?, machine)));
        if memory > free_memory || cpu > free_cpu || !group.iter().all(suits) {
            return false;
        }
        if apart().any(|pair| room.apart.contains(&pair)) || apart().collect::<BTreeSet<_>>().len() < apart().count() {
            return false;
        }
        room.free[machine] = (free_memory - memory, free_cpu - cpu);
        room.apart.extend(apart());
        true
    }

    /// Takes a group off the machine that it was put on.
    pub(super) fn take(&self, room: &mut Room, group: &[usize], machine: usize) {
        let (memory, cpu) = self.asked(group);
        room.free[machine].0 += memory;
        room.free[machine].1 += cpu;
        for unit in group {
            if let Some(apart) = self.units[*unit].apart {
                room.apart.remove(&(apart, machine));
            }
        }
    }

    fn asked(&self, group: &[usize]) -> (u64, u64) {
        group.iter().fold((0, 0), |(memory, cpu), &unit| {
            let unit = &self.units[unit];
            (memory + unit.memory, cpu + unit.cpu)
        })
    }

    /// The first unit that is where it must not be, or not where it must be.
    #[must_use]
    pub fn broken(&self, found: &Assignment) -> Option<&UnitName> {
        let mut room = self.empty();
        let broken = self.groups.iter().find(|group| match found[group[0]] {
            Some(at) => group.iter().any(|&unit| found[unit] != Some(at)) || !self.put(&mut room, group, at),
            None => group.iter().any(|&unit| found[unit].is_some()),
        })?;
        Some(&self.units[broken[0]].name)
    }

    /// What a placement is worth.
    #[must_use]
    pub fn judge(&self, found: &Assignment) -> Judgement {
        let mut used = vec![0; self.machines.len()];
        let mut judgement = Judgement::default();
        let mut counts: BTreeMap<&(usize, String), BTreeMap<&str, u32>> = BTreeMap::new();
        for (unit, at) in self.units.iter().zip(found) {
            if let Some(spread) = &unit.spread {
                // Every value that a machine has which suits it, be it with none.
                let counts = counts.entry(spread).or_insert_with(|| {
                    let values = unit.suits.iter().filter_map(|&at| self.machines[at].metadata.get(&spread.1));
                    values.map(|value| (value.as_str(), 0)).collect()
                });
                let value = at.and_then(|at| self.machines[at].metadata.get(&spread.1));
                if let Some(count) = value.and_then(|value| counts.get_mut(value.as_str())) {
                    *count += 1;
                }
            }
            if let Some(at) = *at {
                judgement.placed += 1;
                judgement.memory += unit.memory;
                used[at] += unit.memory;
            }
        }
        let uneven = |counts: &BTreeMap<&str, u32>| Some(counts.values().max()? - counts.values().min()?);
        judgement.uneven = counts.values().filter_map(uneven).collect();
        let shares = self.machines.iter().zip(used).map(|(machine, used)| used as f64 / machine.memory.max(1) as f64);
        let shares: Vec<f64> = shares.collect();
        judgement.fullest =
            (shares.iter().copied().fold(0.0, f64::max), shares.iter().copied().fold(f64::INFINITY, f64::min).min(1.0));
        judgement
    }
}
