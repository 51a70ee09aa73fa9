//! A story: a cluster starts, is used while faults befall it, and is left in peace.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_registry::loopback::Connection;
use fleet_registry::planted::Fault;
use fleet_units::{DesiredState, MachineId, UnitName};

use super::deed::{Deed, Step};
use super::operator::{is_single, names};
use super::reality::number;
use super::rng::Rng;
use super::theme::Theme;
use super::world::World;

/// How long a cluster may take to become what it must be once the faults have ended.
const BOUND: Duration = Duration::from_secs(180);
/// How long everything must be as it should be to count as settled.
const CALM: Duration = Duration::from_secs(12);
/// How fast or slow clocks are, in parts in a million, as promised; and far beyond that.
const DRIFT: (i64, i64) = (1_000, 50_000);

/// A story to tell.
#[derive(Debug, Clone)]
pub struct Story {
    /// Everything follows from it.
    pub seed: u64,
    /// How many machines.
    pub machines: usize,
    /// How many units.
    pub units: usize,
    /// Of the things that happen, only these; all when there is none.
    pub keep: Option<Vec<usize>>,
    /// What it stresses; everything when there is none.
    pub theme: Option<Theme>,
    /// A promise of the production code that is broken, to see that it is found.
    pub planted: Option<Fault>,
}

/// How a story ended.
#[derive(Debug)]
pub struct Outcome {
    /// Steps of state machines.
    pub steps: u64,
    /// The same for two tellings only if they are the same to the letter.
    pub digest: u64,
    /// What was found that must not be.
    pub violation: Option<String>,
    /// The end of the timeline.
    pub timeline: String,
}

/// What a story is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An outage alone, which must move nothing.
    Outage,
    /// The store is restored from a backup, which must stop nothing.
    Restored,
    /// Everything at once.
    Trouble,
}

impl Story {
    /// The whole story of a seed.
    #[must_use]
    pub fn new(seed: u64, machines: usize) -> Self {
        Self { seed, machines, units: machines, keep: None, theme: None, planted: None }
    }

    fn kind(&self) -> Kind {
        if self.theme.is_some() {
            return Kind::Trouble;
        }
        match self.seed % 8 {
            0 | 4 => Kind::Outage,
            6 => Kind::Restored,
            _ => Kind::Trouble,
        }
    }

    /// All that happens in it, by number.
    pub(super) fn steps(&self) -> Vec<(usize, Step)> {
        let mut rng = Rng::new(self.seed);
        let steps: Vec<Step> = match (self.theme, self.kind()) {
            (Some(theme), _) => theme.steps(&mut rng),
            (None, Kind::Outage) => outages(&mut rng),
            (None, Kind::Restored) => restored(&mut rng),
            (None, Kind::Trouble) => (0..20 + rng.below(40)).map(|_| trouble(&mut rng)).collect(),
        };
        let kept = |(n, _): &(usize, Step)| self.keep.as_ref().is_none_or(|keep| keep.contains(n));
        steps.into_iter().enumerate().filter(kept).collect()
    }

    /// Tells it.
    #[must_use]
    pub fn tell(&self) -> Outcome {
        #[cfg(debug_assertions)]
        fleet_registry::planted::plant(self.planted);
        // In every fifth, clocks run far worse than promised: leases are the store's, and everything must hold even so.
        let drift = if self.seed.is_multiple_of(5) { DRIFT.1 } else { DRIFT.0 };
        let mut world = World::new(self.seed, self.machines, drift);
        let units = self.theme.map_or_else(|| names(self.units), |theme| theme.units(self.units));
        begin(&mut world, &units);
        if let Some(theme) = self.theme {
            theme.begin(&mut world);
        }
        let before = match self.kind() {
            Kind::Outage => {
                settle(&mut world, BOUND);
                // Long enough that every machine is trusted again.
                world.run(Duration::from_secs(40));
                // What asks for it stops meanwhile.
                let mut before = running(&world);
                before.retain(|(_, unit), _| !is_single(unit));
                Some(before)
            }
            Kind::Restored => {
                settle(&mut world, BOUND);
                None
            }
            Kind::Trouble => None,
        };
        for (n, step) in self.steps() {
            if world.violation.is_some() {
                break;
            }
            world.timeline.push(world.now, "story", format_args!("{n}: {:?}", step.deed));
            world.perform(&units, &step.deed);
            world.run(step.then);
        }
        if self.theme.is_some() {
            Theme::end(&mut world);
        }
        end(&mut world);
        if let Some(before) = before.filter(|_| world.violation.is_none()) {
            let after = running(&world);
            let changed = before.iter().find(|(key, pid)| after.get(*key) != Some(*pid));
            if let Some(changed) = changed {
                world.check(Err(format!("invariant 5: an outage changed what runs: {changed:?}")));
            }
        }
        Outcome {
            steps: world.steps,
            digest: world.timeline.digest(),
            timeline: world.violation.as_ref().map(|_| world.timeline.render()).unwrap_or_default(),
            violation: world.violation,
        }
    }

    /// The line that tells it again.
    #[must_use]
    pub fn rerun(&self) -> String {
        let Self { seed, machines, units, keep, .. } = self;
        let keep = keep.as_ref().map(|keep| {
            let numbers: Vec<String> = keep.iter().map(ToString::to_string).collect();
            format!("SIM_UNITS={units} SIM_KEEP={} ", numbers.join(","))
        });
        let keep = keep.unwrap_or_default();
        format!("SIM_SEED={seed} SIM_MACHINES={machines} {keep}cargo test -p fleet-tests --test sim every_inv")
    }
}

/// What runs where, by main process.
fn running(world: &World) -> BTreeMap<(MachineId, UnitName), u32> {
    let of = |machine: &super::machine::Machine| {
        let id = machine.id.clone();
        machine.systemd.active().map(move |(unit, pid)| ((id.clone(), unit.clone()), pid)).collect::<Vec<_>>()
    };
    world.machines.iter().flat_map(of).collect()
}

/// Runs until everything has been as it must be for longer than a lease.
fn settle(world: &mut World, bound: Duration) {
    let mut limit = world.now + bound;
    let mut since = world.now;
    while world.violation.is_none() && world.now < since + CALM {
        world.run(Duration::from_secs(1));
        world.bring_back();
        if world.start_under_way().is_some() {
            // Units are moved a few times only.
            limit = world.now + bound;
        }
        if let Err(why) = world.unsettled() {
            since = world.now;
            if world.now >= limit {
                world.check(Err(format!("invariant 9: not within {bound:?}: {why}")));
            }
        }
    }
}

fn begin(world: &mut World, units: &[UnitName]) {
    world.run(Duration::from_secs(3));
    for (n, unit) in units.iter().enumerate() {
        let mut rng = Rng::new(world.seed ^ (u64::try_from(n).unwrap_or(0) << 20));
        if rng.chance(80) {
            world.submit(unit, rng.below(2), DesiredState::Launched);
        }
    }
    world.run(Duration::from_secs(2));
}

/// One or two outages: what runs goes on, untouched, and where it is.
fn outages(rng: &mut Rng) -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..1 + rng.below(2) {
        let how = [Connection::Refused, Connection::Silent, Connection::Deaf][rng.below(3)];
        steps.push(Step { deed: Deed::Outage(how), then: rng.millis(200, 60_000) });
        steps.push(Step { deed: Deed::OutageEnds, then: rng.millis(100, 30_000) });
    }
    steps
}

/// A backup, what people do after it, and the store as it was.
fn restored(rng: &mut Rng) -> Vec<Step> {
    let people = |rng: &mut Rng| loop {
        let deed = Deed::operator(rng);
        // The backup is to find everyone there.
        if !matches!(deed, Deed::Leave(..)) {
            break Step { deed, then: rng.millis(0, 4_000) };
        }
    };
    let mut steps = vec![Step { deed: Deed::BackUp, then: rng.millis(0, 2_000) }];
    steps.extend((0..5 + rng.below(20)).map(|_| people(rng)));
    steps.push(Step { deed: Deed::Restore { another: rng.chance(50) }, then: Duration::from_secs(40) });
    steps.extend((0..rng.below(10)).map(|_| people(rng)));
    steps
}

/// Anything at all.
fn trouble(rng: &mut Rng) -> Step {
    let deed = if rng.chance(45) { Deed::operator(rng) } else { Deed::fault(rng) };
    let then = if rng.chance(50) { rng.millis(0, 50) } else { rng.millis(50, 4_000) };
    Step { deed, then }
}

/// Invariant 7: another leader, with nothing but the records, decides what the last one decided.
fn succession(world: &mut World) {
    let before = running(world);
    let leader = world.truth.leader.clone();
    let Some(leader) = leader.filter(|_| world.violation.is_none()) else { return };
    world.kill(number(&leader), Duration::from_secs(1));
    settle(world, BOUND);
    if world.violation.is_none() && running(world) != before {
        world.check(Err("invariant 7: another leader decides otherwise".to_owned()));
    }
}

/// Ends all faults; then everything must become what it should be, and stay so.
fn end(world: &mut World) {
    if world.violation.is_some() {
        return;
    }
    world.timeline.push(world.now, "story", format_args!("the faults end"));
    if world.outage.is_some() {
        world.set_outage(None);
    }
    world.go_home();
    world.mend_all();
    for n in 0..world.machines.len() {
        if world.machines[n].leaving.is_some() {
            world.kill(n, Duration::from_secs(1));
        }
        world.machines[n].link.clear_faults();
        world.machines[n].fate = None;
        world.heal_in_the_end(n);
        world.make_room(n);
        if world.truth.operators.contains(&world.machines[n].id) {
            world.operate(n, |_| {});
        }
    }
    settle(world, BOUND);
    let before = running(world);
    world.run(Duration::from_secs(20));
    if world.violation.is_none() && running(world) != before {
        world.check(Err("invariant 9: what runs does not come to rest".to_owned()));
    }
    succession(world);
    let still = world.unsettled().map_err(|why| format!("invariant 9: it does not stay as it was: {why}"));
    world.check(still);
}
