//! The first machine that fits, in an order that chance makes.

use super::Assignment;
use super::problem::Problem;
use crate::sim::rng::Rng;

/// Puts each unit, in the order in which they were submitted, on the first machine that can take it of those after one
/// that chance picks.
#[must_use]
pub fn first_fit(problem: &Problem, rng: &mut Rng) -> Assignment {
    let mut room = problem.empty();
    let mut found = vec![None; problem.units()];
    let machines = problem.machines();
    for group in &problem.groups {
        let start = rng.below(machines);
        let fits = (0..machines).map(|n| (start + n) % machines);
        if let Some(at) = fits.into_iter().find(|&at| problem.put(&mut room, group, at)) {
            group.iter().for_each(|&unit| found[unit] = Some(at));
        }
    }
    found
}
