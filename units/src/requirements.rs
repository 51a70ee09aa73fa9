//! The `[X-Fleet]` section: what a unit asks of the cluster.

mod contradictions;
mod error;
mod failure;
mod options;
mod peers;
mod priority;
mod resources;
mod spread;

use serde::{Deserialize, Serialize};

use crate::{Glob, MetadataConstraints, OnDisconnect, UnitFile, UnitName};
pub use error::RequirementError;
pub use failure::OnFailure;
pub use peers::Peer;

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
    pub machine_of: Vec<Peer>,
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
    /// `Priority=`: who goes first when room is short; the higher does.
    pub priority: i32,
    /// `Preempt=`: where no machine can take it otherwise, it displaces units
    /// of lower priority.
    pub preempt: bool,
    /// `After=`: units that must be active before this one is started, if they
    /// are to run.
    pub after: Vec<Peer>,
    /// `Requires=`: units that must be active before this one is started.
    pub requires: Vec<Peer>,
    /// `Memory=`: how many bytes of its machine's memory it needs.
    pub memory: Option<u64>,
    /// `CPU=`: how much processor time of its machine it needs, in thousandths of
    /// a core.
    pub cpu_millis: Option<u64>,
    /// `PreferMetadata=`: what the machine's metadata had better be.
    pub prefer: MetadataConstraints,
    /// `SpreadBy=`: the key of the metadata over whose values it is spread.
    pub spread_by: Option<String>,
    /// `SpreadGroup=`: which units it is spread with; see
    /// [`Requirements::group`].
    pub spread_group: Option<String>,
    /// `MaxPerMachine=`: how many units of its group may be on its machine.
    pub max_per_machine: Option<u32>,
    /// Options in the section that fleet does not know, in order, for
    /// [`Requirements::warnings`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
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

    /// What a person should hear about options that were ignored.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let unknown = self.unknown.iter().map(|key| format!("unrecognized requirement in [X-Fleet] section: {key:?}"));
        unknown.chain(self.idle_max_moves())
    }
}

#[cfg(test)]
mod tests;
