//! A demand on metadata that a machine does not meet, as the unit's requirements have it: thousands of machines may be
//! told of it, so it is named, not copied.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use fleet_units::{MachineTraits, MetadataPredicate, Requirements};

/// One demand of a unit's `MachineMetadata=`.
#[derive(Clone)]
pub struct Demand {
    wanted: Arc<Requirements>,
    at: usize,
}

impl Demand {
    /// The first, by key, that a machine does not meet.
    pub(super) fn first_unmet(wanted: &Arc<Requirements>, machine: &MachineTraits<'_>) -> Option<Self> {
        let at = wanted.metadata.iter().position(|demand| !demand.matches(machine))?;
        Some(Self { wanted: Arc::clone(wanted), at })
    }
}

impl Deref for Demand {
    type Target = MetadataPredicate;

    fn deref(&self) -> &MetadataPredicate {
        self.wanted.metadata.iter().nth(self.at).expect("it was found there, and requirements never change")
    }
}

impl fmt::Debug for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Whatever unit says it: what is asked counts.
impl PartialEq for Demand {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.wanted, &other.wanted) && self.at == other.at || **self == **other
    }
}

impl Eq for Demand {}

impl PartialOrd for Demand {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Demand {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}
