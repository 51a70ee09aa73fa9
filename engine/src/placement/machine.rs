//! A machine, with the counters that answer filters without looking at its units.

use std::collections::{BTreeMap, BTreeSet};

use fleet_units::MachineId;

use super::facts::MachineFacts;
use super::order::Standing;
use super::resources::Amount;
use super::slots::{GroupIx, MachineIx, PatternIx, Slots, UnitIx};
use super::spread::Here;

/// How many of a machine's units have to do with each pattern.
pub(super) type Counts = BTreeMap<PatternIx, u32>;

/// All machines.
pub(super) type Machines = Slots<MachineIx, Machine, MachineId>;

/// A machine.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) facts: MachineFacts,
    /// What it lists.
    pub(super) units: BTreeSet<UnitIx>,
    /// Units taken off it that it has not acknowledged; the generation that does not list them any more, once that is
    /// written.
    pub(super) leaving: BTreeMap<UnitIx, Option<u64>>,
    /// Listed units that have this pattern in `Conflicts=`.
    pub(super) conflict_holders: Counts,
    /// Listed units that this pattern of a `Conflicts=` matches.
    pub(super) conflict_matches: Counts,
    /// Listed units that have this pattern in `Replaces=`.
    pub(super) replacers: Counts,
    /// What listed units ask for.
    pub(super) used: Amount,
    /// Which share of it that is.
    pub(super) share: u32,
    /// What units ask for that were taken off it and have not left yet.
    pub(super) stopping: Amount,
    /// What is listed of each group.
    pub(super) groups: BTreeMap<GroupIx, Here>,
    /// Its place in the order of ids.
    pub(super) rank: u64,
}

impl Machine {
    pub(super) fn new(facts: MachineFacts) -> Self {
        Self {
            facts,
            units: BTreeSet::new(),
            leaving: BTreeMap::new(),
            conflict_holders: Counts::new(),
            conflict_matches: Counts::new(),
            replacers: Counts::new(),
            used: Amount::default(),
            share: 0,
            stopping: Amount::default(),
            groups: BTreeMap::new(),
            rank: 0,
        }
    }

    /// How many units it has.
    pub(super) fn load(&self) -> u32 {
        // At most a few thousand.
        self.units.len() as u32
    }

    /// Where it stands: by the share of it that is used, or by how many units it has alone.
    pub(super) fn standing(&self, machine: MachineIx, by_share: bool) -> Standing {
        let share = if by_share { self.share } else { 0 };
        Standing::new(share, self.load(), self.facts.carries_registry, self.rank, machine)
    }

    /// Takes up what its units use of it now.
    pub(super) fn measure(&mut self, used: Amount) {
        self.used = used;
        self.share = used.share(&self.facts.capacity);
    }
}

/// Adds one for each pattern.
pub(super) fn count_up(counts: &mut Counts, patterns: &[PatternIx]) {
    for &pattern in patterns {
        *counts.entry(pattern).or_default() += 1;
    }
}

/// Takes one off for each pattern.
pub(super) fn count_down(counts: &mut Counts, patterns: &[PatternIx]) {
    for pattern in patterns {
        if let Some(count) = counts.get_mut(pattern) {
            *count -= 1;
            if *count == 0 {
                counts.remove(pattern);
            }
        }
    }
}
