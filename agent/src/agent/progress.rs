//! What a machine acknowledges.

use std::collections::BTreeSet;

use fleet_units::UnitName;

/// How far a schedule is carried out as far as stopping goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    /// Of this generation...
    pub generation: u64,
    /// ...all that it does not list is gone, but for these.
    pub stopping: BTreeSet<UnitName>,
}

impl Progress {
    /// Nothing is left to stop.
    pub(super) fn whole(generation: u64) -> Self {
        Self { generation, stopping: BTreeSet::new() }
    }
}
