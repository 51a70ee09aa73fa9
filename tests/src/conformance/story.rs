//! What is told: steps with units called `a`, `b`, `c`.

use fleet_units::UnitName;
use serde::{Deserialize, Serialize};

/// One step. Asking does not wait for the answer: [`Step::Answered`] and [`Step::Settle`] do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Write a unit's file.
    Write(String, String),
    /// Remove it.
    Remove(String),
    /// Ask for a unit's link.
    Link(String),
    /// Ask for the end of a unit's link.
    Unlink(String),
    /// Ask for a start.
    Start(String),
    /// Ask for a stop.
    Stop(String),
    /// Ask for a restart.
    Restart(String),
    /// Ask for the files to be read anew.
    Reload,
    /// Kill a unit's main process.
    Kill(String),
    /// Mask a unit, as an operator does.
    Mask(String),
    /// systemd executes itself anew.
    Reexecute,
    /// Wait until all is answered.
    Answered,
    /// Wait until the agent was told that a unit is so.
    Until {
        /// Which unit.
        unit: String,
        /// SubState.
        sub: String,
        /// How often systemd restarted it, if that matters.
        restarts: Option<u32>,
    },
    /// Wait until nothing goes on, then look at all units.
    Settle,
}

/// A story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    /// What it is about; in the names of its units, so that stories do not meet.
    pub name: String,
    /// What happens.
    pub steps: Vec<Step>,
}

impl Story {
    /// The unit that the story calls by this short name.
    #[must_use]
    pub fn unit(&self, short: &str) -> UnitName {
        let name = format!("{}-{short}.service", self.name);
        UnitName::parse(&name).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// All short names in it.
    #[must_use]
    pub fn units(&self) -> Vec<String> {
        let mut units: Vec<String> = self.steps.iter().filter_map(Step::unit).map(str::to_owned).collect();
        units.sort();
        units.dedup();
        units
    }
}

impl Step {
    fn unit(&self) -> Option<&str> {
        match self {
            Self::Write(unit, _) | Self::Until { unit, .. } => Some(unit),
            Self::Remove(unit) | Self::Link(unit) | Self::Unlink(unit) | Self::Kill(unit) | Self::Mask(unit) => {
                Some(unit)
            }
            Self::Start(unit) | Self::Stop(unit) | Self::Restart(unit) => Some(unit),
            Self::Reload | Self::Reexecute | Self::Answered | Self::Settle => None,
        }
    }
}
