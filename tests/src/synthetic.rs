//! Clusters made up from a seed, for tests and figures of the scheduler at sizes that nobody boots.
//!
//! Machines of four sizes stand in 25 racks of 5 zones. Units come in templates of mixed size, as people write them: each
//! template asks for memory and processors, some for a zone or a disk; some are followed by another template with
//! `MachineOf=`, unit by unit; and where the [`Shape`] says so, the units of a template conflict with each other, or spread
//! over zones. The same shape gives the same cluster.

mod machines;
mod units;

use fleet_engine::placement::{Cluster, MachineFacts, UnitSpec};
use fleet_units::UnitName;

use crate::sim::rng::Rng;
pub use units::{spec, unit};

/// How large a cluster is, and what its units ask for.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many machines.
    pub machines: usize,
    /// How many units.
    pub units: usize,
    /// Whether units ask for memory and processors.
    pub resources: bool,
    /// Whether some ask for a zone or a disk, and some for being beside another unit.
    pub constraints: bool,
    /// Whether the units of a template conflict with each other.
    pub conflicts: bool,
    /// Whether the units of a template spread over zones.
    pub spread: bool,
    /// Where chance begins.
    pub seed: u64,
}

impl Shape {
    /// What the figures are promised for: resources and constraints, without spread.
    #[must_use]
    pub fn plain(machines: usize, units: usize) -> Self {
        Self { machines, units, resources: true, constraints: true, conflicts: false, spread: false, seed: 1 }
    }

    /// The same with conflicts within each template, and each spread over zones.
    #[must_use]
    pub fn spread(machines: usize, units: usize) -> Self {
        Self { conflicts: true, spread: true, ..Self::plain(machines, units) }
    }
}

/// A cluster that nobody has told the engine of yet.
#[derive(Clone, Debug)]
pub struct Synthetic {
    /// Its machines, all present.
    pub machines: Vec<MachineFacts>,
    /// Its units, all to be started.
    pub units: Vec<(UnitName, UnitSpec)>,
}

impl Synthetic {
    /// The cluster of a shape.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        let mut rng = Rng::new(shape.seed);
        let machines = machines::machines(shape.machines, &mut rng);
        let units = units::units(shape, &mut rng);
        Self { machines, units }
    }

    /// An engine's cluster that has been told all of it, and has decided nothing.
    #[must_use]
    pub fn told(&self) -> Cluster {
        let mut cluster = Cluster::new();
        for facts in &self.machines {
            cluster.set_machine(facts.clone());
        }
        for (name, spec) in &self.units {
            cluster.set_unit(name, spec.clone());
        }
        cluster
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_shape_gives_the_same_cluster_of_the_size_asked_for() {
        let shape = Shape::spread(100, 1_000);
        let (one, other) = (Synthetic::new(shape), Synthetic::new(shape));
        assert_eq!((one.machines.len(), one.units.len()), (100, 1_000));
        assert_eq!(one.machines, other.machines);
        assert_eq!(one.units, other.units);
        assert_ne!(one.units, Synthetic::new(Shape { seed: 2, ..shape }).units);
    }
}
