//! What was decided about a unit, and why: data first, and the one line that people read of it.

use std::fmt;
use std::time::Duration;

use fleet_registry::record::NoteKind;
use fleet_units::{Glob, MachineId, UnitName};

use super::choice::Choice;
use super::hold::Hold;
use super::rejection::{Rejection, Rejections};
use super::replaces::ReplacesCircle;

/// What a unit waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocker {
    /// `MachineOf=` names a unit that nobody submitted.
    PeerMissing {
        /// That unit.
        peer: UnitName,
    },
    /// `MachineOf=` names a unit that nobody wants to run.
    PeerInactive {
        /// That unit.
        peer: UnitName,
    },
    /// `MachineOf=` names a unit that has no machine itself.
    PeerUnplaced {
        /// That unit.
        peer: UnitName,
    },
    /// No unit that people want to run matches a pattern of `MachineOf=`.
    NoPeer {
        /// The pattern.
        pattern: Glob,
    },
    /// `MachineOf=` names a unit whose text cannot be read: nothing is known of it, so nothing is moved for it.
    PeerUnreadable {
        /// That unit.
        peer: UnitName,
    },
    /// A machine has not acknowledged yet that it stopped the unit (or one that must be with it).
    GivingBack {
        /// The unit.
        unit: UnitName,
        /// The machine.
        machine: MachineId,
    },
    /// A machine that could take it is still stopping a unit that conflicts.
    StillStopping {
        /// The machine.
        machine: MachineId,
        /// The unit that conflicts.
        unit: UnitName,
    },
    /// A machine that could take it is still stopping a unit whose room it needs.
    StillUsed {
        /// The machine.
        machine: MachineId,
        /// The unit.
        unit: UnitName,
    },
    /// A machine that could take it is catching up.
    CatchingUp {
        /// The machine.
        machine: MachineId,
    },
    /// A lost machine may still be stopping it (or one that must be with it): it asked for `OnDisconnect=stop`.
    Fencing {
        /// The unit.
        unit: UnitName,
        /// The machine.
        machine: MachineId,
        /// How long that may take after the loss.
        wait: Duration,
    },
    /// Its machine is absent, which is not taken as its loss (yet).
    Absent {
        /// The machine.
        machine: MachineId,
    },
    /// It may be on a machine of which a record, or the schedule, cannot be read.
    Unreadable {
        /// The machine.
        machine: MachineId,
    },
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerMissing { peer } => write!(f, "waiting for {peer}, which does not exist"),
            Self::PeerInactive { peer } => write!(f, "waiting for {peer}, which is inactive"),
            Self::PeerUnplaced { peer } => write!(f, "waiting for {peer}, which has no machine"),
            Self::NoPeer { pattern } => write!(f, "waiting for a unit that matches {pattern}"),
            Self::PeerUnreadable { peer } => write!(f, "waiting for {peer}, whose text cannot be used"),
            Self::GivingBack { unit, machine } => write!(f, "waiting for {} to give back {unit}", machine.short()),
            Self::StillStopping { machine, unit } => {
                write!(f, "waiting for {} to stop {unit}, which conflicts", machine.short())
            }
            Self::StillUsed { machine, unit } => {
                write!(f, "waiting for {} to stop {unit}, whose room it needs", machine.short())
            }
            Self::CatchingUp { machine } => write!(f, "waiting for {}, which is catching up", machine.short()),
            Self::Fencing { unit, machine, wait } => {
                let seconds = wait.as_millis().div_ceil(1000);
                write!(f, "waiting until {}, which is lost, must have stopped {unit}: {seconds} s", machine.short())
            }
            Self::Absent { machine } => write!(f, "waiting for {}, which is absent", machine.short()),
            Self::Unreadable { machine } => {
                write!(f, "it may be on {}, of which a record cannot be read", machine.short())
            }
        }
    }
}

/// Why a unit cannot be placed as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalid {
    /// Its text cannot be used.
    Unreadable(String),
    /// Its record cannot be read.
    Record(String),
    /// A template is only ever run as an instance.
    Template,
    /// It must be with a unit that it conflicts with.
    ConflictsWithPeer {
        /// That unit.
        peer: UnitName,
    },
    /// It must be with a unit that it drives away.
    ReplacesPeer {
        /// That unit.
        peer: UnitName,
    },
    /// It must be with a unit that drives it away.
    ReplacedByPeer {
        /// That unit.
        peer: UnitName,
    },
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "its text cannot be used: {why}"),
            Self::Record(why) => write!(f, "left as it is: {why}"),
            Self::Template => f.write_str("it is a template: start an instance of it"),
            Self::ConflictsWithPeer { peer } => {
                write!(f, "it conflicts with {peer}, beside which MachineOf puts it")
            }
            Self::ReplacesPeer { peer } => write!(f, "it replaces {peer}, beside which MachineOf puts it"),
            Self::ReplacedByPeer { peer } => write!(f, "{peer} replaces it, and MachineOf puts it beside that"),
        }
    }
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was given to a machine.
    Placed {
        /// Which.
        machine: MachineId,
        /// Why that one.
        why: Choice,
    },
    /// It stays where it is.
    Kept {
        /// Where.
        machine: MachineId,
    },
    /// It will be placed once something else has happened.
    Waiting {
        /// What.
        on: Blocker,
    },
    /// No machine can take it as things are.
    Unplaceable {
        /// Why.
        rejections: Rejections,
    },
    /// It cannot be placed as it is written.
    Invalid {
        /// Why.
        why: Invalid,
    },
    /// A global unit runs on these many machines.
    Everywhere {
        /// How many.
        machines: usize,
    },
    /// Nobody wants it to run.
    Withdrawn,
}

impl Outcome {
    /// The machine of which it waits for something to stop there.
    #[must_use]
    pub fn waits_for_stop_on(&self) -> Option<&MachineId> {
        match self {
            Self::Waiting { on: Blocker::StillStopping { machine, .. } | Blocker::StillUsed { machine, .. } } => {
                Some(machine)
            }
            _ => None,
        }
    }

    /// The kind of note that tells of it; none when there is nothing to tell.
    #[must_use]
    pub fn note_kind(&self) -> Option<NoteKind> {
        match self {
            Self::Placed { .. } | Self::Kept { .. } | Self::Everywhere { .. } => Some(NoteKind::Placed),
            Self::Waiting { .. } => Some(NoteKind::Waiting),
            Self::Unplaceable { .. } => Some(NoteKind::Unplaceable),
            Self::Invalid { .. } => Some(NoteKind::Invalid),
            Self::Withdrawn => None,
        }
    }

    /// Whether the unit has no machine though people want it to run.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Waiting { .. } | Self::Unplaceable { .. } | Self::Invalid { .. })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Placed { machine, why } => write!(f, "on {}: {why}", machine.short()),
            Self::Kept { machine } => write!(f, "stays on {}", machine.short()),
            Self::Waiting { on } => on.fmt(f),
            Self::Unplaceable { rejections } => rejections.fmt(f),
            Self::Invalid { why } => why.fmt(f),
            Self::Everywhere { machines: 1 } => f.write_str("global: on 1 machine"),
            Self::Everywhere { machines } => write!(f, "global: on {machines} machines"),
            Self::Withdrawn => f.write_str("not wanted"),
        }
    }
}

/// Why a unit was taken off a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Departure {
    /// Nobody wants it to run any more.
    Withdrawn,
    /// A unit that it must be with left, or is not wanted.
    Follows(Blocker),
    /// It cannot be placed as it is written now.
    Invalid(Invalid),
    /// The machine does not suit it any more.
    Rejected(Rejection),
    /// The units that it must be with are elsewhere.
    Regrouped,
    /// It is global no more, and stays on one machine.
    NotGlobal,
    /// A unit of higher priority needs its room.
    Displaced {
        /// That unit.
        by: UnitName,
    },
    /// The machine is lost.
    Lost,
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Withdrawn => f.write_str("not wanted any more"),
            Self::Follows(blocker) => blocker.fmt(f),
            Self::Invalid(why) => why.fmt(f),
            Self::Rejected(rejection) => write!(f, "the machine {rejection}"),
            Self::Regrouped => f.write_str("must be with its peers"),
            Self::NotGlobal => f.write_str("global no more"),
            Self::Displaced { by } => write!(f, "displaced by {by}"),
            Self::Lost => f.write_str("the machine is lost"),
        }
    }
}

/// What there is to say of a unit.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// Where it is, or why it is not.
    pub outcome: &'a Outcome,
    /// Why it is not started there (yet).
    pub held: Option<&'a Hold>,
    /// Who displaced it, while it has no machine for that.
    pub displaced_by: Option<&'a UnitName>,
    /// Those among whom its `Replaces=` has no effect.
    pub circle: Option<&'a ReplacesCircle>,
}

/// What a pass did with one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The unit.
    pub unit: UnitName,
    /// Which of that name; 0 for one that is destroyed.
    pub uid: i64,
    /// Machines it was taken off, and why.
    pub left: Vec<(MachineId, Departure)>,
    /// Machines that a global unit was given to.
    pub joined: Vec<MachineId>,
    /// Where that leaves it.
    pub outcome: Outcome,
    /// Why it is not started there (yet).
    pub held: Option<Hold>,
    /// Who displaced it, while it has no machine for that.
    pub displaced_by: Option<UnitName>,
    /// Those among whom its `Replaces=` has no effect.
    pub circle: Option<ReplacesCircle>,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.unit)?;
        match &self.left[..] {
            few if few.len() <= 3 => {
                for (machine, why) in few {
                    write!(f, " leaves {} ({why}),", machine.short())?;
                }
            }
            many => write!(f, " leaves {} machines ({}),", many.len(), many[0].1)?,
        }
        match self.joined.len() {
            0..=3 => {
                for machine in &self.joined {
                    write!(f, " starts on {},", machine.short())?;
                }
            }
            many => write!(f, " starts on {many} machines,")?,
        }
        write!(f, " {}", self.outcome)?;
        if let Some(circle) = &self.circle {
            write!(f, "; {circle}")?;
        }
        self.held.as_ref().map_or(Ok(()), |held| write!(f, "; {held}"))
    }
}
