//! Why a machine was chosen among those that could take a unit.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use fleet_units::{MachineId, MetadataPredicate, UnitName};

use super::cluster::Cluster;
use super::machine::Machine;
use super::slots::{MachineIx, UnitIx};

/// Why a machine comes before another that could take a unit too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The other, which would have been next.
    pub runner_up: MachineId,
    /// The first that tells them apart.
    pub by: Difference,
}

/// What tells two machines apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The unit's group is spread.
    Spread(Box<SpreadBetween>),
    /// The other does not meet these of the unit's preferences.
    Unmet(Box<[String]>),
    /// Less of it is used; in millionths.
    Share {
        /// Of the chosen one.
        here: u32,
        /// Of the other.
        there: u32,
    },
    /// It has fewer units.
    Load {
        /// The chosen one.
        here: u32,
        /// The other.
        there: u32,
    },
    /// The other carries the registry.
    CarriesRegistry {
        /// How many units each of them has.
        load: u32,
    },
    /// Its id comes first.
    Id {
        /// How many units each of them has.
        load: u32,
    },
}

/// How many units of a group were on machines of either value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpreadBetween {
    /// The key that `SpreadBy=` names.
    pub key: Arc<str>,
    /// The chosen machine's value of it.
    pub value: Arc<str>,
    /// How many units were there.
    pub units: u32,
    /// The other's, if it has one.
    pub other: Option<Arc<str>>,
    /// How many units were there.
    pub others: u32,
}

/// Why a machine was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// No other can take the unit.
    Only,
    /// It comes before another in the order: why.
    Before(Arc<Compared>),
    /// The units that it must be with are there.
    Beside {
        /// One of them.
        peer: UnitName,
    },
    /// Units of lower priority make room there.
    MadeRoom,
    /// It has not left there yet.
    StillThere,
    /// It runs there already, though no schedule gave it there.
    RunsThere,
    /// The unit has not failed there, as it did elsewhere.
    NotFailed {
        /// Where it failed, the latest last.
        elsewhere: Vec<MachineId>,
    },
    /// It failed on every machine that can take it, and there longest ago.
    FailedLongestAgo,
    /// It was asked to leave another.
    AskedAway {
        /// Which.
        from: MachineId,
    },
}

impl Cluster {
    /// Why the first of two machines that can take these comes before the second.
    pub(super) fn compare(&self, members: &[UnitIx], chosen: MachineIx, next: MachineIx) -> Choice {
        let by = self.difference(members, chosen, next);
        Choice::Before(Arc::new(Compared { runner_up: self.machines[next].facts.id.clone(), by }))
    }

    /// The first that tells them apart: nothing else is kept of them.
    fn difference(&self, members: &[UnitIx], chosen: MachineIx, next: MachineIx) -> Difference {
        let (here, there) = (&self.machines[chosen], &self.machines[next]);
        if let Some((group, key)) = self.spread_of(members)
            && let Some(value) = here.value(key)
        {
            let units = self.count_of(group, key, value);
            let other = there.value(key);
            let others = other.map_or(0, |other| self.count_of(group, key, other));
            if units != others || other.is_none() {
                let text = |value| self.values.value(key, value).clone();
                let (value, other) = (text(value), other.map(text));
                let key = self.values.key(key).clone();
                return Difference::Spread(Box::new(SpreadBetween { key, value, units, other, others }));
            }
        }
        let (met, unmet) = (self.unmet(members, here), self.unmet(members, there));
        if met.len() != unmet.len() {
            return Difference::Unmet(unmet.into_iter().filter(|what| !met.contains(what)).collect());
        }
        let load = here.load();
        let (used, more) = (self.orders.gauge(chosen).share, self.orders.gauge(next).share);
        if !self.asked(members).is_nothing() && used != more {
            Difference::Share { here: used, there: more }
        } else if there.load() > load {
            Difference::Load { here: load, there: there.load() }
        } else if there.facts.carries_registry && !here.facts.carries_registry {
            Difference::CarriesRegistry { load }
        } else {
            Difference::Id { load }
        }
    }

    /// What of a machine is not as these prefer.
    fn unmet(&self, members: &[UnitIx], machine: &Machine) -> Vec<String> {
        let traits = machine.facts.traits();
        let wanted = members.iter().filter_map(|&unit| self.units[unit].requirements());
        let preferred = wanted.flat_map(|wanted| wanted.prefer.iter());
        let unmet: BTreeSet<&MetadataPredicate> = preferred.filter(|demand| !demand.matches(&traits)).collect();
        unmet.into_iter().map(MetadataPredicate::complaint).collect()
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let other = self.runner_up.short();
        match &self.by {
            Difference::Spread(spread) => {
                let SpreadBetween { key, value, units, other: theirs, others } = &**spread;
                write!(f, "spread over {key}: {units} in {value}, ")?;
                match theirs {
                    Some(value) => write!(f, "{others} in {value} ({other})"),
                    None => write!(f, "{other} has no {key}"),
                }
            }
            Difference::Unmet(what) => write!(f, "preferred: {other} {}", what.join(" and ")),
            Difference::Share { here, there } => {
                write!(f, "least used ({}, {other} is at {})", percent(*here), percent(*there))
            }
            Difference::Load { here, there } => write!(f, "least loaded ({}, {other} has {there})", units(*here)),
            Difference::CarriesRegistry { load } => {
                write!(f, "as loaded as {other} ({}), which carries the registry", units(*load))
            }
            Difference::Id { load } => write!(f, "as loaded as {other} ({}), first by id", units(*load)),
        }
    }
}

/// Millionths as per cent.
fn percent(share: u32) -> String {
    match share / 1_000 % 10 {
        0 => format!("{}%", share / 10_000),
        tenth => format!("{}.{tenth}%", share / 10_000),
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => f.write_str("no other machine can take it"),
            Self::Before(compared) => compared.fmt(f),
            Self::Beside { peer } => write!(f, "{peer} is there"),
            Self::MadeRoom => f.write_str("units of lower priority make room there"),
            Self::StillThere => f.write_str("it has not left there yet"),
            Self::RunsThere => f.write_str("it is there already"),
            Self::NotFailed { elsewhere } => {
                let failed: Vec<&str> = elsewhere.iter().map(MachineId::short).collect();
                write!(f, "it failed on {}", failed.join(", "))
            }
            Self::AskedAway { from } => write!(f, "it was asked to leave {}", from.short()),
            Self::FailedLongestAgo => f.write_str("it failed wherever it can be, and there longest ago"),
        }
    }
}

fn units(count: u32) -> String {
    if count == 1 { "1 unit".to_owned() } else { format!("{count} units") }
}
