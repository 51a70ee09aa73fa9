//! A cluster in virtual time: who gets what next, and what becomes of it.

use std::time::Duration;

use fleet_agent::{Effect, Event, SystemdEffect, SystemdEvent};
use fleet_engine::{EngineEffect, EngineEvent, Report};
use fleet_registry::loopback::{Connection, Delays};
use fleet_registry::memory::{Memory, WatcherId};
use fleet_registry::store::{WatchItem, WatchRequest};
use fleet_registry::{Layout, Mono, Now, Owner, SessionEffect, SessionInput, StateMachine, StoreEffect, StoreEvent};

use super::machine::{Machine, Waiting};
use super::rng::Rng;
use super::timeline::Timeline;
use super::truth::{Truth, Writer};

/// A fault of the kind that the invariants must uncover, planted to see that they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// systemd says that it stopped a unit, and lets it run.
    StopLies,
}

/// More steps than any story takes: who takes them is busy with itself.
const STEPS: u64 = 500_000;

/// A cluster and its store.
pub(super) struct World {
    pub(super) now: Mono,
    pub(super) memory: Memory,
    pub(super) layout: Layout,
    pub(super) machines: Vec<Machine>,
    pub(super) rng: Rng,
    pub(super) timeline: Timeline,
    pub(super) truth: Truth,
    /// What befalls the store as a whole.
    pub(super) outage: Option<Connection>,
    /// Steps that state machines took.
    pub(super) steps: u64,
    /// What must not be, and is.
    pub(super) violation: Option<String>,
    watcher: WatcherId,
    seen: i64,
}

impl World {
    pub(super) fn new(seed: u64, machines: usize, plant: Option<Plant>) -> Self {
        let layout = Layout::default();
        let mut memory = Memory::new(seed);
        let (watcher, _) = memory.watch(WatchRequest::prefix(layout.root().to_owned(), 1));
        let mut world = Self {
            now: Duration::from_secs(1000),
            memory,
            layout,
            machines: (0..machines).map(Machine::new).collect(),
            rng: Rng::new(seed),
            timeline: Timeline::new(),
            truth: Truth::default(),
            outage: None,
            steps: 0,
            violation: None,
            watcher,
            seen: 0,
        };
        for n in 0..machines {
            let (millis, at) = (|r: &mut Rng| r.millis(0, 3), world.now + world.rng.millis(0, 2000));
            let rng = &mut world.rng;
            let delays = Delays { request: millis(rng), answer: millis(rng), watch: millis(rng) };
            let machine = &mut world.machines[n];
            machine.link.delays = delays;
            machine.starts_at = Some(at);
            machine.systemd.stop_lies = plant == Some(Plant::StopLies);
        }
        world
    }

    fn time(&self) -> Now {
        let millis = u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX);
        Now { mono: self.now, wall: 1_800_000_000_000 + millis }
    }

    pub(super) fn say(&mut self, n: usize, what: std::fmt::Arguments<'_>) {
        self.timeline.push(self.now, self.machines[n].id.as_str(), what);
    }

    /// Notes what must not be.
    pub(super) fn check(&mut self, result: Result<(), String>) {
        if let Err(what) = result
            && self.violation.is_none()
        {
            self.timeline.push(self.now, "VIOLATION", format_args!("{what}"));
            self.violation = Some(what);
        }
    }

    // --- faults ---

    /// fleetd is gone from one moment to the next, and started again later.
    pub(super) fn kill(&mut self, n: usize, again: Duration) {
        let machine = &mut self.machines[n];
        machine.link.abandon(&mut self.memory);
        machine.systemd.forget_callers();
        machine.waiting.clear();
        (machine.fleetd, machine.dies_after, machine.paused_until) = (None, None, None);
        machine.starts_at = Some(self.now + again);
        machine.disturbed = self.now + again;
        self.say(n, format_args!("fleetd is dead"));
    }

    /// Power loss: nothing runs, and nothing in /run is left.
    pub(super) fn power_loss(&mut self, n: usize, again: Duration) {
        self.kill(n, again);
        let machine = &mut self.machines[n];
        machine.systemd.power_loss();
        machine.disk.power_loss();
        machine.boots += 1;
        self.say(n, format_args!("power loss"));
    }

    /// Changes what a machine's link does.
    pub(super) fn connect(&mut self, n: usize, connection: Connection) {
        self.machines[n].connection = connection;
        self.machines[n].disturbed = self.now;
        self.say(n, format_args!("link: {connection:?}"));
        self.plug(n);
    }

    /// Changes what all links do, or lets each do its own again.
    pub(super) fn set_outage(&mut self, outage: Option<Connection>) {
        self.outage = outage;
        self.timeline.push(self.now, "store", format_args!("outage: {outage:?}"));
        (0..self.machines.len()).for_each(|n| self.plug(n));
    }

    fn plug(&mut self, n: usize) {
        let machine = &mut self.machines[n];
        machine.link.connect(&mut self.memory, self.now, self.outage.unwrap_or(machine.connection));
    }

    // --- time ---

    /// Lets time pass, unless something is found that must not be.
    pub(super) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.violation.is_none() {
            self.instant();
            if self.steps > STEPS {
                self.check(Err("it never comes to rest".to_owned()));
            }
            let machines = self.machines.iter().filter_map(Machine::next_deadline);
            match machines.chain(self.memory.next_deadline()).min() {
                Some(next) if next <= until => self.now = next.max(self.now + Duration::from_micros(1)),
                _ => break,
            }
        }
        self.now = self.now.max(until);
    }

    /// Lets everything happen that happens now.
    fn instant(&mut self) {
        self.memory.expire(self.now);
        self.drain(Writer::Time);
        for _ in 0..10_000 {
            for n in 0..self.machines.len() {
                self.turn(n);
            }
            let revision = self.memory.header().revision;
            if self.machines.iter().all(|machine| machine.read == revision) {
                return;
            }
        }
        self.check(Err("it never comes to rest".to_owned()));
    }

    /// Everything that is due on one machine.
    fn turn(&mut self, n: usize) {
        let now = self.now;
        let due = |at: Option<Mono>| at.is_some_and(|at| at <= now);
        if due(self.machines[n].starts_at) {
            self.start_fleetd(n);
        }
        if due(self.machines[n].paused_until) {
            self.machines[n].paused_until = None;
            self.say(n, format_args!("fleetd goes on"));
            for waiting in std::mem::take(&mut self.machines[n].waiting) {
                match waiting {
                    Waiting::Store(event) => self.store_event(n, event),
                    Waiting::Agent(event) => self.agent(n, event),
                }
            }
        }
        let machine = &mut self.machines[n];
        let revision = self.memory.header().revision;
        if machine.read != revision || due(machine.link.next_deadline()) {
            machine.read = revision;
            let events = machine.link.poll(&mut self.memory, now);
            self.drain(Writer::Machine(n));
            events.into_iter().for_each(|event| self.store_event(n, event));
        }
        if due(self.machines[n].systemd.next_deadline()) {
            for event in self.machines[n].systemd.due(now) {
                self.agent(n, event);
            }
        }
        let awake = |machine: &Machine| machine.paused_until.is_none();
        let wakeups = |machine: &Machine| {
            let fleetd = machine.fleetd.as_ref().filter(|_| awake(machine));
            fleetd.map_or([None; 3], |f| [f.session.wakeup(), f.engine.wakeup(), f.agent.wakeup()])
        };
        if due(wakeups(&self.machines[n])[0]) {
            self.session(n, SessionInput::Tick);
        }
        if due(wakeups(&self.machines[n])[1]) {
            self.engine(n, EngineEvent::Tick);
        }
        if due(wakeups(&self.machines[n])[2]) {
            self.agent(n, Event::Tick);
        }
    }

    fn start_fleetd(&mut self, n: usize) {
        let seed = self.rng.bits();
        let machine = &mut self.machines[n];
        machine.starts_at = None;
        machine.fleetd = Some(machine.make_fleetd(&self.layout, seed));
        machine.systemd.later(self.now, Event::Systemd(SystemdEvent::Connected));
        self.say(n, format_args!("fleetd starts"));
        self.session(n, SessionInput::Start);
        self.agent(n, Event::Start);
    }

    /// Reads what changed in the store, and checks it.
    pub(super) fn drain(&mut self, writer: Writer) {
        let revision = self.memory.header().revision;
        if revision == self.seen {
            return;
        }
        self.seen = revision;
        while let Some(item) = self.memory.poll_watch(self.watcher) {
            let Ok(WatchItem::Events { events, .. }) = item else { continue };
            let result = self.truth.observe(&self.layout, self.now, writer, &self.machines, &events);
            self.check(result);
        }
    }

    // --- the parts of a fleetd ---

    /// Whether fleetd lives to see this effect done.
    fn survives(&mut self, n: usize) -> bool {
        match &mut self.machines[n].dies_after {
            Some(0) => {
                let again = self.rng.millis(100, 8_000);
                self.kill(n, again);
                return false;
            }
            Some(left) => *left -= 1,
            None => {}
        }
        self.machines[n].fleetd.is_some()
    }

    fn store_event(&mut self, n: usize, event: StoreEvent) {
        if self.machines[n].paused_until.is_some() {
            return self.machines[n].waiting.push(Waiting::Store(event));
        }
        match event.owner() {
            Owner::Session => self.session(n, SessionInput::Store(event)),
            Owner::Agent => self.agent(n, Event::Store(event)),
            Owner::Mirror | Owner::Election | Owner::Engine => self.engine(n, EngineEvent::Store(event)),
        }
    }

    fn session(&mut self, n: usize, input: SessionInput) {
        let now = self.time();
        let Some(fleetd) = &mut self.machines[n].fleetd else { return };
        self.steps += 1;
        for effect in fleetd.session.step(now, input) {
            if !self.survives(n) {
                return;
            }
            match effect {
                SessionEffect::Store(effect) => self.store(n, effect),
                SessionEffect::Event(event) => {
                    self.engine(n, EngineEvent::Session(event.clone()));
                    self.agent(n, Event::Session(event));
                }
                SessionEffect::Ended => {}
            }
        }
    }

    fn engine(&mut self, n: usize, event: EngineEvent) {
        let now = self.time();
        let Some(fleetd) = &mut self.machines[n].fleetd else { return };
        self.steps += 1;
        for effect in fleetd.engine.step(now, event) {
            if !self.survives(n) {
                return;
            }
            match effect {
                EngineEffect::Store(effect) => self.store(n, effect),
                EngineEffect::Log(report) => {
                    self.say(n, format_args!("engine: {report}"));
                    if let Report::Lost { machine } = &report
                        && let Some(machine) = self.machines.iter().find(|m| m.id == *machine)
                    {
                        let result = self.truth.check_lost(now.mono, machine);
                        self.check(result);
                    }
                }
                EngineEffect::Status(_) | EngineEffect::Resigned => {}
            }
        }
    }

    fn agent(&mut self, n: usize, event: Event) {
        if self.machines[n].paused_until.is_some() {
            return self.machines[n].waiting.push(Waiting::Agent(event));
        }
        let now = self.time();
        let Some(fleetd) = &mut self.machines[n].fleetd else { return };
        self.steps += 1;
        for effect in fleetd.agent.step(now, event) {
            if !self.survives(n) {
                return;
            }
            match effect {
                Effect::Store(effect) => self.store(n, effect),
                Effect::Systemd(effect) => self.systemd(n, effect),
                Effect::Disk(effect) => {
                    let machine = &mut self.machines[n];
                    let event = machine.disk.perform(effect);
                    machine.systemd.later(now.mono, Event::Disk(event));
                }
                Effect::Log(report) => self.say(n, format_args!("agent: {report}")),
                Effect::Ready | Effect::Left => {}
            }
        }
    }

    fn systemd(&mut self, n: usize, effect: SystemdEffect) {
        if let SystemdEffect::Job { unit, job, .. } = &effect {
            self.say(n, format_args!("systemd: {job:?} {unit}"));
            let result = self.truth.check_job(&self.machines[n], unit, *job);
            self.check(result);
        }
        let machine = &mut self.machines[n];
        machine.systemd.perform(self.now, effect, &machine.disk);
    }

    fn store(&mut self, n: usize, effect: StoreEffect) {
        self.machines[n].link.perform(&mut self.memory, self.now, effect);
        self.drain(Writer::Machine(n));
    }
}
