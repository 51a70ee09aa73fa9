//! What decides where machines stand, by number: it is looked at for each one that is tried, so it lies together.

use super::Standing;
use crate::placement::slots::{MachineIx, Slot};

/// What decides where a machine stands.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::placement) struct Gauge {
    /// Which share of it is used.
    pub(in crate::placement) share: u32,
    /// How many units it has.
    pub(in crate::placement) load: u32,
    /// Its place in the order of ids.
    pub(in crate::placement) rank: u64,
    /// How often it changed otherwise than by being given more. One that is gone counts for the next of its number.
    pub(super) version: u32,
    /// Whether it carries the registry.
    pub(in crate::placement) carries_registry: bool,
}

impl Gauge {
    /// Where the machine stands: by the share of it that is used, or by how many units it has alone.
    pub(in crate::placement) fn standing(&self, by_share: bool) -> Standing {
        let share = if by_share { self.share } else { 0 };
        Standing::new(share, self.load, self.carries_registry, self.rank)
    }
}

/// Those of all machines.
#[derive(Debug, Clone, Default)]
pub(super) struct Gauges(Vec<Gauge>);

impl Gauges {
    pub(super) fn of(&self, machine: MachineIx) -> Gauge {
        self.0.get(machine.position()).copied().unwrap_or_default()
    }

    pub(super) fn of_mut(&mut self, machine: MachineIx) -> &mut Gauge {
        let at = machine.position();
        if self.0.len() <= at {
            self.0.resize(at + 1, Gauge::default());
        }
        &mut self.0[at]
    }
}
