//! Why a machine was chosen among those that could take a unit.

use std::fmt;

use fleet_units::{MachineId, UnitName};

/// The machine that would have been next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerUp {
    /// Which.
    pub machine: MachineId,
    /// How many units it had.
    pub load: u32,
    /// Whether only its carrying the registry set it behind.
    pub carries_registry: bool,
}

/// Why a machine was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// No other can take the unit.
    Only,
    /// It comes before another in the order.
    Before {
        /// How many units the chosen one had.
        load: u32,
        /// Who would have been next.
        runner_up: RunnerUp,
    },
    /// The units that it must be with are there.
    Beside {
        /// One of them.
        peer: UnitName,
    },
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
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => f.write_str("no other machine can take it"),
            Self::Before { load, runner_up: next } if next.load > *load => {
                write!(f, "least loaded ({}, {} has {})", units(*load), next.machine.short(), next.load)
            }
            Self::Before { load, runner_up: next } => {
                write!(f, "as loaded as {} ({}), ", next.machine.short(), units(*load))?;
                f.write_str(if next.carries_registry { "which carries the registry" } else { "first by id" })
            }
            Self::Beside { peer } => write!(f, "{peer} is there"),
            Self::StillThere => f.write_str("it has not left there yet"),
            Self::RunsThere => f.write_str("it is there already"),
            Self::NotFailed { elsewhere } => {
                let failed: Vec<&str> = elsewhere.iter().map(MachineId::short).collect();
                write!(f, "it failed on {}", failed.join(", "))
            }
            Self::FailedLongestAgo => f.write_str("it failed wherever it can be, and there longest ago"),
        }
    }
}

fn units(count: u32) -> String {
    if count == 1 { "1 unit".to_owned() } else { format!("{count} units") }
}
