//! What was decided about a unit, and why: data first, and the one line that people read of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use fleet_registry::record::NoteKind;
use fleet_units::{MachineId, UnitName};

/// Why a machine cannot take a unit: the first filter that rejects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rejection {
    /// `MachineID=` asks for another.
    OtherMachine {
        /// What was asked for.
        wanted: String,
    },
    /// `MachineMetadata=` asks for what it does not have.
    Metadata {
        /// The key.
        key: String,
        /// The values that would do.
        wanted: BTreeSet<String>,
    },
    /// `MachineOf=` names a global unit that is not on it.
    PeerNotHere {
        /// The global unit.
        peer: UnitName,
    },
    /// The units that `MachineOf=` ties it to are elsewhere.
    GroupElsewhere {
        /// One of them.
        peer: UnitName,
        /// Where that is.
        machine: MachineId,
    },
    /// It holds a unit that conflicts.
    Conflict {
        /// That unit.
        with: UnitName,
    },
    /// It is still stopping a unit that conflicts.
    StillStopping {
        /// That unit.
        unit: UnitName,
    },
    /// It holds a unit whose `Replaces=` drives this one away.
    Replaced {
        /// That unit.
        by: UnitName,
    },
    /// It is not there.
    Absent,
    /// A record of it cannot be read.
    Unreadable,
    /// It came back and is not done with the schedule that it found.
    CatchingUp,
    /// An operator wants it to get nothing new.
    Cordoned,
    /// An operator wants it empty.
    Draining,
    /// It has as many units as a machine may have.
    Full,
    /// The unit failed there, and others can take it.
    Failed,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherMachine { wanted } => write!(f, "is not {wanted}"),
            Self::Metadata { key, wanted } => {
                let pairs: Vec<String> = wanted.iter().map(|value| format!("{key}={value}")).collect();
                write!(f, "lacks {}", pairs.join(" or "))
            }
            Self::PeerNotHere { peer } => write!(f, "does not run {peer}"),
            Self::GroupElsewhere { peer, machine } => write!(f, "is not {}, where {peer} is", machine.short()),
            Self::Conflict { with } => write!(f, "holds {with}, which conflicts"),
            Self::StillStopping { unit } => write!(f, "is still stopping {unit}, which conflicts"),
            Self::Replaced { by } => write!(f, "holds {by}, which replaces it"),
            Self::Absent => f.write_str("is absent"),
            Self::Unreadable => f.write_str("has a record that cannot be read"),
            Self::CatchingUp => f.write_str("is catching up"),
            Self::Cordoned => f.write_str("is cordoned"),
            Self::Draining => f.write_str("is draining"),
            Self::Full => f.write_str("is full"),
            Self::Failed => f.write_str("is where it failed"),
        }
    }
}

impl Rejection {
    /// Rejections that read alike are counted together: which unit it is that conflicts differs by machine.
    pub(super) fn class(&self) -> (u8, String) {
        match self {
            Self::Conflict { .. } => (1, String::new()),
            Self::StillStopping { .. } => (2, String::new()),
            Self::Replaced { .. } => (3, String::new()),
            other => (0, other.to_string()),
        }
    }
}

/// How many machines reject for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub machines: usize,
    /// The reason, as the first of them has it.
    pub example: Rejection,
    /// Whose requirement it is, where that is another unit of the group.
    pub member: Option<UnitName>,
}

/// Why no machine can take a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejections {
    /// How many machines were asked.
    pub machines: usize,
    /// Reasons, the most frequent first.
    pub tallies: Vec<Tally>,
}

impl Rejections {
    /// Counts what each machine answered.
    pub(super) fn count(answers: impl Iterator<Item = (Rejection, Option<UnitName>)>) -> Self {
        let mut machines = 0;
        let mut by_class: BTreeMap<_, Tally> = BTreeMap::new();
        for (example, member) in answers {
            machines += 1;
            let class = (example.class(), member.clone());
            by_class.entry(class).or_insert(Tally { machines: 0, example, member }).machines += 1;
        }
        let mut tallies: Vec<Tally> = by_class.into_values().collect();
        tallies.sort_by_key(|tally| std::cmp::Reverse(tally.machines));
        Self { machines, tallies }
    }
}

impl fmt::Display for Rejections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.machines == 0 {
            return f.write_str("no machine is present");
        }
        f.write_str("no machine: ")?;
        for (n, tally) in self.tallies.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{} of {} ", tally.machines, self.machines)?;
            let example = tally.example.to_string();
            if tally.machines == 1 {
                f.write_str(&example)?;
            } else {
                f.write_str(&plural(&example))?;
            }
            if let Some(member) = &tally.member {
                write!(f, " (for {member}, which must be with it)")?;
            }
        }
        Ok(())
    }
}

/// The same words said of several machines.
pub(super) fn plural(example: &str) -> String {
    let verbs =
        [("is ", "are "), ("lacks ", "lack "), ("holds ", "hold "), ("does not ", "do not "), ("has ", "have ")];
    for (one, many) in verbs {
        if let Some(rest) = example.strip_prefix(one) {
            return format!("{many}{rest}");
        }
    }
    example.to_owned()
}

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
            Self::PeerUnreadable { peer } => write!(f, "waiting for {peer}, whose text cannot be used"),
            Self::GivingBack { unit, machine } => write!(f, "waiting for {} to give back {unit}", machine.short()),
            Self::StillStopping { machine, unit } => {
                write!(f, "waiting for {} to stop {unit}, which conflicts", machine.short())
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
        }
    }
}

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

fn units(count: u32) -> String {
    if count == 1 { "1 unit".to_owned() } else { format!("{count} units") }
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
            Self::Lost => f.write_str("the machine is lost"),
        }
    }
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
        write!(f, " {}", self.outcome)
    }
}
