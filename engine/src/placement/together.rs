//! Units that `MachineOf=` ties together, in the words in which people are told of them.

use std::collections::BTreeMap;
use std::fmt;

use fleet_units::UnitName;

use super::cluster::Cluster;
use super::graph::{Cycle, circle};
use super::slots::UnitIx;

/// How many units of a group are named.
const NAMED: usize = 4;

/// Among how many of them a circle is looked for.
const FOLLOWED: usize = 16;

/// Units that are given one machine, or none of them is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Together {
    /// The first of them, in the order in which units are decided.
    pub units: Vec<UnitName>,
    /// How many there are besides.
    pub more: usize,
    /// A circle in which they name each other, if there is one that can be told in as many names.
    pub circle: Option<Cycle>,
}

impl fmt::Display for Together {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all of ")?;
        for (n, unit) in self.units.iter().enumerate() {
            let before = match n {
                0 => "",
                _ if n + 1 == self.units.len() && self.more == 0 => " and ",
                _ => ", ",
            };
            write!(f, "{before}{unit}")?;
        }
        if self.more > 0 {
            write!(f, " and {} more", self.more)?;
        }
        f.write_str(", which MachineOf ties together")?;
        self.circle.as_ref().map_or(Ok(()), |circle| write!(f, " in a circle ({circle})"))
    }
}

impl Cluster {
    /// Of units that are placed as one, who they are.
    pub(super) fn told_together(&self, members: &[UnitIx]) -> Option<Box<Together>> {
        if members.len() < 2 {
            return None;
        }
        let name = |unit: &UnitIx| self.units[*unit].name.clone();
        let units: Vec<UnitName> = members.iter().take(NAMED).map(name).collect();
        let more = members.len() - units.len();
        Some(Box::new(Together { units, more, circle: self.circle_among(members) }))
    }

    /// A circle of `MachineOf=` among these, of those few that a person can follow.
    fn circle_among(&self, members: &[UnitIx]) -> Option<Cycle> {
        let few = &members[..members.len().min(FOLLOWED)];
        let name = |unit: UnitIx| self.units[unit].name.clone();
        let ends = few.iter().copied().map(|unit| (name(unit), unit)).collect::<BTreeMap<_, _>>();
        let named = |from: &UnitName| {
            let peers = ends.get(from).into_iter().flat_map(|&unit| self.peers(unit));
            peers.filter(|peer| few.contains(peer)).map(name).collect()
        };
        few.iter().find_map(|&unit| circle(&name(unit), named))
    }
}
