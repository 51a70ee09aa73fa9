//! The patterns of `Conflicts=` and `Replaces=`, indexed by the text that every matching name begins with.
//!
//! Each pattern is kept once however many units use it, with the units that match it. So "do these two units conflict"
//! is a look at two short lists, and "does this machine hold anything that conflicts" at two counters.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use fleet_units::Glob;

use super::slots::{PatternIx, Slots, UnitIx};
use super::small::Small;

/// A pattern in use.
#[derive(Debug, Clone)]
struct Entry {
    glob: Glob,
    /// Units that have it.
    holders: BTreeSet<UnitIx>,
    /// Units whose name it matches.
    matches: BTreeSet<UnitIx>,
}

/// All patterns of one option.
#[derive(Debug, Clone, Default)]
pub(super) struct Patterns {
    entries: Slots<PatternIx, Entry>,
    by_prefix: BTreeMap<Box<str>, BTreeSet<PatternIx>>,
    /// How many prefixes have this length.
    lengths: BTreeMap<usize, usize>,
}

/// What one unit has to do with the patterns of one option. Sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PatternRefs {
    /// Patterns that it has.
    pub(super) own: Small<PatternIx>,
    /// Patterns, anybody's, that match its name.
    pub(super) matching: Small<PatternIx>,
}

impl PatternRefs {
    /// Nothing.
    pub(super) const NONE: Self = Self { own: Small::Empty, matching: Small::Empty };

    /// Whether it has to do with any.
    pub(super) fn is_used(&self) -> bool {
        !self.own.is_empty() || !self.matching.is_empty()
    }

    /// Whether a pattern of either matches the other.
    pub(super) fn touches(&self, other: &Self) -> bool {
        self.points_at(other) || other.points_at(self)
    }

    /// Whether a pattern of this one matches the other.
    pub(super) fn points_at(&self, other: &Self) -> bool {
        self.own.iter().any(|pattern| other.matching.contains(pattern))
    }
}

impl Patterns {
    /// The patterns that match a name.
    pub(super) fn matching(&self, name: &str) -> Vec<PatternIx> {
        let mut found = Vec::new();
        // Unit names are ASCII, so every index is a character boundary.
        let shorten = |length: usize| Some(self.lengths.range(..=length).next_back()?.0).and_then(|&to| name.get(..to));
        let mut upto = shorten(name.len());
        while let Some(text) = upto {
            let before = (Bound::Unbounded, Bound::Included(text));
            let Some((prefix, patterns)) = self.by_prefix.range::<str, _>(before).next_back() else { break };
            // The last prefix up to a text begins that text, or has less in common with it than any prefix that does.
            let common = prefix.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
            if common == prefix.len() {
                found.extend(patterns.iter().copied().filter(|&pattern| self.entries[pattern].glob.matches(name)));
                upto = common.checked_sub(1).and_then(shorten);
            } else {
                upto = shorten(common);
            }
        }
        found.sort_unstable();
        found
    }

    /// Notes that a unit is there, whose name matches these.
    pub(super) fn add_match(&mut self, unit: UnitIx, matching: &[PatternIx]) {
        for &pattern in matching {
            self.entries[pattern].matches.insert(unit);
        }
    }

    /// Notes that a unit is gone.
    pub(super) fn remove_match(&mut self, unit: UnitIx, matching: &[PatternIx]) {
        for &pattern in matching {
            self.entries[pattern].matches.remove(&unit);
        }
    }

    /// Gives a unit a pattern. Answers its number and whether it is new, in which case the caller finds who matches it.
    pub(super) fn hold(&mut self, unit: UnitIx, glob: &Glob) -> (PatternIx, bool) {
        let known = self.entries.find(glob.as_str());
        let entry = || Entry { glob: glob.clone(), holders: BTreeSet::new(), matches: BTreeSet::new() };
        let index = known.unwrap_or_else(|| self.entries.find_or_insert(glob.as_str(), entry));
        self.entries[index].holders.insert(unit);
        if known.is_none() {
            let prefix = glob.literal_prefix();
            let patterns = self.by_prefix.entry(prefix.into()).or_default();
            if patterns.is_empty() {
                *self.lengths.entry(prefix.len()).or_default() += 1;
            }
            patterns.insert(index);
        }
        (index, known.is_none())
    }

    /// Takes a pattern from a unit. When nobody has it any more it is forgotten, and the units that matched it are
    /// answered, so that the caller forgets it there.
    pub(super) fn release(&mut self, unit: UnitIx, pattern: PatternIx) -> BTreeSet<UnitIx> {
        let entry = &mut self.entries[pattern];
        entry.holders.remove(&unit);
        if !entry.holders.is_empty() {
            return BTreeSet::new();
        }
        let glob = entry.glob.clone();
        let prefix = glob.literal_prefix();
        if let Some(patterns) = self.by_prefix.get_mut(prefix) {
            patterns.remove(&pattern);
            if patterns.is_empty() {
                self.by_prefix.remove(prefix);
                if let Some(count) = self.lengths.get_mut(&prefix.len()) {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&prefix.len());
                    }
                }
            }
        }
        self.entries.remove(glob.as_str()).map(|entry| entry.matches).unwrap_or_default()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }

    /// The number of a pattern that somebody has.
    pub(super) fn find(&self, glob: &Glob) -> Option<PatternIx> {
        self.entries.find(glob.as_str())
    }

    /// The units that have it.
    pub(super) fn holders(&self, pattern: PatternIx) -> &BTreeSet<UnitIx> {
        &self.entries[pattern].holders
    }

    /// The units that match it.
    pub(super) fn matches(&self, pattern: PatternIx) -> &BTreeSet<UnitIx> {
        &self.entries[pattern].matches
    }
}
