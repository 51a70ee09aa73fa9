//! Why a machine cannot take a unit, and how many say so for one reason.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use fleet_units::{MachineId, UnitName};

use super::demand::Demand;
use super::resources::Resource;
use super::together::Together;

/// Why a machine cannot take a unit: the first filter that rejects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rejection {
    /// `MachineID=` asks for another.
    OtherMachine {
        /// What was asked for.
        wanted: String,
    },
    /// It does not meet a demand of `MachineMetadata=`.
    Metadata {
        /// The demand.
        unmet: Demand,
    },
    /// It has no room for what `Memory=` or `CPU=` ask.
    Resources {
        /// For which of them.
        resource: Resource,
        /// How much is free; none where the machine does not say how much it has.
        free: Option<u64>,
        /// How much is asked.
        asked: u64,
        /// Whether it is asked by several units that must be together.
        together: bool,
    },
    /// It has as many of the unit's group as one that is there, or the unit, says in `MaxPerMachine=`.
    MaxPerMachine {
        /// The group.
        group: Arc<str>,
        /// How many would be there with it.
        count: u32,
        /// How many may be there.
        limit: u32,
    },
    /// It has room once it has stopped a unit.
    StillUsed {
        /// That unit.
        unit: UnitName,
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
    /// It is kept for a unit of higher priority, which displaced others there.
    Kept {
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
    /// Somebody asked the unit to leave it, and others can take it.
    AskedAway,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherMachine { wanted } => write!(f, "is not {wanted}"),
            Self::Metadata { unmet } => f.write_str(&unmet.complaint()),
            Self::Resources { resource, free: None, .. } => write!(f, "reports no {resource} capacity"),
            Self::Resources { resource, free: Some(free), asked, together } => {
                write!(f, "has {}", free_of(*resource, *free, *asked, *together))
            }
            Self::MaxPerMachine { group, count, limit } => write!(f, "takes {limit} of {group} at most, not {count}"),
            Self::StillUsed { unit } => write!(f, "is still stopping {unit}, whose room it needs"),
            Self::PeerNotHere { peer } => write!(f, "does not run {peer}"),
            Self::GroupElsewhere { peer, machine } => write!(f, "is not {}, where {peer} is", machine.short()),
            Self::Conflict { with } => write!(f, "holds {with}, which conflicts"),
            Self::StillStopping { unit } => write!(f, "is still stopping {unit}, which conflicts"),
            Self::Replaced { by } => write!(f, "holds {by}, which replaces it"),
            Self::Kept { by } => write!(f, "is kept for {by}, which displaced others"),
            Self::Absent => f.write_str("is absent"),
            Self::Unreadable => f.write_str("has a record that cannot be read"),
            Self::CatchingUp => f.write_str("is catching up"),
            Self::Cordoned => f.write_str("is cordoned"),
            Self::Draining => f.write_str("is draining"),
            Self::Full => f.write_str("is full"),
            Self::Failed => f.write_str("is where it failed"),
            Self::AskedAway => f.write_str("is one that it was asked to leave"),
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
            Self::StillUsed { .. } => (4, String::new()),
            Self::Resources { resource, free: Some(_), asked, .. } => (5, resource.show(*asked)),
            other => (0, other.to_string()),
        }
    }

    /// Whether it is of the same class as another.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Conflict { .. }, Self::Conflict { .. })
            | (Self::StillStopping { .. }, Self::StillStopping { .. })
            | (Self::Replaced { .. }, Self::Replaced { .. })
            | (Self::StillUsed { .. }, Self::StillUsed { .. }) => true,
            (
                Self::Resources { resource, free: Some(_), asked, .. },
                Self::Resources { resource: other, free: Some(_), asked: as_much, .. },
            ) => (resource, asked) == (other, as_much),
            (this, other) => this == other,
        }
    }

    /// Takes up another of its class: the example is the machine that comes closest.
    pub(super) fn merge(&mut self, other: Self) {
        if let (Self::Resources { free: best, .. }, Self::Resources { free, .. }) = (&*self, &other)
            && free > best
        {
            *self = other;
        }
    }

    /// Whether it is what several units ask together.
    pub(super) fn is_joint(&self) -> bool {
        matches!(self, Self::Resources { together: true, .. })
    }

    /// The same said of several machines.
    pub(super) fn plural(&self) -> String {
        match self {
            Self::Resources { resource, free: Some(free), asked, together } => {
                format!("have at most {}", free_of(*resource, *free, *asked, *together))
            }
            other => plural(&other.to_string()),
        }
    }
}

fn free_of(resource: Resource, free: u64, asked: u64, together: bool) -> String {
    let of = if resource == Resource::Cpu { " CPU" } else { "" };
    let together = if together { " together" } else { "" };
    let (mut shown, mut of_asked) = (resource.show(free), resource.show(asked));
    if shown == of_asked && free != asked {
        // What is missing is less than the last digit.
        let finer = [(20, "M"), (10, "K"), (0, "B")].into_iter().find(|(power, _)| free >> power != asked >> power);
        let (power, suffix) = finer.unwrap_or((0, "B"));
        (shown, of_asked) = (format!("{}{suffix}", free >> power), format!("{}{suffix}", asked >> power));
    }
    format!("{shown}{of} free of {of_asked} asked{together}")
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
    /// Who displaced the unit from where it was.
    pub displaced_by: Option<UnitName>,
    /// The units that `MachineOf=` ties together and that were to be placed as one, this one among them; none for one that
    /// is placed alone.
    pub together: Option<Box<Together>>,
}

impl Rejections {
    /// Counts what each machine answered.
    pub(super) fn count(answers: impl IntoIterator<Item = (Rejection, Option<UnitName>)>) -> Self {
        let mut machines = 0;
        let mut tallies: Vec<Tally> = Vec::new();
        for (example, member) in answers {
            machines += 1;
            let same = |tally: &&mut Tally| tally.example.is_like(&example) && tally.member == member;
            match tallies.iter_mut().find(same) {
                Some(tally) => {
                    tally.machines += 1;
                    tally.example.merge(example);
                }
                None => tallies.push(Tally { machines: 1, example, member }),
            }
        }
        tallies.sort_by_cached_key(|tally| (Reverse(tally.machines), tally.example.class(), tally.member.clone()));
        Self { machines, tallies, displaced_by: None, together: None }
    }
}

impl fmt::Display for Rejections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(by) = &self.displaced_by {
            write!(f, "displaced by {by}, ")?;
        }
        if self.machines == 0 {
            return f.write_str("no machine is present");
        }
        f.write_str("no machine")?;
        if let Some(together) = &self.together {
            write!(f, " for {together}")?;
        }
        f.write_str(": ")?;
        for (n, tally) in self.tallies.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{} of {} ", tally.machines, self.machines)?;
            match tally.machines {
                1 => tally.example.fmt(f)?,
                _ => f.write_str(&tally.example.plural())?,
            }
            if let Some(member) = &tally.member {
                write!(f, " (for {member})")?;
            }
        }
        Ok(())
    }
}

/// The same words said of several machines.
fn plural(example: &str) -> String {
    let verbs = [
        ("is ", "are "),
        ("lacks ", "lack "),
        ("holds ", "hold "),
        ("does not ", "do not "),
        ("has ", "have "),
        ("reports ", "report "),
        ("takes ", "take "),
    ];
    for (one, many) in verbs {
        if let Some(rest) = example.strip_prefix(one) {
            return format!("{many}{rest}");
        }
    }
    example.to_owned()
}
