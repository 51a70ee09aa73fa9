//! Stories of whole clusters in virtual time: see `fleet_tests::sim`.
//!
//! `SIM_SEED=n` tells one story, `SIM_STORIES=n` that many, `SIM_MACHINES=n` of clusters of that size.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use fleet_tests::sim::{Outcome, Plant, Story};

const STORIES: u64 = 60;
const MACHINES: usize = 20;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number: {text:?}")))
}

fn machines() -> usize {
    setting("SIM_MACHINES").map_or(MACHINES, |n| usize::try_from(n).expect("a number of machines"))
}

/// Tells the stories of these seeds on two threads. The first that fails is what comes back, with all steps taken.
fn tell(seeds: std::ops::RangeInclusive<u64>, machines: usize, plant: Option<Plant>) -> (u64, Option<Outcome>) {
    let (next, steps) = (AtomicU64::new(*seeds.start()), AtomicU64::new(0));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > *seeds.end() {
                return None;
            }
            let outcome = Story { seed, machines, plant }.tell();
            steps.fetch_add(outcome.steps, Ordering::Relaxed);
            if outcome.failure.is_some() {
                next.store(seeds.end() + 1, Ordering::Relaxed);
                return Some(outcome);
            }
        }
    };
    let failed = thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.into_iter().filter_map(|thread| thread.join().expect("a story was told")).next()
    });
    (steps.into_inner(), failed)
}

#[test]
fn every_invariant_holds_in_every_story() {
    let machines = machines();
    let seeds = match setting("SIM_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=setting("SIM_STORIES").unwrap_or(STORIES),
    };
    let stories = seeds.end() - seeds.start() + 1;
    let (steps, failed) = tell(seeds, machines, None);
    if let Some(failure) = failed.and_then(|outcome| outcome.failure) {
        panic!("{failure}");
    }
    println!("{stories} stories of {machines} machines, {steps} steps");
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let story = Story { seed: 5, machines: 8, plant: None };
    assert_eq!(story.tell().digest, story.tell().digest);
    assert_ne!(story.tell().digest, Story { seed: 6, ..story }.tell().digest);
}

#[test]
fn a_planted_fault_is_found() {
    let plant = Plant::StopLies;
    let (_, failed) = tell(1..=20, 8, Some(plant));
    let failure = failed.and_then(|outcome| outcome.failure).unwrap_or_else(|| panic!("{plant:?} is not found"));
    println!("{plant:?}: {}", failure.lines().next().unwrap_or_default());
}
