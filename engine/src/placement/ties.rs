//! Who names whom: the units that `MachineOf=`, or an option that orders starts, names one by one or by a pattern.

use std::collections::{BTreeMap, BTreeSet};

use fleet_units::{Glob, Peer, UnitName};

use super::cluster::Cluster;
use super::patterns::Patterns;
use super::slots::UnitIx;

/// Who names whom in one option.
#[derive(Debug, Clone, Default)]
pub(super) struct Ties {
    by_name: BTreeMap<UnitName, BTreeSet<UnitIx>>,
    patterns: Patterns,
}

impl Ties {
    /// Whether nobody names anybody.
    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.patterns.is_empty()
    }

    /// A unit names these. Answers the patterns that nobody had before, for which the caller finds who matches.
    pub(super) fn name<'a>(&mut self, unit: UnitIx, peers: impl Iterator<Item = &'a Peer>) -> Vec<&'a Glob> {
        let mut fresh = Vec::new();
        for peer in peers {
            match peer {
                Peer::Unit(name) => _ = self.by_name.entry(name.clone()).or_default().insert(unit),
                Peer::Pattern(glob) => {
                    if self.patterns.hold(unit, glob).1 {
                        fresh.push(glob);
                    }
                }
            }
        }
        fresh
    }

    /// It does not any more.
    pub(super) fn unname<'a>(&mut self, unit: UnitIx, peers: impl Iterator<Item = &'a Peer>) {
        for peer in peers {
            match peer {
                Peer::Unit(name) => {
                    if let Some(namers) = self.by_name.get_mut(name) {
                        namers.remove(&unit);
                        if namers.is_empty() {
                            self.by_name.remove(name);
                        }
                    }
                }
                Peer::Pattern(glob) => {
                    if let Some(pattern) = self.patterns.find(glob) {
                        self.patterns.release(unit, pattern);
                    }
                }
            }
        }
    }

    /// These units match a pattern that is new.
    pub(super) fn set_matches(&mut self, glob: &Glob, units: &[UnitIx]) {
        if let Some(pattern) = self.patterns.find(glob) {
            units.iter().for_each(|&unit| self.patterns.add_match(unit, &[pattern]));
        }
    }

    /// There is another unit.
    pub(super) fn came(&mut self, unit: UnitIx, name: &UnitName) {
        let matching = self.patterns.matching(name.as_str());
        self.patterns.add_match(unit, &matching);
    }

    /// It is gone.
    pub(super) fn went(&mut self, unit: UnitIx, name: &UnitName) {
        let matching = self.patterns.matching(name.as_str());
        self.patterns.remove_match(unit, &matching);
    }

    /// Who names a unit.
    pub(super) fn namers<'a>(&'a self, name: &UnitName) -> impl Iterator<Item = UnitIx> + 'a {
        let by_pattern = self.patterns.matching(name.as_str()).into_iter();
        let by_pattern = by_pattern.flat_map(|pattern| self.patterns.holders(pattern));
        self.by_name.get(name).into_iter().flatten().chain(by_pattern).copied()
    }

    /// The units that match a pattern which somebody has.
    pub(super) fn matches<'a>(&'a self, glob: &Glob) -> impl Iterator<Item = UnitIx> + use<'a> {
        let pattern = self.patterns.find(glob);
        pattern.into_iter().flat_map(|pattern| self.patterns.matches(pattern)).copied()
    }
}

impl Cluster {
    /// The units beside which one must be: those that `MachineOf=` names, and of those that a pattern of it matches, the
    /// ones that people want to run. A unit that names itself says nothing by that.
    pub(super) fn peers(&self, unit: UnitIx) -> impl Iterator<Item = UnitIx> + '_ {
        let wanted = self.units[unit].requirements();
        wanted
            .into_iter()
            .flat_map(|wanted| &wanted.machine_of)
            .flat_map(move |peer| self.named(unit, peer, &self.machine_of))
    }

    /// The units that one means by a name or a pattern, in the option that these are the ties of.
    pub(super) fn named<'a>(
        &'a self,
        unit: UnitIx,
        peer: &Peer,
        ties: &'a Ties,
    ) -> impl Iterator<Item = UnitIx> + use<'a> {
        let (one, many) = match peer {
            Peer::Unit(name) => (self.units.find(name.as_str()), None),
            Peer::Pattern(glob) => (None, Some(ties.matches(glob))),
        };
        let runs = |other: &UnitIx| self.units[*other].is_wanted() && !self.units[*other].is_template;
        let many = many.into_iter().flatten().filter(runs);
        one.into_iter().chain(many).filter(move |other| *other != unit)
    }

    /// Enters whom a unit names.
    pub(super) fn tie(&mut self, unit: UnitIx, peers: &[Peer]) {
        for peer in peers {
            if let Peer::Unit(name) = peer
                && let Some(named) = self.units.find(name.as_str())
            {
                self.units[named].is_named = true;
            }
        }
        for glob in self.machine_of.name(unit, peers.iter()) {
            let matching = self.names_matching(glob);
            matching.iter().for_each(|&named| self.units[named].is_named = true);
            self.machine_of.set_matches(glob, &matching);
        }
    }
}
