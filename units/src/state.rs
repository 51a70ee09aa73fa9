//! What fleet is asked to do with a unit.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The state that a person wants a unit to be in.
///
/// The order follows the life of a unit, so that `desired >= Loaded` asks
/// whether the unit needs a machine.
///
/// ```
/// use fleet_units::DesiredState;
///
/// assert_eq!("launched".parse(), Ok(DesiredState::Launched));
/// assert!(DesiredState::Launched > DesiredState::Loaded);
/// assert_eq!(DesiredState::Inactive.to_string(), "inactive");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DesiredState {
    /// Known to fleet, and on no machine.
    #[default]
    Inactive,
    /// On a machine and known to its systemd, but not started by fleet.
    Loaded,
    /// On a machine and started.
    Launched,
}

impl DesiredState {
    /// The name used in the API, in records, and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Loaded => "loaded",
            Self::Launched => "launched",
        }
    }
}

impl fmt::Display for DesiredState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text names no desired state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid desired state {0:?}: expected inactive, loaded, or launched")]
pub struct DesiredStateError(String);

impl FromStr for DesiredState {
    type Err = DesiredStateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "inactive" => Ok(Self::Inactive),
            "loaded" => Ok(Self::Loaded),
            "launched" => Ok(Self::Launched),
            _ => Err(DesiredStateError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_agree() {
        for state in [DesiredState::Inactive, DesiredState::Loaded, DesiredState::Launched] {
            assert_eq!(state.to_string().parse(), Ok(state));
            let json = serde_json::to_string(&state).unwrap();
            assert_eq!(json, format!("\"{state}\""));
            assert_eq!(serde_json::from_str::<DesiredState>(&json).unwrap(), state);
        }
    }

    #[test]
    fn unknown_states_are_named() {
        let error = "Launched".parse::<DesiredState>().unwrap_err();
        assert_eq!(error.to_string(), r#"invalid desired state "Launched": expected inactive, loaded, or launched"#);
    }
}
