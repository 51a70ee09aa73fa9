//! What placement is told: machines and units, as the registry's records have them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fleet_registry::record::{ContentKey, Target};
use fleet_units::{DesiredState, MachineId, MachineTraits, Requirements, UnitName};

use super::decision::Blocker;
use super::rejection::Rejection;

/// Whether a machine is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Its lease lives.
    Present,
    /// Its record is gone, but that is not taken as its loss (yet): nothing moves.
    Held,
    /// It is lost: what it held may run elsewhere.
    Gone,
}

/// What a machine has for units, less what is reserved for the system. What it does not say is not there for those that
/// ask for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processor time in thousandths of a core.
    pub cpu_millis: Option<u64>,
}

/// A machine, as decisions see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineFacts {
    /// Which.
    pub id: MachineId,
    /// Its name, for `%H`.
    pub hostname: String,
    /// Its metadata, with the operator's overrides.
    pub metadata: BTreeMap<String, String>,
    /// What it has for units.
    pub capacity: Capacity,
    /// Whether it is there.
    pub presence: Presence,
    /// Lost as it is, it may still be stopping these units, which asked for `OnDisconnect=stop`: each with how long they
    /// must not run elsewhere after the loss.
    pub fencing: BTreeMap<UnitName, Duration>,
    /// It has not carried out the schedule that it found on its return: it is given nothing new.
    pub catching_up: bool,
    /// An operator wants it to get nothing new.
    pub cordoned: bool,
    /// An operator wants it empty.
    pub draining: bool,
    /// It carries the embedded registry: last among equals.
    pub carries_registry: bool,
    /// A record of it, or its schedule, cannot be read: nothing goes there, and nothing is moved away.
    pub unreadable: bool,
}

impl MachineFacts {
    /// A present machine of which nothing else is known.
    #[must_use]
    pub fn new(id: MachineId) -> Self {
        Self {
            id,
            hostname: String::new(),
            capacity: Capacity::default(),
            metadata: BTreeMap::new(),
            presence: Presence::Present,
            fencing: BTreeMap::new(),
            catching_up: false,
            cordoned: false,
            draining: false,
            carries_registry: false,
            unreadable: false,
        }
    }

    /// What demands on metadata are held against.
    pub(super) fn traits(&self) -> MachineTraits<'_> {
        MachineTraits { metadata: &self.metadata, hostname: &self.hostname, id: self.id.as_str() }
    }

    /// What a unit waits for that it holds while it is not to be judged, or may still be stopping though it is lost.
    pub(super) fn blocker(&self, unit: &UnitName) -> Blocker {
        let machine = self.id.clone();
        match self.fencing.get(unit) {
            Some(&wait) if self.presence == Presence::Gone => Blocker::Fencing { unit: unit.clone(), machine, wait },
            _ if self.unreadable => Blocker::Unreadable { machine },
            _ => Blocker::Absent { machine },
        }
    }

    /// Why it cannot be given anything while it is not to be judged, or not there.
    pub(super) fn absence(&self) -> Rejection {
        if self.unreadable { Rejection::Unreadable } else { Rejection::Absent }
    }

    /// Whether nothing of this unit can run here any more, though the machine never said so.
    pub(super) fn has_lost(&self, unit: &UnitName) -> bool {
        self.presence == Presence::Gone && !self.fencing.contains_key(unit)
    }

    /// Whether it may be given units at all.
    pub(super) fn is_open(&self) -> bool {
        self.presence == Presence::Present && !self.catching_up && !self.cordoned && !self.draining
    }
}

/// A unit, as decisions see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitSpec {
    /// Create revision of its record: which unit of its name it is.
    pub uid: i64,
    /// Its text.
    pub content: ContentKey,
    /// What people want of it.
    pub desired: DesiredState,
    /// Restart generation.
    pub restarts: u64,
    /// What it asks of a machine, or why its text cannot be used.
    pub requirements: Result<Arc<Requirements>, Arc<str>>,
    /// False where its very record cannot be read: it stays wherever it is, as it is.
    pub readable: bool,
}

impl UnitSpec {
    /// A unit whose record cannot be read, for this reason.
    #[must_use]
    pub fn unreadable(uid: i64, why: &str) -> Self {
        let (content, desired) = (ContentKey("".into()), DesiredState::Launched);
        Self { uid, content, desired, restarts: 0, requirements: Err(why.into()), readable: false }
    }

    /// Why nothing can be made of it, and whether at least its record can be read.
    pub(super) fn trouble(&self) -> Option<(&str, bool)> {
        self.requirements.as_ref().err().map(|why| (&**why, self.readable))
    }

    /// Whether its start waits for others.
    pub(super) fn orders_its_start(&self) -> bool {
        self.requirements.as_ref().is_ok_and(|wanted| !wanted.after.is_empty() || !wanted.requires.is_empty())
    }

    /// What its machine is to do with it; none when it needs no machine.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        match self.desired {
            DesiredState::Inactive => None,
            DesiredState::Loaded => Some(Target::Loaded),
            DesiredState::Launched => Some(Target::Launched),
        }
    }
}
