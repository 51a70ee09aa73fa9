//! What a unit asks for the case that systemd gives up on it.

use serde::{Deserialize, Serialize};

use super::Requirements;

/// What happens to a unit once systemd has given up on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It stays where it is, failed.
    #[default]
    Stay,
    /// It is moved to another machine.
    Move,
}

impl Requirements {
    /// How often a unit is moved for failing unless it says otherwise.
    pub const DEFAULT_MOVES: u32 = 5;

    /// The most that `MaxMoves=` may ask for.
    pub const MAX_MOVES: u32 = 1_000;

    /// How often it is to be moved for failing: not at all unless it says
    /// `OnFailure=move` and may be elsewhere.
    #[must_use]
    pub fn moves_for_failing(&self) -> u32 {
        let tied = self.global || self.machine_id.is_some() || !self.machine_of.is_empty();
        match self.on_failure {
            OnFailure::Move if !tied => self.max_moves.unwrap_or(Self::DEFAULT_MOVES),
            OnFailure::Move | OnFailure::Stay => 0,
        }
    }

    /// What a person should hear who limits moves that are never made.
    pub(super) fn idle_max_moves(&self) -> Option<String> {
        let idle = self.max_moves.is_some() && self.on_failure == OnFailure::Stay;
        idle.then(|| "MaxMoves does nothing without OnFailure=move".to_owned())
    }
}
