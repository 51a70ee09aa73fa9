//! Stories of whole clusters in virtual time: see `fleet_tests::sim`.
//!
//! `SIM_SEED=n` tells one story, `SIM_STORIES=n` that many from `SIM_FROM=n` on, `SIM_MACHINES=n` of clusters of that
//! size. A story that was shrunk is told again with `SIM_UNITS=n` and `SIM_KEEP=n,n,…` besides.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use fleet_registry::planted::Fault;
use fleet_tests::sim::{Outcome, Story, shrink};

const STORIES: u64 = 2_000;
const MACHINES: usize = 50;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number: {text:?}")))
}

fn count(name: &str) -> Option<usize> {
    setting(name).map(|n| usize::try_from(n).expect("a count"))
}

/// The story of this seed, as the environment has it.
fn story(seed: u64) -> Story {
    let machines = count("SIM_MACHINES").unwrap_or(MACHINES);
    let keep = std::env::var("SIM_KEEP").ok();
    let number = |text: &str| text.parse().expect("SIM_KEEP is a list of numbers");
    let keep = keep.map(|list| list.split(',').filter(|text| !text.is_empty()).map(number).collect());
    Story { units: count("SIM_UNITS").unwrap_or(machines), keep, ..Story::new(seed, machines) }
}

/// Tells the stories of these seeds on two threads. The first that fails is what comes back, with all steps taken.
fn tell(seeds: std::ops::RangeInclusive<u64>, story: impl Fn(u64) -> Story + Sync) -> (u64, Option<(Story, Outcome)>) {
    let (next, steps) = (AtomicU64::new(*seeds.start()), AtomicU64::new(0));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > *seeds.end() {
                return None;
            }
            let story = story(seed);
            let outcome = story.tell();
            steps.fetch_add(outcome.steps, Ordering::Relaxed);
            if outcome.violation.is_some() {
                next.store(seeds.end() + 1, Ordering::Relaxed);
                return Some((story, outcome));
            }
        }
    };
    let failed = thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.into_iter().filter_map(|thread| thread.join().expect("a story was told")).next()
    });
    (steps.into_inner(), failed)
}

/// What people are told of a story that fails: the shortest that fails in the same way, and how to tell it again.
fn report(story: &Story, outcome: Outcome) -> String {
    let full = story.rerun();
    let (story, outcome) = if story.keep.is_some() { (story.clone(), outcome) } else { shrink(story, outcome) };
    let what = outcome.violation.unwrap_or_default();
    format!("{what}\n{}the whole story: {full}\nthe short one:   {}", outcome.timeline, story.rerun())
}

#[test]
fn every_invariant_holds_in_every_story() {
    let seeds = match setting("SIM_SEED") {
        Some(seed) => seed..=seed,
        None => {
            let from = setting("SIM_FROM").unwrap_or(1);
            from..=from + setting("SIM_STORIES").unwrap_or(STORIES) - 1
        }
    };
    let stories = seeds.end() - seeds.start() + 1;
    let (steps, failed) = tell(seeds, story);
    if let Some((story, outcome)) = failed {
        panic!("{}", report(&story, outcome));
    }
    println!("{stories} stories, {steps} steps");
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let digest = |seed| Story::new(seed, 8).tell().digest;
    assert_eq!(digest(5), digest(5));
    assert_ne!(digest(5), digest(6));
}

/// The promises of the production code that are broken one by one. Each must be found.
#[cfg(debug_assertions)]
const PLANTED: [Fault; 12] = [
    Fault::NoWaitForStop,
    Fault::EarlyAcknowledgement,
    Fault::LeaseWithoutClock,
    Fault::OldGeneration,
    Fault::AbsentIsEmpty,
    Fault::NoBrake,
    Fault::NoEvidence,
    Fault::NoCatchingUp,
    Fault::ForeignStore,
    Fault::AdoptionRestarts,
    Fault::LeavingForgotten,
    Fault::StaleStates,
];

#[cfg(debug_assertions)]
#[test]
fn every_planted_fault_is_found() {
    let mut missed = Vec::new();
    for fault in PLANTED {
        let stories = setting("SIM_STORIES").unwrap_or(400);
        let (steps, failed) =
            tell(1..=stories, |seed| Story { units: 24, planted: Some(fault), ..Story::new(seed, 8) });
        match failed {
            Some((story, outcome)) => {
                let what = outcome.violation.unwrap_or_default();
                println!("{fault:?}: seed {}, after {steps} steps: {what}", story.seed);
            }
            None => missed.push(fault),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
