//! Clusters made up from a seed, for tests and figures of the scheduler at sizes that nobody boots.
//!
//! Machines of four sizes stand in 25 racks of 5 zones. Units come in templates of mixed size, as people write them: each
//! template asks for memory and processors, some for a zone or a disk; some are followed by another template with
//! `MachineOf=`, unit by unit; and where the [`Shape`] says so, the units of a template conflict with each other, or spread
//! over zones. The same shape gives the same cluster.

mod machines;
mod units;

use fleet_engine::placement::{Cluster, MachineFacts};

use crate::sim::rng::Rng;
pub use units::Unit;

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
    pub units: Vec<Unit>,
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

    /// The same with machines that are smaller or larger by one factor, so that units ask for this much of all there is.
    #[must_use]
    pub fn filled(mut self, percent: u64) -> Self {
        let wanted = || self.units.iter().filter_map(|unit| unit.spec.requirements.as_ref().ok());
        let memory = wanted().filter_map(|wanted| wanted.memory).sum::<u64>() * 100 / percent;
        let cpu = wanted().filter_map(|wanted| wanted.cpu_millis).sum::<u64>() * 100 / percent;
        let has = || self.machines.iter().map(|facts| facts.capacity);
        let all_memory: u64 = has().filter_map(|capacity| capacity.memory).sum();
        let all_cpu: u64 = has().filter_map(|capacity| capacity.cpu_millis).sum();
        let scale = |amount: &mut Option<u64>, to: u64, of: u64| {
            // Bytes of ten thousand machines times themselves are more than 64 bits hold.
            *amount = amount.and_then(|own| u64::try_from(u128::from(own) * u128::from(to) / u128::from(of)).ok());
        };
        for facts in &mut self.machines {
            scale(&mut facts.capacity.memory, memory, all_memory);
            scale(&mut facts.capacity.cpu_millis, cpu, all_cpu);
        }
        self
    }

    /// An engine's cluster that has been told all of it, and has decided nothing.
    #[must_use]
    pub fn told(&self) -> Cluster {
        let mut cluster = Cluster::new();
        for facts in &self.machines {
            cluster.set_machine(facts.clone());
        }
        for unit in &self.units {
            cluster.set_unit(&unit.name, unit.spec.clone());
        }
        cluster
    }
}

#[cfg(test)]
mod tests {
    use fleet_engine::placement::{Outcome, Presence};

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

    /// A cluster as it is placed, how many units have a machine, and how many machines each of them tried.
    fn place(cluster: &Synthetic) -> (Cluster, usize, f64) {
        let mut state = cluster.told();
        let decisions = state.pass();
        let placed = decisions.iter().filter(|one| matches!(one.outcome, Outcome::Placed { .. })).count();
        let each = state.tried() as f64 / cluster.units.len() as f64;
        state.take_plan();
        (state, placed, each)
    }

    #[test]
    fn a_unit_tries_a_handful_of_machines_however_many_units_there_are() {
        for shape in [Shape::plain(1_000, 10_000), Shape::spread(1_000, 10_000)] {
            let (_, placed, among_many) = place(&Synthetic::new(shape));
            assert!(placed > shape.units * 99 / 100, "{placed} placed: {shape:?}");
            assert!(among_many < 25.0, "{among_many} machines a unit: {shape:?}");
            let (_, _, among_few) = place(&Synthetic::new(Shape { units: 1_000, ..shape }));
            assert!(among_many < 5.0 * among_few, "{among_few} among few, {among_many} among many: {shape:?}");
        }
    }

    #[test]
    fn cost_follows_the_change_and_not_the_cluster() {
        let cluster = Synthetic::new(Shape { resources: false, ..Shape::spread(1_000, 10_000) });
        let (mut state, placed, _) = place(&cluster);
        assert_eq!(placed, cluster.units.len());
        // Nothing changed, though all of it is told again.
        let before = state.tried();
        cluster.machines.iter().for_each(|facts| state.set_machine(facts.clone()));
        cluster.units.iter().for_each(|unit| state.set_unit(&unit.name, unit.spec.clone()));
        assert!(!state.is_dirty() && state.pass().is_empty() && state.take_plan().is_empty());
        assert_eq!(state.tried(), before);
        // One more unit is one decision.
        let more = Unit::new(
            "more@1.service",
            &"Memory=1G
SpreadBy=zone
"
            .into(),
            i64::MAX,
        );
        state.set_unit(&more.name, more.spec);
        assert_eq!((state.pass().len(), state.take_plan().len()), (1, 1));
        assert!(state.tried() - before < 20, "{} machines for one unit", state.tried() - before);
        // A machine that is lost is decided about, and what was on it.
        let before = state.tried();
        let lost = MachineFacts { presence: Presence::Gone, ..cluster.machines[7].clone() };
        let held = cluster.units.iter().filter(|unit| state.places(&unit.name) == [lost.id.clone()]).count();
        state.set_machine(lost);
        let moved = state.pass().len();
        assert!(held > 0 && (held..3 * held).contains(&moved), "{moved} decisions about {held} units");
        assert!(state.tried() - before < 40 * held as u64, "{} machines for {held} units", state.tried() - before);
    }
}
