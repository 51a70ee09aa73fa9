//! The `[X-Fleet]` section: what a unit asks of the cluster.

mod failure;
mod options;

use serde::{Deserialize, Serialize};

use crate::{Glob, MetadataConstraints, MetadataError, NameError, OnDisconnect, UnitFile, UnitName};
pub use failure::OnFailure;

/// What a unit asks of the cluster, with specifiers replaced.
///
/// ```
/// use fleet_units::{Requirements, UnitFile, UnitName};
///
/// let name = UnitName::parse("web@1.service").unwrap();
/// let file = UnitFile::parse("[X-Fleet]\nConflicts=%p@*.service\nMachineOf=db@%i.service\n").unwrap();
/// let wanted = Requirements::parse(&file, &name).unwrap();
/// assert_eq!(wanted.conflicts[0].as_str(), "web@*.service");
/// assert_eq!(wanted.machine_of[0].as_str(), "db@1.service");
/// wanted.validate().unwrap();
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Requirements {
    /// `MachineID=`: the one machine that will do, by its full id or the eight
    /// characters of its short id.
    pub machine_id: Option<String>,
    /// `MachineOf=`: units on whose machine this one must be.
    pub machine_of: Vec<UnitName>,
    /// `MachineMetadata=`: what the machine's metadata must be.
    pub metadata: MetadataConstraints,
    /// `Conflicts=`: units that must not be on the same machine.
    pub conflicts: Vec<Glob>,
    /// `Replaces=`: units that move away from the machine this one gets.
    pub replaces: Vec<Glob>,
    /// `Global=`: run on every machine that will do.
    pub global: bool,
    /// `OnFailure=`: what happens once systemd has given up on it.
    pub on_failure: OnFailure,
    /// `MaxMoves=`: how often it is moved for failing; absent where the unit
    /// does not say.
    pub max_moves: Option<u32>,
    /// `OnDisconnect=`: what its machine does with it when it loses the registry.
    pub on_disconnect: OnDisconnect,
    /// Options in the section that fleet does not know, in order, for
    /// [`Requirements::warnings`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// What is wrong with an `[X-Fleet]` section. Contradictions are in the words
/// of CoreOS fleet, for which `MachineOf` names peers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequirementError {
    /// `MachineOf=` names something that is no unit.
    #[error("invalid MachineOf {value:?}: {source}")]
    MachineOf {
        /// The value, with specifiers replaced.
        value: String,
        /// Why it is no unit name.
        source: NameError,
    },
    /// `MachineMetadata=` is not `key=value`.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// `Conflicts=` or `Replaces=` is a malformed pattern.
    #[error("malformed pattern {pattern:?} in {option}: check its brackets and backslashes")]
    Pattern {
        /// The option.
        option: &'static str,
        /// The pattern, with specifiers replaced.
        pattern: String,
    },
    /// `Global=` is neither true nor false.
    #[error("invalid Global {0:?}: expected true or false")]
    Global(String),
    /// `OnFailure=` is neither `stay` nor `move`.
    #[error("invalid OnFailure {0:?}: expected stay or move")]
    OnFailure(String),
    /// `MaxMoves=` is not a number that makes sense.
    #[error("invalid MaxMoves {0:?}: expected a number from 1 to {max}", max = Requirements::MAX_MOVES)]
    MaxMoves(String),
    /// `OnDisconnect=` is neither `keep` nor `stop`.
    #[error("invalid OnDisconnect {0:?}: expected keep or stop")]
    OnDisconnect(String),
    /// The unit must be beside a unit that it cannot be beside.
    #[error("unresolvable requirements: peer {peer:?} matches conflict {pattern:?}")]
    PeerConflicts {
        /// The unit that `MachineOf=` names.
        peer: String,
        /// The pattern that matches it.
        pattern: String,
    },
    /// The unit must be beside a unit that it drives away.
    #[error("unresolvable requirements: peer {peer:?} matches replace {pattern:?}")]
    PeerReplaced {
        /// The unit that `MachineOf=` names.
        peer: String,
        /// The pattern that matches it.
        pattern: String,
    },
    /// Two options that contradict each other.
    #[error("{0} cannot be used with {1}")]
    Contradiction(&'static str, &'static str),
}

impl Requirements {
    /// Reads the section of `file` for the unit `name`, whose name replaces
    /// the specifiers.
    ///
    /// A template is never placed and has no instance to replace `%i` by: a
    /// value that depends on it, and that makes no sense without, is left out
    /// (`MachineID=` stays as written).
    pub fn parse(file: &UnitFile, name: &UnitName) -> Result<Self, RequirementError> {
        options::parse(file, name)
    }

    /// Refuses options that contradict each other.
    pub fn validate(&self) -> Result<(), RequirementError> {
        self.validate_peers()?;
        let machine_id = ("MachineID", self.machine_id.is_some());
        let peers = ("Peers", !self.machine_of.is_empty());
        let conflicts = ("Conflicts", !self.conflicts.is_empty());
        let replaces = ("Replaces", !self.replaces.is_empty());
        let global = ("Global", self.global);
        let moves = ("OnFailure=move", self.on_failure == OnFailure::Move);
        let contradictions = [
            (machine_id, peers),
            (machine_id, conflicts),
            (machine_id, global),
            (machine_id, replaces),
            (global, peers),
            (global, replaces),
            (conflicts, replaces),
            // It would have no other place to go to.
            (moves, machine_id),
            (moves, global),
            (moves, ("MachineOf", peers.1)),
        ];
        match contradictions.iter().find(|((_, a), (_, b))| *a && *b) {
            Some(((a, _), (b, _))) => Err(RequirementError::Contradiction(a, b)),
            None => Ok(()),
        }
    }

    fn validate_peers(&self) -> Result<(), RequirementError> {
        for peer in &self.machine_of {
            let matching = |globs: &[Glob]| {
                let glob = globs.iter().find(|glob| glob.matches(peer.as_str()))?;
                Some((peer.to_string(), glob.to_string()))
            };
            if let Some((peer, pattern)) = matching(&self.conflicts) {
                return Err(RequirementError::PeerConflicts { peer, pattern });
            }
            if let Some((peer, pattern)) = matching(&self.replaces) {
                return Err(RequirementError::PeerReplaced { peer, pattern });
            }
        }
        Ok(())
    }

    /// What a person should hear about options that were ignored.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let unknown = self.unknown.iter().map(|key| format!("unrecognized requirement in [X-Fleet] section: {key:?}"));
        unknown.chain(self.idle_max_moves())
    }
}

#[cfg(test)]
mod tests;
