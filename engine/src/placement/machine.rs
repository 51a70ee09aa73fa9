//! A machine, with the counters that answer filters without looking at its units.

use std::collections::{BTreeMap, BTreeSet};

use fleet_units::MachineId;

use super::facts::MachineFacts;
use super::resources::Amount;
use super::room::Below;
use super::slots::{GroupIx, KeyIx, MachineIx, PatternIx, Slots, UnitIx, ValueIx};
use super::spread::Here;
use super::values::MachineValues;

/// How many of a machine's units have to do with each pattern: in order, those that none has to do with left out.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts(Vec<(PatternIx, u32)>);

impl Counts {
    /// How many have to do with a pattern.
    pub(super) fn get(&self, pattern: PatternIx) -> u32 {
        self.find(pattern).map_or(0, |at| self.0[at].1)
    }

    /// Adds one for each pattern.
    pub(super) fn count_up(&mut self, patterns: &[PatternIx]) {
        for &pattern in patterns {
            match self.find(pattern) {
                Ok(at) => self.0[at].1 += 1,
                Err(at) => self.0.insert(at, (pattern, 1)),
            }
        }
    }

    /// Takes one off for each pattern.
    pub(super) fn count_down(&mut self, patterns: &[PatternIx]) {
        for &pattern in patterns {
            let Ok(at) = self.find(pattern) else { continue };
            self.0[at].1 -= 1;
            if self.0[at].1 == 0 {
                self.0.remove(at);
            }
        }
    }

    /// Forgets a pattern.
    pub(super) fn remove(&mut self, pattern: PatternIx) {
        if let Ok(at) = self.find(pattern) {
            self.0.remove(at);
        }
    }

    fn find(&self, pattern: PatternIx) -> Result<usize, usize> {
        self.0.binary_search_by_key(&pattern, |(known, _)| *known)
    }
}

/// All machines.
pub(super) type Machines = Slots<MachineIx, Machine, MachineId>;

/// A machine.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) facts: MachineFacts,
    /// What its metadata says, by number.
    pub(super) values: MachineValues,
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
    /// What units ask for that were taken off it and have not left yet.
    pub(super) stopping: Amount,
    /// What is listed of each group, in order.
    pub(super) groups: Vec<(GroupIx, Here)>,
    /// What its units use by priority; none where that was not asked for since one came or left.
    pub(super) below: Option<Box<[Below]>>,
}

impl Machine {
    pub(super) fn new(facts: MachineFacts) -> Self {
        Self {
            facts,
            values: MachineValues::new(),
            units: BTreeSet::new(),
            leaving: BTreeMap::new(),
            conflict_holders: Counts::default(),
            conflict_matches: Counts::default(),
            replacers: Counts::default(),
            used: Amount::default(),
            stopping: Amount::default(),
            groups: Vec::new(),
            below: None,
        }
    }

    /// How many units it has.
    pub(super) fn load(&self) -> u32 {
        // At most a few thousand.
        self.units.len() as u32
    }

    /// Its value of a key of the metadata.
    pub(super) fn value(&self, key: KeyIx) -> Option<ValueIx> {
        self.values.iter().find(|(of, _)| *of == key).map(|(_, value)| *value)
    }

    /// Which share of it its units use.
    pub(super) fn share(&self) -> u32 {
        self.used.share(&self.facts.capacity)
    }

    /// What it lists of a group.
    pub(super) fn of_group(&self, group: GroupIx) -> Option<&Here> {
        self.groups.binary_search_by_key(&group, |(known, _)| *known).ok().map(|at| &self.groups[at].1)
    }
}
