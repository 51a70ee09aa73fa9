//! How good placements are, beside those that others would make of the same cluster: an exhaustive search where there are
//! few enough machines and units, and a random first fit.
//!
//! Nothing here knows the engine's code: a [`Problem`] is read from what machines say and units ask for, and what the
//! engine made of it is judged by the rules in this module.

mod exact;
mod first_fit;
mod problem;

pub use exact::exact;
pub use first_fit::first_fit;
pub use problem::{Judgement, Problem};

/// Where each unit of a problem is put; none for one that is left without a machine.
pub type Assignment = Vec<Option<usize>>;

#[cfg(test)]
mod tests {
    use fleet_engine::placement::Cluster;

    use super::*;
    use crate::sim::rng::Rng;
    use crate::synthetic::{Shape, Synthetic};

    /// What the engine makes of a cluster.
    fn engine(cluster: &Synthetic) -> Assignment {
        let mut state: Cluster = cluster.told();
        state.pass();
        Problem::of(cluster).found(|name| state.places(name))
    }

    #[test]
    fn nobody_breaks_a_rule_and_nobody_beats_the_exact_answer() {
        for seed in 0..30 {
            let cluster = Synthetic::new(Shape { seed, ..Shape::spread(3, 6) }).filled(95);
            let problem = Problem::of(&cluster);
            let (best, fit) = (exact(&problem), first_fit(&problem, &mut Rng::new(seed)));
            let own = engine(&cluster);
            for found in [&best, &fit, &own] {
                assert_eq!(problem.broken(found), None, "seed {seed}: {found:?}");
            }
            let value = |found: &Assignment| problem.judge(found).value();
            assert!(value(&best) >= value(&fit) && value(&best) >= value(&own), "seed {seed}");
        }
    }
}
