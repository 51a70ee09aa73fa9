//! A story: a cluster starts, is used while faults befall it, and is left in peace.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_registry::loopback::{Connection, Fault};
use fleet_registry::store::Request;
use fleet_units::{DesiredState, MachineId, UnitName};

use super::operator::names;
use super::world::{Plant, World};

/// How long a cluster may take to become what it must be once the faults have ended.
const BOUND: Duration = Duration::from_secs(180);
/// How long everything must be as it should be to count as settled.
const CALM: Duration = Duration::from_secs(12);

/// A story to tell.
#[derive(Debug, Clone, Copy)]
pub struct Story {
    /// Everything follows from it.
    pub seed: u64,
    /// How many machines.
    pub machines: usize,
    /// A fault to plant.
    pub plant: Option<Plant>,
}

/// How a story ended.
#[derive(Debug)]
pub struct Outcome {
    /// Steps of state machines.
    pub steps: u64,
    /// The same for two tellings only if they are the same to the letter.
    pub digest: u64,
    /// What was found that must not be, with the end of the timeline.
    pub failure: Option<String>,
}

impl Story {
    /// Tells it.
    #[must_use]
    pub fn tell(self) -> Outcome {
        let mut world = World::new(self.seed, self.machines, self.plant);
        let units = names(self.machines);
        begin(&mut world, &units);
        // Every fourth story is about an outage alone, which must move nothing.
        match self.seed % 4 {
            0 => outage_alone(&mut world),
            _ => trouble(&mut world, &units),
        }
        end(&mut world);
        let failure = world.violation.take().map(|what| {
            let Self { seed, machines, .. } = self;
            let rerun = format!("SIM_SEED={seed} SIM_MACHINES={machines} cargo test -p fleet-tests --test sim every");
            format!("seed {seed}, {machines} machines: {what}\n{}rerun: {rerun}", world.timeline.render())
        });
        Outcome { steps: world.steps, digest: world.timeline.digest(), failure }
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
    let limit = world.now + bound;
    let mut since = world.now;
    while world.violation.is_none() && world.now < since + CALM {
        world.run(Duration::from_secs(1));
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
    for unit in units {
        if world.rng.chance(80) {
            let version = world.rng.below(2);
            world.submit(unit, version, DesiredState::Launched);
        }
    }
    world.run(Duration::from_secs(2));
}

/// Nothing but an outage: what runs goes on, untouched, and where it is.
fn outage_alone(world: &mut World) {
    settle(world, BOUND);
    // Long enough that every machine is trusted again.
    world.run(Duration::from_secs(40));
    let before = running(world);
    for _ in 0..1 + world.rng.below(2) {
        let how = [Connection::Refused, Connection::Silent, Connection::Deaf][world.rng.below(3)];
        let time = world.rng.millis(200, 60_000);
        world.set_outage(Some(how));
        world.run(time);
        world.set_outage(None);
        let time = world.rng.millis(100, 30_000);
        world.run(time);
    }
    settle(world, BOUND);
    let after = running(world);
    if before != after {
        let changed = before.iter().find(|(key, pid)| after.get(*key) != Some(*pid));
        world.check(Err(format!("invariant 5: an outage changed what runs: {changed:?}")));
    }
}

/// Everything at once.
fn trouble(world: &mut World, units: &[UnitName]) {
    for _ in 0..20 + world.rng.below(40) {
        if world.violation.is_some() {
            return;
        }
        match world.rng.chance(45) {
            true => operate(world, units),
            false => strike(world, units),
        }
        let pause = match world.rng.chance(50) {
            true => world.rng.millis(0, 50),
            false => world.rng.millis(50, 4_000),
        };
        world.run(pause);
    }
}

/// An operator does something.
fn operate(world: &mut World, units: &[UnitName]) {
    let Some(unit) = world.rng.pick(units) else { return };
    let version = world.rng.below(3);
    let n = world.rng.below(world.machines.len());
    match world.rng.below(11) {
        0..=2 => world.submit(unit, version, DesiredState::Launched),
        3 => world.submit(unit, version, DesiredState::Loaded),
        4 => world.change(unit, "start", |record| record.desired = DesiredState::Launched),
        5 => world.change(unit, "stop", |record| record.desired = DesiredState::Loaded),
        6 => world.change(unit, "unload", |record| record.desired = DesiredState::Inactive),
        7 => world.change(unit, "restart", |record| record.restarts += 1),
        8 => world.destroy(unit),
        9 => {
            world.destroy(unit);
            world.submit(unit, version, DesiredState::Launched);
        }
        _ => {
            let zone = ["a", "b", "c"][version].to_owned();
            match world.rng.below(4) {
                0 => world.operate(n, |record| record.cordoned = true),
                1 => world.operate(n, |record| record.draining = true),
                2 => world.operate(n, |record| _ = record.metadata.insert("zone".to_owned(), Some(zone))),
                _ => world.operate(n, |_| {}),
            }
        }
    }
}

/// Something goes wrong.
fn strike(world: &mut World, units: &[UnitName]) {
    let now = world.now;
    let n = world.rng.below(world.machines.len());
    // Leaders are hit more often than chance has it.
    let leader = world.machines.iter().position(|m| world.truth.leader.as_ref() == Some(&m.id));
    let n = leader.filter(|_| world.rng.chance(30)).unwrap_or(n);
    let Some(unit) = world.rng.pick(units) else { return };
    match world.rng.below(14) {
        0 => {
            let again = world.rng.millis(1_000, 40_000);
            world.power_loss(n, again);
        }
        1 => {
            let again = world.rng.millis(50, 15_000);
            world.kill(n, again);
        }
        2 | 3 => world.machines[n].dies_after = Some(world.rng.below(30)),
        4 => {
            let how = [Connection::Refused, Connection::Silent, Connection::Deaf][world.rng.below(3)];
            world.connect(n, how);
        }
        5 | 6 => {
            let cut = |m: &super::machine::Machine| m.connection != Connection::Up;
            if let Some(n) = world.machines.iter().position(cut) {
                world.connect(n, Connection::Up);
            }
        }
        7 => match world.outage {
            Some(_) => world.set_outage(None),
            None => {
                let how = [Connection::Refused, Connection::Silent, Connection::Deaf][world.rng.below(3)];
                world.set_outage(Some(how));
            }
        },
        8 => pause(world, n),
        9 => {
            let fault = match world.rng.below(5) {
                0 => Fault::Refuse,
                1 => Fault::LoseRequest,
                2 => Fault::LoseAnswer,
                3 => Fault::Repeat,
                _ => Fault::Delay { request: world.rng.millis(0, 2_000), answer: world.rng.millis(0, 2_000) },
            };
            world.say(n, format_args!("the next call: {fault:?}"));
            world.machines[n].link.inject(fault);
            world.machines[n].disturbed = now;
        }
        10 => {
            world.say(n, format_args!("watches break"));
            world.machines[n].link.break_watches(&mut world.memory, now);
        }
        11 => {
            let revision = world.memory.header().revision;
            world.timeline.push(now, "store", format_args!("compacted at {revision}"));
            // Refused when nothing was written since the last one.
            let _ = world.memory.apply(now, Request::Compact { revision, physical: true });
        }
        12 => {
            let systemd = &mut world.machines[n].systemd;
            match world.rng.below(4) {
                0 => _ = systemd.refused.insert(unit.clone()),
                1 => _ = systemd.broken.insert(unit.clone()),
                2 => {
                    let takes = world.rng.millis(100, 30_000);
                    systemd.slow_start.insert(unit.clone(), takes);
                    systemd.slow_stop.insert(unit.clone(), takes);
                }
                _ => {
                    systemd.broken.clear();
                    systemd.slow_start.clear();
                    systemd.slow_stop.clear();
                }
            }
        }
        _ => {
            world.say(n, format_args!("the message bus restarts"));
            if world.machines[n].fleetd.is_some() {
                world.machines[n].systemd.disconnect(now);
            }
        }
    }
}

/// fleetd stands still, shorter or longer than its lease.
fn pause(world: &mut World, n: usize) {
    if world.machines[n].fleetd.is_some() && world.machines[n].paused_until.is_none() {
        let until = world.now + world.rng.millis(100, 25_000);
        world.machines[n].paused_until = Some(until);
        world.machines[n].disturbed = until;
        world.say(n, format_args!("fleetd stands still"));
    }
}

/// Ends all faults; then everything must become what it should be, and stay so.
fn end(world: &mut World) {
    world.timeline.push(world.now, "story", format_args!("the faults end"));
    world.set_outage(None);
    for n in 0..world.machines.len() {
        if world.machines[n].connection != Connection::Up {
            world.connect(n, Connection::Up);
        }
        world.machines[n].link.clear_faults();
        world.machines[n].dies_after = None;
        let systemd = &mut world.machines[n].systemd;
        // What it refuses to link it refuses for good: the file is at fault.
        systemd.slow_start.clear();
        systemd.slow_stop.clear();
        systemd.broken.clear();
        world.operate(n, |_| {});
    }
    settle(world, BOUND);
    let before = running(world);
    world.run(Duration::from_secs(20));
    if world.violation.is_none() && running(world) != before {
        world.check(Err("invariant 9: what runs does not come to rest".to_owned()));
    }
    let still = world.unsettled().map_err(|why| format!("invariant 9: it does not stay as it was: {why}"));
    world.check(still);
}
