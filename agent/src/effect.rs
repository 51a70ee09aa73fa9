//! What happens to the agent, and what it wants done.
//!
//! Every effect with an `op` is answered by exactly one event with the same `op`, whatever becomes of it, so that a
//! shell (or a simulator) can be small and the agent can count on hearing back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleet_registry::record::{ClusterId, ContentKey, ContentRecord};
use fleet_registry::session::SessionEvent;
use fleet_registry::{Mono, StoreEffect, StoreEvent};
use fleet_units::UnitName;
use serde::{Deserialize, Serialize};

use crate::agent::UnitSnapshot;
use crate::config::MachineFacts;
use crate::note::Note;
use crate::reconcile::Residue;
use crate::report::Report;

/// Pairs an effect with its answer.
pub type Op = u64;

/// What happens to the agent.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Begin: look at the disk and at systemd.
    Start,
    /// From the store.
    Store(StoreEvent),
    /// From the session that holds this machine's lease.
    Session(SessionEvent),
    /// From systemd.
    Systemd(SystemdEvent),
    /// From the disk.
    Disk(DiskEvent),
    /// The wakeup time has come.
    Tick,
    /// A person makes this machine a member of the cluster whose store it found, or of a new one in an empty store.
    Accept {
        /// The cluster that they saw.
        found: Option<ClusterId>,
    },
    /// A person wants a unit stopped that this cluster did not ask for.
    StopOrphan(UnitName),
    /// The machine's configuration was read again: what it says of itself from now on.
    Facts(Box<MachineFacts>),
    /// Somebody wants to see its units: they are told as [`Effect::Told`].
    Tell,
    /// Stop and unload everything, then say [`Effect::Left`].
    Leave,
    /// Leave everything running, then say [`Effect::Left`].
    Detach,
}

/// What the agent wants done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Of the store.
    Store(StoreEffect),
    /// Of systemd.
    Systemd(SystemdEffect),
    /// Of the disk.
    Disk(DiskEffect),
    /// For people.
    Log(Report),
    /// All units, for whoever asked with [`Event::Tell`].
    Told(Vec<UnitSnapshot>),
    /// What runs has been adopted. Said once.
    Ready,
    /// After [`Event::Leave`] or [`Event::Detach`]: nothing more is to be done.
    Left,
}

/// A unit to link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkUnit {
    /// Which.
    pub unit: UnitName,
    /// Whether its file has an `[Install]` section to carry out.
    pub enable: bool,
}

/// What the agent wants of systemd.
#[derive(Debug, Clone, PartialEq)]
pub enum SystemdEffect {
    /// Report changes of these units from now on.
    Watch(Vec<UnitName>),
    /// No longer.
    Unwatch(Vec<UnitName>),
    /// Say at once what systemd makes of these units ([`SystemdEvent::Listed`]), and report each in full as
    /// [`SystemdEvent::Changed`] when there is time.
    List {
        /// Pairs with the answer.
        op: Op,
        /// Which.
        units: Vec<UnitName>,
    },
    /// Link these units' files at runtime, and enable those that ask for it.
    Link {
        /// Pairs with the answer.
        op: Op,
        /// Which.
        units: Vec<LinkUnit>,
    },
    /// Disable and unlink these units, and reset what failed of them.
    Unlink {
        /// Pairs with the answer.
        op: Op,
        /// Which.
        units: Vec<UnitName>,
    },
    /// Read all unit files anew.
    Reload {
        /// Pairs with the answer.
        op: Op,
    },
    /// Start, stop or restart a unit and await the job.
    Job {
        /// Pairs with the answer.
        op: Op,
        /// Which unit.
        unit: UnitName,
        /// Which job.
        job: Job,
    },
    /// Do something about the fence of units with `OnDisconnect=stop`.
    Fence {
        /// Pairs with the answer.
        op: Op,
        /// What.
        act: FenceAct,
    },
}

/// What is to be done about the fence: `fleet-connected.target`, which such units need, and the timers
/// `fleet-fence@N.timer`, each of which takes it down by starting `fleet-fence@N.service`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FenceAct {
    /// Find out how it stands; an error where systemd lacks the units that fleet ships for it.
    Look,
    /// Arm the timer of this number and await it.
    Arm {
        /// Which.
        number: u64,
        /// When it fires, however late this is done: at once if that has passed.
        deadline: Mono,
    },
    /// Stop timers.
    Disarm {
        /// Which.
        numbers: BTreeSet<u64>,
    },
    /// Start the target and await it, unless a fence has fallen.
    Connect,
    /// Stop the target, await that all that needs it is stopped, and clear away timers and fences that have fallen.
    Release,
}

/// How the fence stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FenceReport {
    /// Timers that systemd has.
    pub timers: BTreeSet<u64>,
    /// The highest number of any timer or service of the fence that systemd has.
    pub highest: u64,
    /// Whether a fence has fallen and was not cleared away.
    pub fired: bool,
    /// Id of the target's run, while it is active.
    pub connected: Option<String>,
}

/// A job of systemd's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Start it, unless it runs.
    Start,
    /// Stop it, if it runs; a unit that systemd does not know is stopped.
    Stop,
    /// Stop it and start it again.
    Restart,
}

/// What systemd says of a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitReport {
    /// LoadState.
    pub load: String,
    /// ActiveState.
    pub active: String,
    /// SubState.
    pub sub: String,
    /// Result of the last run; empty where the type has none.
    pub result: String,
    /// When the state last changed, in milliseconds since the Unix epoch.
    pub since: u64,
    /// systemd's own restarts.
    pub n_restarts: u32,
    /// Main process, or 0.
    pub main_pid: u32,
    /// Id of the run, or empty.
    pub invocation: String,
    /// Upper bound on how long stopping takes, in milliseconds; `None` without a limit, or not known yet.
    pub stop_bound_ms: Option<u64>,
}

impl UnitReport {
    /// Whether anything of the unit may run.
    #[must_use]
    pub fn may_run(&self) -> bool {
        !matches!(self.active.as_str(), "inactive" | "failed" | "")
    }
}

/// Why systemd did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SystemdError {
    /// It does not know the unit.
    #[error("systemd does not know the unit")]
    NoSuchUnit,
    /// The connection broke: it may have been done.
    #[error("the connection to systemd broke: {0}")]
    Disconnected(String),
    /// It refused, or the job failed.
    #[error("{0}")]
    Refused(String),
}

/// What comes from systemd.
#[derive(Debug, Clone, PartialEq)]
pub enum SystemdEvent {
    /// Calls can be made from now on; whatever was known may be out of date.
    Connected,
    /// No calls can be made; those under way are answered with [`SystemdError::Disconnected`].
    Disconnected {
        /// Why.
        why: String,
    },
    /// Answers [`SystemdEffect::List`]: load, active and sub states are right, the rest may be missing.
    Listed {
        /// Pairs with the effect.
        op: Op,
        /// What systemd says.
        result: Result<BTreeMap<UnitName, UnitReport>, SystemdError>,
    },
    /// Answers [`SystemdEffect::Link`]; true where systemd must reload to see the file.
    Linked {
        /// Pairs with the effect.
        op: Op,
        /// One for each unit.
        units: BTreeMap<UnitName, Result<bool, SystemdError>>,
    },
    /// Answers [`SystemdEffect::Unlink`].
    Unlinked {
        /// Pairs with the effect.
        op: Op,
        /// One for each unit.
        units: BTreeMap<UnitName, Result<Residue, SystemdError>>,
    },
    /// Answers [`SystemdEffect::Reload`].
    Reloaded {
        /// Pairs with the effect.
        op: Op,
        /// How it went.
        result: Result<(), SystemdError>,
    },
    /// Answers [`SystemdEffect::Job`].
    JobDone {
        /// Pairs with the effect.
        op: Op,
        /// Which unit.
        unit: UnitName,
        /// How it ended.
        result: Result<(), SystemdError>,
        /// The unit as it is now, where known.
        report: Option<UnitReport>,
    },
    /// Answers [`SystemdEffect::Fence`]; what of the report was not asked for may be missing.
    Fence {
        /// Pairs with the effect.
        op: Op,
        /// How the fence stands.
        result: Result<FenceReport, SystemdError>,
    },
    /// A watched unit changed.
    Changed {
        /// Which.
        unit: UnitName,
        /// The unit as it is now.
        report: UnitReport,
    },
}

/// What an agent remembers of its cluster across boots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Highest schedule generation that was acknowledged.
    #[serde(default)]
    pub acknowledged: u64,
    /// Highest revision of the store that was seen then.
    #[serde(default)]
    pub revision: i64,
}

/// A unit found in fleet's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundUnit {
    /// Its note, or why there is none that can be used.
    pub note: Result<Note, String>,
    /// Whether its file is there.
    pub file: bool,
    /// Without a note: the text that is there, of a unit that another than fleetd left, such as CoreOS fleet.
    pub content: Option<ContentKey>,
}

/// What was found on the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The cluster that this machine belongs to.
    pub cluster: Option<ClusterId>,
    /// What it remembers of it.
    pub memory: Memory,
    /// What fleet's directory holds.
    pub units: BTreeMap<UnitName, FoundUnit>,
}

/// What the agent wants of the disk. Effects are carried out in order.
#[derive(Debug, Clone, PartialEq)]
pub enum DiskEffect {
    /// Read everything.
    Scan,
    /// Read which cluster this machine belongs to: a person may have changed it.
    ReadCluster,
    /// Remember it, and forget what was remembered of another.
    WriteCluster(ClusterId),
    /// Remember this.
    WriteMemory(Memory),
    /// Write a unit: its note first, then drop-ins and file.
    WriteUnit {
        /// Pairs with the answer.
        op: Op,
        /// Which.
        unit: UnitName,
        /// What.
        content: Arc<ContentRecord>,
        /// Its note.
        note: Note,
    },
    /// Write a unit's note alone.
    WriteNote {
        /// Pairs with the answer.
        op: Op,
        /// Which.
        unit: UnitName,
        /// What.
        note: Note,
    },
    /// Remove a unit: file and drop-ins, then its note.
    RemoveUnit {
        /// Pairs with the answer.
        op: Op,
        /// Which.
        unit: UnitName,
        /// Its drop-ins.
        drop_ins: Vec<String>,
    },
}

/// What comes from the disk. Errors are in the system's words, with the path.
#[derive(Debug, Clone, PartialEq)]
pub enum DiskEvent {
    /// Answers [`DiskEffect::Scan`].
    Scanned(Result<Found, String>),
    /// Answers [`DiskEffect::ReadCluster`].
    Cluster(Result<Option<ClusterId>, String>),
    /// Answers [`DiskEffect::WriteCluster`].
    ClusterWritten(Result<(), String>),
    /// Answers [`DiskEffect::WriteMemory`].
    MemoryWritten(Result<(), String>),
    /// Answers the effects that speak of a unit.
    Unit {
        /// Pairs with the effect.
        op: Op,
        /// Which.
        unit: UnitName,
        /// How it went.
        result: Result<(), String>,
    },
}
