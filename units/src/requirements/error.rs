//! What can be wrong with an `[X-Fleet]` section.

use crate::{MetadataError, NameError, UnitName};

use super::Requirements;

/// What is wrong with an `[X-Fleet]` section. Contradictions are in the words
/// of CoreOS fleet, for which `MachineOf` names peers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequirementError {
    /// `MachineOf=`, `After=` or `Requires=` names something that is no unit.
    #[error("invalid {option} {value:?}: {source}")]
    Peer {
        /// The option.
        option: &'static str,
        /// The value, with specifiers replaced.
        value: String,
        /// Why it is no unit name.
        source: NameError,
    },
    /// The unit names itself.
    #[error("{name} cannot name itself in {option}")]
    Itself {
        /// The option.
        option: &'static str,
        /// The unit.
        name: UnitName,
    },
    /// `Priority=` is not a number that makes sense.
    #[error("invalid Priority {0:?}: expected a whole number from -{max} to {max}", max = Requirements::MAX_PRIORITY)]
    Priority(String),
    /// `Preempt=` is neither yes nor no.
    #[error("invalid Preempt {0:?}: expected yes or no")]
    Preempt(String),
    /// `MachineMetadata=` or `PreferMetadata=` is no demand on metadata.
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
    /// `Memory=` is no amount.
    #[error("invalid Memory {0:?}: expected bytes, or a number with K, M, G or T, such as 512M")]
    Memory(String),
    /// `CPU=` is no share.
    #[error("invalid CPU {0:?}: expected per cent of one core, such as 50% or 200%")]
    Cpu(String),
    /// `SpreadBy=` is no key of metadata.
    #[error("invalid SpreadBy {0:?}: expected one key of the machines' metadata, such as zone")]
    SpreadBy(String),
    /// `MaxPerMachine=` is not a number that makes sense.
    #[error("invalid MaxPerMachine {0:?}: expected a number from 1 to {max}", max = Requirements::MAX_PER_MACHINE)]
    MaxPerMachine(String),
    /// No machine can meet two demands at once.
    #[error("unresolvable requirements: no machine meets both MachineMetadata {0} and {1}")]
    MetadataConflict(String, String),
    /// A value depends on the machine where none can.
    #[error(
        "{option} {value:?} cannot use {specifier}, which differs by machine: only values of MachineMetadata and PreferMetadata can"
    )]
    OfMachine {
        /// The option.
        option: &'static str,
        /// The value, with the unit's specifiers replaced.
        value: String,
        /// `%H` or `%m`.
        specifier: &'static str,
    },
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
