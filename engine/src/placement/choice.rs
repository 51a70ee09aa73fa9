//! Why a machine was chosen among those that could take a unit.

use std::fmt;
use std::sync::Arc;

use fleet_units::{MachineId, UnitName};

/// How many units of a group are on machines of one value.
#[derive(Debug)]
pub(super) struct SpreadCount {
    /// The key that `SpreadBy=` names.
    pub(super) key: Arc<str>,
    /// The machine's value of it, if it has one.
    pub(super) value: Option<Arc<str>>,
    /// How many units were there.
    pub(super) units: u32,
}

/// What counts for a machine that can take a unit, in the order in which it counts.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Which.
    pub(super) machine: MachineId,
    /// How the unit's group is spread, where it is.
    pub(super) spread: Option<SpreadCount>,
    /// What is wrong with it by `PreferMetadata=`.
    pub(super) unmet: Vec<String>,
    /// How much of it is used in millionths, where the unit asks for resources.
    pub(super) share: Option<u32>,
    /// How many units it had.
    pub(super) load: u32,
    /// Whether it carries the registry: last among equals.
    pub(super) carries_registry: bool,
}

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

impl Choice {
    pub(super) fn before(chosen: Candidate, runner_up: Candidate) -> Self {
        let by = Difference::between(chosen, &runner_up);
        Self::Before(Arc::new(Compared { runner_up: runner_up.machine, by }))
    }
}

impl Difference {
    /// The first that tells them apart: nothing else is kept of them.
    fn between(chosen: Candidate, next: &Candidate) -> Self {
        if let (Some(here), Some(there)) = (chosen.spread, &next.spread)
            && (here.units, here.value.is_none()) != (there.units, there.value.is_none())
            && let Some(value) = here.value
        {
            let (units, other, others) = (here.units, there.value.clone(), there.units);
            return Self::Spread(Box::new(SpreadBetween { key: here.key, value, units, other, others }));
        }
        if chosen.unmet.len() != next.unmet.len() {
            return Self::Unmet(next.unmet.iter().filter(|what| !chosen.unmet.contains(what)).cloned().collect());
        }
        let load = chosen.load;
        match (chosen.share, next.share) {
            (Some(here), Some(there)) if here != there => Self::Share { here, there },
            _ if next.load > load => Self::Load { here: load, there: next.load },
            _ if next.carries_registry && !chosen.carries_registry => Self::CarriesRegistry { load },
            _ => Self::Id { load },
        }
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
