//! Stories of whole clusters in virtual time: see `fleet_tests::sim`.
//!
//! `SIM_SEED=n` tells one story, `SIM_STORIES=n` that many from `SIM_FROM=n` on, `SIM_MACHINES=n` of clusters of that
//! size. A story that was shrunk is told again with `SIM_UNITS=n` and `SIM_KEEP=n,n,…` besides.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use fleet_registry::planted::Fault;
use fleet_tests::sim::{Outcome, Story, Theme, shrink};

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

/// What was told.
struct Told {
    steps: u64,
    /// Steps of the longest story.
    longest: u64,
    /// The first that failed.
    failed: Option<(Story, Outcome)>,
}

/// Tells the stories of these seeds on two threads, until one fails.
fn tell(seeds: std::ops::RangeInclusive<u64>, story: impl Fn(u64) -> Story + Sync) -> Told {
    let (next, steps, longest) = (AtomicU64::new(*seeds.start()), AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > *seeds.end() {
                return None;
            }
            let story = story(seed);
            let outcome = story.tell();
            steps.fetch_add(outcome.steps, Ordering::Relaxed);
            longest.fetch_max(outcome.steps, Ordering::Relaxed);
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
    Told { steps: steps.into_inner(), longest: longest.into_inner(), failed }
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
    let Told { steps, longest, failed } = tell(seeds, story);
    if let Some((story, outcome)) = failed {
        panic!("{}", report(&story, outcome));
    }
    println!("{stories} stories, {steps} steps, {longest} of them in the longest");
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let digest = |seed| Story::new(seed, 8).tell().digest;
    assert_eq!(digest(5), digest(5));
    assert_ne!(digest(5), digest(6));
}

/// A promise of the production code that is broken, and the stories in which that must be found.
#[cfg(debug_assertions)]
struct Planted {
    fault: Fault,
    /// What they stress.
    theme: Option<Theme>,
    machines: usize,
    units: usize,
    /// At most so many are told.
    stories: u64,
}

#[cfg(debug_assertions)]
const fn anything(fault: Fault) -> Planted {
    Planted { fault, theme: None, machines: 8, units: 24, stories: 400 }
}

#[cfg(debug_assertions)]
const fn themed(fault: Fault, theme: Theme, machines: usize, units: usize, stories: u64) -> Planted {
    Planted { fault, theme: Some(theme), machines, units, stories }
}

/// The promises of the production code that are broken one by one.
#[cfg(debug_assertions)]
const PLANTED: [Planted; 29] = [
    anything(Fault::NoWaitForStop),
    anything(Fault::EarlyAcknowledgement),
    anything(Fault::OldGeneration),
    anything(Fault::AbsentIsEmpty),
    anything(Fault::NoBrake),
    anything(Fault::NoEvidence),
    anything(Fault::NoCatchingUp),
    anything(Fault::ForeignStore),
    anything(Fault::AdoptionRestarts),
    anything(Fault::LeavingForgotten),
    anything(Fault::StaleStates),
    anything(Fault::DiskErrorIgnored),
    themed(Fault::NoFence, Theme::PausedLeaders, 4, 8, 400),
    themed(Fault::LeaseFromReceipt, Theme::SlowAnswers, 3, 6, 400),
    themed(Fault::WatchFromNow, Theme::BrokenWatches, 3, 6, 400),
    themed(Fault::NoAbsenceCompare, Theme::SlowRequests, 3, 6, 400),
    themed(Fault::UnknownIsFailed, Theme::LateWrites, 4, 8, 400),
    themed(Fault::LeaseWithoutClock, Theme::PausedAgents, 3, 6, 400),
    themed(Fault::OneAtATime, Theme::SlowUnits, 3, 9, 400),
    themed(Fault::CopyTakesOver, Theme::Strangers, 3, 7, 400),
    themed(Fault::OrphansAreOwn, Theme::Strangers, 3, 7, 400),
    themed(Fault::WakesInVain, Theme::Fenced, 3, 4, 400),
    themed(Fault::FenceNotArmed, Theme::Fenced, 3, 4, 400),
    themed(Fault::FenceFromReceipt, Theme::Fenced, 3, 4, 400),
    themed(Fault::StopBoundIgnored, Theme::Fenced, 3, 4, 400),
    themed(Fault::RoomNotReserved, Theme::Crowded, 4, 10, 400),
    themed(Fault::NumberNotReserved, Theme::Crowded, 4, 10, 400),
    themed(Fault::NoRoomAsked, Theme::Crowded, 4, 10, 400),
    themed(Fault::StartNotHeld, Theme::Crowded, 4, 10, 400),
];

#[cfg(debug_assertions)]
#[test]
fn every_planted_fault_is_found() {
    let mut missed = Vec::new();
    let only = std::env::var("SIM_FAULT").ok();
    let asked = |row: &&Planted| only.as_ref().is_none_or(|name| *name == format!("{:?}", row.fault));
    for Planted { fault, theme, machines, units, stories } in PLANTED.iter().filter(asked) {
        let (theme, units, began) = (*theme, *units, std::time::Instant::now());
        let sound = |seed| Story { units, theme, ..Story::new(seed, *machines) };
        let Told { steps, failed, .. } = tell(1..=*stories, |seed| Story { planted: Some(*fault), ..sound(seed) });
        let Some((story, outcome)) = failed else {
            println!("{fault:?}: not found in {:?}", began.elapsed());
            missed.push(fault);
            continue;
        };
        let what = outcome.violation.unwrap_or_default();
        println!("{fault:?}: seed {}, after {steps} steps, {:?}: {what}", story.seed, began.elapsed());
        // It is the fault that was found, and not something that such stories meet anyway.
        let without = sound(story.seed).tell();
        assert_eq!(without.violation, None, "{fault:?}: so it is without the fault: {}", without.timeline);
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
