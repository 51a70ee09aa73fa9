//! A day of churn in virtual time: units come and go, machines are lost and come back, and what is kept does not grow.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_registry::Key;
use fleet_registry::store::{RangeRequest, Request, ResponseBody};
use fleet_units::{DesiredState, UnitName};

use super::machine::RETENTION;
use super::operator::names;
use super::rng::Rng;
use super::world::World;

/// Machines of the cluster.
const MACHINES: usize = 5;
/// The one that is away for long.
const LONELY: usize = MACHINES - 1;
/// Names that units come and go under, beside those that stay.
const NAMES: usize = 60;
/// Units that stay.
const STAY: usize = 20;
/// What people do comes this often.
const DEED: Duration = Duration::from_secs(15);
/// Something befalls a machine every so many deeds.
const EVERY: usize = 40;
/// History is dropped every so many deeds: once an hour.
const COMPACT: usize = 240;
/// Long enough that texts which nothing refers to are swept, and records of machines that are gone, too.
const REST: Duration = Duration::from_secs(9_000);
/// Schedules of each machine that are remembered to judge by.
const REMEMBERED: usize = 50;

/// What the cluster holds at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Hours since the beginning.
    pub hours: u64,
    /// Keys in the store, by the first part of their names.
    pub keys: BTreeMap<String, usize>,
    /// Keys that nothing explains.
    pub unexplained: Vec<String>,
    /// Bytes of memory in use.
    pub heap: usize,
}

/// What a day came to.
#[derive(Debug)]
pub struct Day {
    /// At rest after two hours of churn, after some more, and after all of it.
    pub rests: [Rest; 3],
    /// What people did.
    pub deeds: usize,
    /// What befell machines.
    pub losses: usize,
    /// Machines whose records were deleted because they were lost for so long.
    pub forgotten: usize,
    /// Steps that state machines took.
    pub steps: u64,
    /// An invariant that did not hold, and how it came about.
    pub violation: Option<String>,
}

struct Churn {
    world: World,
    rng: Rng,
    stay: Vec<UnitName>,
    come_and_go: Vec<UnitName>,
    day: Day,
    version: usize,
    began: Duration,
    /// The machine that is away for long is lost, and not forgotten yet.
    is_away: bool,
}

/// Lives through a day. `heap` says how many bytes of memory are in use.
pub fn churn(seed: u64, heap: fn() -> usize) -> Day {
    let units = names(STAY + NAMES);
    let rest = || Rest { hours: 0, keys: BTreeMap::new(), unexplained: Vec::new(), heap: 0 };
    let world = World::new(seed, MACHINES, 100);
    let mut churn = Churn {
        began: world.now,
        world,
        rng: Rng::new(seed),
        stay: units[..STAY].to_vec(),
        come_and_go: units[STAY..].to_vec(),
        day: Day { rests: [rest(), rest(), rest()], deeds: 0, losses: 0, forgotten: 0, steps: 0, violation: None },
        version: 0,
        is_away: false,
    };
    churn.begin();
    churn.live(Duration::from_secs(2 * 3_600));
    churn.day.rests[0] = churn.rest(heap);
    // One machine is away for so long that it is forgotten, and comes back.
    churn.lose(LONELY, RETENTION + Duration::from_secs(3_600));
    churn.live(Duration::from_secs(8 * 3_600));
    churn.day.rests[1] = churn.rest(heap);
    let rest_of_day = Duration::from_secs(24 * 3_600).saturating_sub(churn.world.now - churn.began + REST);
    churn.live(rest_of_day);
    churn.day.rests[2] = churn.rest(heap);
    churn.day.violation = churn.world.violation.take().map(|what| format!("{what}\n{}", churn.world.timeline.render()));
    churn.day
}

impl Churn {
    fn begin(&mut self) {
        self.run(Duration::from_secs(5));
        for n in 0..self.stay.len() {
            let unit = self.stay[n].clone();
            self.world.submit(&unit, 0, DesiredState::Launched);
        }
        for n in 0..MACHINES {
            self.world.operate(n, |_| {});
        }
    }

    fn run(&mut self, time: Duration) {
        self.world.run(time);
        self.day.steps += std::mem::take(&mut self.world.steps);
        for all in self.world.truth.schedules.values_mut() {
            let old = all.len().saturating_sub(REMEMBERED);
            all.drain(..old);
        }
        for machine in &mut self.world.machines {
            machine.systemd.asked.clear();
        }
        let lonely = &self.world.machines[LONELY].id;
        if self.is_away && !self.world.truth.schedules.contains_key(lonely) {
            self.is_away = false;
            self.day.forgotten += 1;
        }
    }

    /// People and machines do what they do all day.
    fn live(&mut self, time: Duration) {
        let until = self.world.now + time;
        while self.world.now < until && self.world.violation.is_none() {
            self.deed();
            self.day.deeds += 1;
            if self.day.deeds.is_multiple_of(EVERY) {
                self.befall();
            }
            if self.day.deeds.is_multiple_of(COMPACT) {
                self.world.compact();
            }
            self.run(DEED);
        }
    }

    fn deed(&mut self) {
        let unit = self.come_and_go[self.rng.below(NAMES)].clone();
        self.version += 1;
        match self.rng.below(8) {
            0..=2 => self.world.submit(&unit, self.version, DesiredState::Launched),
            3 => self.world.destroy(&unit),
            4 => self.world.change(&unit, "restart", |record| record.restarts += 1),
            5 => self.world.change(&unit, "stop", |record| record.desired = DesiredState::Loaded),
            6 => self.world.change(&unit, "unload", |record| record.desired = DesiredState::Inactive),
            _ => {
                self.world.destroy(&unit);
                self.world.submit(&unit, self.version, DesiredState::Launched);
            }
        }
    }

    fn befall(&mut self) {
        let n = self.rng.below(LONELY);
        self.day.losses += 1;
        // How long a machine has been lost is counted by one leader: the next one counts anew.
        let counts = self.is_away && self.world.truth.leader.as_ref() == Some(&self.world.machines[n].id);
        match self.rng.below(4) + if counts { 2 } else { 0 } {
            0 => self.world.power_loss(n, Duration::from_secs(40)),
            1 => self.world.kill(n, Duration::from_secs(3)),
            2 => self.world.break_watches(n),
            _ => self.world.restart_bus(n),
        }
    }

    /// A machine is away for so long.
    fn lose(&mut self, n: usize, time: Duration) {
        self.day.losses += 1;
        self.is_away = true;
        self.world.power_loss(n, time);
    }

    /// Everything that comes and goes goes, and what nothing refers to any more has its time to go, too.
    fn rest(&mut self, heap: fn() -> usize) -> Rest {
        for unit in self.come_and_go.clone() {
            self.world.destroy(&unit);
        }
        self.world.heal(0);
        let end = self.world.now + REST;
        while self.world.now < end && self.world.violation.is_none() {
            self.run(Duration::from_secs(300));
        }
        self.world.compact();
        self.run(Duration::from_secs(60));
        let settled = self.world.unsettled();
        self.world.check(settled);
        let hours = (self.world.now - self.began).as_secs() / 3_600;
        for all in self.world.truth.schedules.values_mut() {
            let old = all.len().saturating_sub(1);
            all.drain(..old);
            all.shrink_to_fit();
        }
        let (keys, unexplained) = self.keys();
        Rest { hours, keys, unexplained, heap: heap() }
    }

    /// Every key of the store, and those that what people want and what runs does not explain.
    fn keys(&mut self) -> (BTreeMap<String, usize>, Vec<String>) {
        let layout = self.world.layout.clone();
        let request =
            Request::Range(RangeRequest { keys_only: true, ..RangeRequest::prefix(layout.root().to_owned()) });
        let Ok(ResponseBody::Range(range)) = self.world.memory.apply(self.world.now, request).map(|r| r.body) else {
            return (BTreeMap::new(), vec!["the store does not answer".to_owned()]);
        };
        let truth = &self.world.truth;
        let texts: BTreeSet<_> = truth.units.values().map(|(_, record)| &record.content).collect();
        let (mut keys, mut unexplained) = (BTreeMap::new(), Vec::new());
        for kv in range.kvs {
            let name = String::from_utf8_lossy(&kv.key[layout.root().len()..]).into_owned();
            let part = name.split('/').next().unwrap_or_default().to_owned();
            *keys.entry(part).or_default() += 1;
            let explained = match layout.decode(&kv.key) {
                Some(Key::Cluster | Key::Leader | Key::Standby(_)) => true,
                Some(Key::Unit(unit)) => self.stay.contains(&unit),
                Some(Key::Content(content)) => texts.contains(&content),
                Some(Key::Machine(id) | Key::Schedule(id) | Key::Applied(id)) => truth.present.contains_key(&id),
                Some(Key::Operator(id)) => truth.operators.contains(&id),
                Some(Key::State(id, unit)) => truth.listed(&unit).any(|(listed, _)| *listed == id),
                Some(Key::Note(unit)) => truth.units.contains_key(&unit),
                _ => false,
            };
            if !explained {
                unexplained.push(name);
            }
        }
        (keys, unexplained)
    }
}
