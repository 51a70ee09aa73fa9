//! What the agent has to say to people: one line each, for the log.

use fleet_registry::record::ClusterId;
use fleet_units::UnitName;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For whoever looks for it.
    Debug,
    /// Worth a line.
    Info,
    /// Something is not as it should be, and fleet goes on.
    Warning,
    /// Someone must do something.
    Error,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Report {
    /// The configuration was read again, and says something else of this machine.
    #[error("this machine's record follows its configuration, which was read again")]
    Redescribed,
    /// What runs was found and adopted.
    #[error("adopted {units} units that fleet loaded before ({orphans} orphans)")]
    Adopted {
        /// Units of this cluster or of an unknown one, as noted.
        units: usize,
        /// Units without a usable note.
        orphans: usize,
    },
    /// A new cluster was made in an empty store.
    #[error("the store was empty: this is now cluster {0}")]
    Founded(ClusterId),
    /// This machine belongs to a cluster from now on.
    #[error("joined cluster {0}")]
    Joined(ClusterId),
    /// The store is not of the cluster that this machine belongs to.
    #[error(
        "this machine belongs to cluster {remembered}, but the store holds {}: nothing is touched; \
         if that is meant, run `fleetctl join --accept` here",
        .found.as_ref().map_or_else(|| "none".to_owned(), |id| format!("cluster {id}"))
    )]
    ForeignStore {
        /// The cluster of this machine.
        remembered: ClusterId,
        /// The cluster of the store.
        found: Option<ClusterId>,
    },
    /// The machine is present.
    #[error("registered as {machine}, lease {lease:x}")]
    Registered {
        /// Its id.
        machine: String,
        /// The lease.
        lease: i64,
    },
    /// Another machine has this machine's id.
    #[error(
        "another machine with this machine-id is registered: {theirs} there, {ours} here; \
         give one of them its own /etc/machine-id. Nothing is done until that one is gone"
    )]
    Cloned {
        /// Its addresses.
        theirs: String,
        /// This machine's.
        ours: String,
    },
    /// The record of this machine's last boot is still there.
    #[error("the record of this machine's last boot ({theirs}) is still there: waiting for its lease to end")]
    LastBoot {
        /// Its addresses.
        theirs: String,
    },
    /// The machine is no longer present.
    #[error("this machine's record is gone ({why}): registering again; nothing is started until then")]
    Unregistered {
        /// Why.
        why: String,
    },
    /// What was scheduled has been caught up with.
    #[error("caught up with schedule {generation}")]
    CaughtUp {
        /// Its generation.
        generation: u64,
    },
    /// There is no schedule for this machine.
    #[error("the engine has written no schedule for this machine yet: nothing is touched")]
    NoSchedule,
    /// A schedule older than one that was carried out.
    #[error("refused schedule {generation}: schedule {acknowledged} has been carried out already")]
    Refused {
        /// The one found.
        generation: u64,
        /// The one acknowledged.
        acknowledged: u64,
    },
    /// The store was restored from a backup that is older than a unit.
    #[error(
        "{unit}: no record knows it any more, as after a restored backup: it is left alone, and shown as an orphan until \
         a unit of its name is scheduled to this machine"
    )]
    Orphaned {
        /// Which.
        unit: UnitName,
    },
    /// A record that cannot be read.
    #[error("{key}: {why}")]
    Unreadable {
        /// Where.
        key: String,
        /// Why.
        why: String,
    },
    /// The store does not answer.
    #[error("the store does not answer ({why}): what runs is left alone")]
    StoreTrouble {
        /// Why.
        why: String,
    },
    /// Something was done with a unit.
    #[error("{unit}: {what}")]
    Unit {
        /// Which.
        unit: UnitName,
        /// What.
        what: String,
    },
    /// Something went wrong with a unit.
    #[error("{unit}: {why}")]
    UnitTrouble {
        /// Which.
        unit: UnitName,
        /// Why.
        why: String,
    },
    /// The disk does not do what it is asked.
    #[error("{what}: {why}")]
    DiskTrouble {
        /// What was tried.
        what: String,
        /// Why it failed.
        why: String,
    },
    /// systemd cannot be reached.
    #[error("systemd cannot be reached over D-Bus ({why}): trying again")]
    SystemdTrouble {
        /// Why.
        why: String,
    },
    /// Units with `OnDisconnect=stop` may run here.
    #[error("units with OnDisconnect=stop are fenced by systemd")]
    Fenced,
    /// Such units cannot be fenced.
    #[error("units with OnDisconnect=stop cannot be fenced ({why}): they are not started")]
    FenceTrouble {
        /// Why.
        why: String,
    },
    /// The machine leaves.
    #[error("leaving: {units} units are stopped and given back")]
    Leaving {
        /// How many.
        units: usize,
    },
    /// The machine leaves without a store.
    #[error("leaving without a store: units are kept, and the lease runs out")]
    LeavingAlone,
}

impl Report {
    /// How much it matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Unit { .. } | Self::Fenced => Severity::Debug,
            Self::Adopted { .. }
            | Self::Redescribed
            | Self::Founded(_)
            | Self::Joined(_)
            | Self::Registered { .. }
            | Self::LastBoot { .. }
            | Self::CaughtUp { .. }
            | Self::NoSchedule
            | Self::Leaving { .. } => Severity::Info,
            Self::Unregistered { .. }
            | Self::Refused { .. }
            | Self::Orphaned { .. }
            | Self::StoreTrouble { .. }
            | Self::UnitTrouble { .. }
            | Self::SystemdTrouble { .. }
            | Self::FenceTrouble { .. }
            | Self::LeavingAlone => Severity::Warning,
            Self::ForeignStore { .. } | Self::Cloned { .. } | Self::Unreadable { .. } | Self::DiskTrouble { .. } => {
                Severity::Error
            }
        }
    }
}
