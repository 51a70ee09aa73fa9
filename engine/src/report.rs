//! What the engine tells people in the logs, as data; the shell writes it.

use std::fmt;

use fleet_registry::record::{BrakeRecord, LeaderRecord};
use fleet_units::{MachineId, UnitName};

use crate::placement::Decision;

/// How much a report matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for a fault of fleet's.
    Debug,
    /// What fleet does.
    Info,
    /// What a person should look at.
    Warn,
    /// What a person must look at.
    Error,
}

/// Something that happened in the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// This machine leads.
    Elected {
        /// Why it stood.
        why: String,
        /// The fence of its writes.
        fence: i64,
    },
    /// It does not lead any more.
    Deposed {
        /// Why.
        why: String,
    },
    /// Another leads, or none.
    Leader(Option<LeaderRecord>),
    /// Whether it stands by with a warm mirror.
    StandsBy(bool),
    /// A leader has read the registry and begins to decide.
    Ready {
        /// How many units there are.
        units: usize,
        /// How many machines are known.
        machines: usize,
        /// The revision it decides upon.
        revision: i64,
    },
    /// A decision about a unit.
    Decided(Decision),
    /// A unit that is moved for failing has failed, or stays for now.
    Failed {
        /// Which.
        unit: UnitName,
        /// What comes of it.
        what: String,
    },
    /// A machine's record is gone.
    Absent {
        /// Which.
        machine: MachineId,
    },
    /// A machine stopped everything and left.
    Left {
        /// Which.
        machine: MachineId,
    },
    /// It was lost long ago: its records are deleted.
    Forgotten {
        /// Which.
        machine: MachineId,
    },
    /// Its absence is taken as its loss.
    Lost {
        /// Which.
        machine: MachineId,
    },
    /// A machine came back.
    Returned {
        /// Which.
        machine: MachineId,
    },
    /// Too many are lost at once: nothing of theirs moves.
    BrakeOn(BrakeRecord),
    /// The brake is off.
    BrakeOff {
        /// Why.
        why: String,
    },
    /// What is known of the registry may be out of date: nothing is decided.
    Stale {
        /// Why.
        why: String,
    },
    /// The registry was restored from a backup or replaced by another.
    Restored {
        /// Why.
        why: String,
    },
    /// A write did not go through; it is decided again.
    WriteFailed {
        /// Why.
        why: String,
    },
    /// A record of the registry cannot be read.
    Unreadable {
        /// Its key.
        key: String,
        /// Why.
        why: String,
    },
}

impl Report {
    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::BrakeOn(_) => Level::Error,
            Self::Lost { .. }
            | Self::Failed { .. }
            | Self::Stale { .. }
            | Self::Restored { .. }
            | Self::Unreadable { .. } => Level::Warn,
            Self::StandsBy(_) | Self::WriteFailed { .. } => Level::Debug,
            _ => Level::Info,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elected { why, fence } => write!(f, "this machine leads the cluster: {why} (fence {fence})"),
            Self::Deposed { why } => write!(f, "this machine leads the cluster no more: {why}"),
            Self::Leader(Some(leader)) => write!(f, "{} leads the cluster", leader.machine.short()),
            Self::Leader(None) => f.write_str("nobody leads the cluster"),
            Self::StandsBy(true) => f.write_str("standing by to lead"),
            Self::StandsBy(false) => f.write_str("standing by no more"),
            Self::Ready { units, machines, revision } => {
                write!(f, "deciding about {units} units and {machines} machines from revision {revision} on")
            }
            Self::Decided(decision) => decision.fmt(f),
            Self::Failed { unit, what } => write!(f, "{unit}: {what}"),
            Self::Absent { machine } => write!(f, "{} is absent", machine.short()),
            Self::Left { machine } => {
                write!(f, "{} left: it stopped its units, which may run elsewhere", machine.short())
            }
            Self::Forgotten { machine } => {
                write!(f, "{} was lost for machine_retention: its records are deleted", machine.short())
            }
            Self::Lost { machine } => write!(f, "{} is lost: its units may run elsewhere", machine.short()),
            Self::Returned { machine } => write!(f, "{} is present", machine.short()),
            Self::BrakeOn(brake) => {
                let lost: Vec<&str> = brake.lost.keys().map(MachineId::short).collect();
                write!(
                    f,
                    "the brake is on: {} of {} machines are absent ({}); nothing of theirs moves until they return, \
                     engine_brake_hold has passed, or `fleetctl brake release`",
                    lost.len(),
                    brake.present_before,
                    lost.join(", ")
                )
            }
            Self::BrakeOff { why } => write!(f, "the brake is off: {why}"),
            Self::Stale { why } => write!(f, "deciding nothing while the registry is not followed: {why}"),
            Self::Restored { why } => write!(f, "the registry is not what it was: {why}"),
            Self::WriteFailed { why } => write!(f, "a write did not go through and is decided again: {why}"),
            Self::Unreadable { key, why } => write!(f, "{key} cannot be read and is left alone: {why}"),
        }
    }
}
