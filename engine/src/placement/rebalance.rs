//! The fewest moves that even out how many units machines have.
//!
//! A unit is moved only where it would be placed elsewhere if it were new, so that no move costs what a unit asks for or
//! prefers, and only to a machine that has fewer even with it. So each move makes the cluster more even, the last one
//! leaves nothing to do, and a second run finds that. Each is thought through to its end, by the code that makes it,
//! before the next is looked for.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use fleet_units::{MachineId, UnitName};

use super::choice::Choice;
use super::cluster::Cluster;
use super::slots::{MachineIx, UnitIx};

/// A unit that is to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Which.
    pub unit: UnitName,
    /// Those that must be with it, and come along.
    pub with: Vec<UnitName>,
    /// Those of one group are not to be away at once.
    pub group: String,
    /// The groups of those that come along, in their order.
    pub with_groups: Vec<String>,
    /// Where it is.
    pub from: MachineId,
    /// Where it goes.
    pub to: MachineId,
    /// Why there.
    pub why: Choice,
}

/// How many units the machines have that may be given some.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evenness {
    /// The least loaded one.
    pub least: u32,
    /// The most loaded one.
    pub most: u32,
}

/// Moves that even out the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebalance {
    /// In the order in which they are to be made.
    pub moves: Vec<Move>,
    /// How it is.
    pub before: Evenness,
    /// How it is after them.
    pub after: Evenness,
}

/// Where a group would go.
struct Proposal {
    group: Vec<UnitIx>,
    target: MachineIx,
    why: Choice,
}

impl Cluster {
    /// At most so many moves that even out the load. Nothing of this cluster changes.
    #[must_use]
    pub fn rebalance(&self, max_moves: usize) -> Rebalance {
        let mut cluster = self.clone();
        cluster.settle(|_| {});
        let before = cluster.evenness();
        let mut moves = Vec::new();
        // What did not come about as it was thought is not tried again.
        let mut stuck = BTreeSet::new();
        loop {
            let count = moves.len();
            for source in cluster.most_loaded() {
                while moves.len() < max_moves
                    && let Some(proposal) = cluster.next_move(source, &stuck)
                {
                    let unit = proposal.group[0];
                    match cluster.carry_out(source, proposal) {
                        Some(made) => moves.push(made),
                        None => drop(stuck.insert(unit)),
                    }
                }
            }
            if moves.len() == count || moves.len() >= max_moves {
                break;
            }
        }
        Rebalance { moves, before, after: cluster.evenness() }
    }

    /// How many units the machines have that may be given some.
    fn evenness(&self) -> Evenness {
        let loads = || self.machines.iter().filter(|(_, entry)| entry.facts.is_open()).map(|(_, entry)| entry.load());
        Evenness { least: loads().min().unwrap_or(0), most: loads().max().unwrap_or(0) }
    }

    /// The machines that may have too many, the most loaded first.
    fn most_loaded(&self) -> Vec<MachineIx> {
        let least = self.evenness().least;
        let open = self.machines.iter().filter(|(_, entry)| entry.facts.is_open() && entry.load() > least + 1);
        let mut sources: Vec<MachineIx> = open.map(|(machine, _)| machine).collect();
        sources.sort_by_key(|&machine| (Reverse(self.machines[machine].load()), &self.machines[machine].facts.id));
        sources
    }

    /// What of a machine had best be moved: what goes to the least loaded one, the youngest first.
    fn next_move(&mut self, source: MachineIx, stuck: &BTreeSet<UnitIx>) -> Option<Proposal> {
        let least = self.evenness().least;
        let load = self.machines[source].load();
        if load <= least + 1 {
            return None;
        }
        let units = self.machines[source].units.iter().copied().filter(|unit| !stuck.contains(unit));
        let units = self.in_order(units.collect::<Vec<_>>());
        let mut best: Option<(u32, Proposal)> = None;
        for unit in units.into_iter().rev() {
            let Some(group) = self.movable(unit, source) else { continue };
            let Some((target, why)) = self.placed_anew(&group, source) else { continue };
            let there = self.machines[target].load();
            let size = u32::try_from(group.len()).unwrap_or(u32::MAX);
            if target == source || there.saturating_add(size) >= load {
                continue;
            }
            let is_better = best.as_ref().is_none_or(|(found, _)| there < *found);
            if is_better {
                best = Some((there, Proposal { group, target, why }));
            }
            if there <= least {
                break;
            }
        }
        best.map(|(_, proposal)| proposal)
    }

    /// A unit, first, and all that come along when it leaves its machine; none where it is not to be moved: it is global
    /// or cannot be read, it would drive others away, or somebody must be with it who does not follow it.
    fn movable(&self, unit: UnitIx, source: MachineIx) -> Option<Vec<UnitIx>> {
        if !self.units[unit].is_placeable() {
            return None;
        }
        let group = self.group_of(unit);
        let is_settled = |member: &UnitIx| {
            let entry = &self.units[*member];
            entry.places.len() == 1 && entry.places.contains(&source) && entry.leaving.is_empty()
        };
        let comes_along = |member: &UnitIx| *member == unit || self.follows(*member, unit, &group);
        let is_quiet = |member: &UnitIx| {
            let entry = &self.units[*member];
            entry.rare.replaces.own.is_empty() && entry.rare.failures.machines.is_empty()
        };
        let movable = group.iter().all(|member| is_settled(member) && comes_along(member) && is_quiet(member));
        let rest = group.iter().copied().filter(|member| *member != unit);
        movable.then(|| std::iter::once(unit).chain(rest).collect())
    }

    /// Makes a move, as the engine would; none where it came out otherwise.
    fn carry_out(&mut self, source: MachineIx, proposal: Proposal) -> Option<Move> {
        let Proposal { group, target, why } = proposal;
        let id = |cluster: &Self, machine: MachineIx| cluster.machines[machine].facts.id.clone();
        let name = self.units[group[0]].name.clone();
        self.set_avoided(&name, Some(id(self, source)));
        self.settle(|_| {});
        let is_there = group.iter().all(|&member| self.units[member].places.contains(&target));
        self.set_avoided(&name, None);
        self.settle(|_| {});
        is_there.then(|| Move {
            with: group[1..].iter().map(|&member| self.units[member].name.clone()).collect(),
            group: self.rota(group[0]),
            with_groups: group[1..].iter().map(|&member| self.rota(member)).collect(),
            from: id(self, source),
            to: id(self, target),
            unit: name,
            why,
        })
    }

    /// The group of which not all may be away at once: what it is spread with, else the instances of its template.
    fn rota(&self, unit: UnitIx) -> String {
        let entry = &self.units[unit];
        let spread = entry.requirements().and_then(|wanted| wanted.group(&entry.name));
        let template = || entry.name.template().map(|template| template.to_string());
        spread.or_else(template).unwrap_or_else(|| entry.name.to_string())
    }
}
