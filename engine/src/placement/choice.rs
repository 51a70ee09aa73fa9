//! Why a machine was chosen among those that could take a unit.

use std::fmt;
use std::sync::Arc;

use fleet_units::{MachineId, UnitName};

/// How many units of a group are on machines of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpreadCount {
    /// The key that `SpreadBy=` names.
    pub key: Arc<str>,
    /// The machine's value of it, if it has one.
    pub value: Option<Arc<str>>,
    /// How many units were there.
    pub units: u32,
}

/// What counts for a machine that can take a unit, in the order in which it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub machine: MachineId,
    /// How the unit's group is spread, where it is.
    pub spread: Option<SpreadCount>,
    /// What is wrong with it by `PreferMetadata=`.
    pub unmet: Vec<String>,
    /// How much of it is used in millionths, where the unit asks for resources.
    pub share: Option<u32>,
    /// How many units it had.
    pub load: u32,
    /// Whether it carries the registry: last among equals.
    pub carries_registry: bool,
}

/// Two machines of which one comes before the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The chosen one.
    pub chosen: Candidate,
    /// Who would have been next.
    pub runner_up: Candidate,
}

/// Why a machine was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// No other can take the unit.
    Only,
    /// It comes before another in the order.
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
        Self::Before(Arc::new(Compared { chosen, runner_up }))
    }
}

/// The first that tells them apart.
impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (chosen, next) = (&self.chosen, &self.runner_up);
        let other = next.machine.short();
        if let (Some(here), Some(there)) = (&chosen.spread, &next.spread)
            && (here.units, here.value.is_none()) != (there.units, there.value.is_none())
            && let Some(value) = &here.value
        {
            write!(f, "spread over {}: {} in {value}, ", here.key, here.units)?;
            return match &there.value {
                Some(value) => write!(f, "{} in {value} ({other})", there.units),
                None => write!(f, "{other} has no {}", there.key),
            };
        }
        if chosen.unmet.len() != next.unmet.len() {
            let only: Vec<&str> =
                next.unmet.iter().filter(|what| !chosen.unmet.contains(what)).map(String::as_str).collect();
            return write!(f, "preferred: {other} {}", only.join(" and "));
        }
        if let (Some(share), Some(more)) = (chosen.share, next.share)
            && share != more
        {
            return write!(f, "least used ({}, {other} is at {})", percent(share), percent(more));
        }
        if next.load > chosen.load {
            return write!(f, "least loaded ({}, {other} has {})", units(chosen.load), next.load);
        }
        write!(f, "as loaded as {other} ({}), ", units(chosen.load))?;
        let behind = next.carries_registry && !chosen.carries_registry;
        f.write_str(if behind { "which carries the registry" } else { "first by id" })
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
