//! A cluster in virtual time: who gets what next, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_registry::loopback::{Connection, Delays};
use fleet_registry::memory::{Memory, WatcherId};
use fleet_registry::store::{WatchItem, WatchRequest};
use fleet_registry::{Jitter, Layout, Mono};

use super::clock::Clock;
use super::machine::Machine;
use super::reality::Reality;
use super::restore::Kept;
use super::rng::Rng;
use super::timeline::Timeline;
use super::truth::{Truth, Writer};

/// More steps than any story takes: who takes them is busy with itself.
const STEPS: u64 = 250_000;
/// More turns than machines take at one instant.
const TURNS: u32 = 20_000;

/// A cluster and its store.
pub(super) struct World {
    pub(super) now: Mono,
    pub(super) seed: u64,
    pub(super) memory: Memory,
    pub(super) layout: Layout,
    pub(super) machines: Vec<Machine>,
    pub(super) timeline: Timeline,
    pub(super) truth: Truth,
    pub(super) reality: Reality,
    /// What befalls the store as a whole.
    pub(super) outage: Option<Connection>,
    /// The own store, while another stands in its place.
    pub(super) own: Option<Memory>,
    /// A snapshot of the store.
    pub(super) backup: Option<Memory>,
    /// What a restored store must leave alone.
    pub(super) kept: Vec<Kept>,
    /// What is being done was decided before fleetd was paused.
    pub(super) owed: bool,
    /// Steps that state machines took.
    pub(super) steps: u64,
    /// What must not be, and is.
    pub(super) violation: Option<String>,
    watcher: WatcherId,
    seen: i64,
    /// Whose watch is whose.
    watchers: BTreeMap<WatcherId, usize>,
    /// When each machine is to be looked at next.
    agenda: BTreeSet<(Mono, usize)>,
    entries: Vec<Option<Mono>>,
    /// Machines whose entry may be wrong.
    touched: BTreeSet<usize>,
    turns: u32,
}

impl World {
    pub(super) fn new(seed: u64, machines: usize, drift: i64) -> Self {
        let layout = Layout::default();
        let mut memory = Memory::new(seed);
        let (watcher, _) = memory.watch(WatchRequest::prefix(layout.root().to_owned(), 1));
        let mut rng = Rng::new(seed ^ 0x5eed);
        let machine = |n: usize| {
            let ppm = i64::try_from(rng.below(usize::try_from(2 * drift + 1).unwrap_or(1))).unwrap_or(0) - drift;
            let mut machine = Machine::new(n, Clock::new(rng.millis(0, 999_000), ppm));
            let delays = Delays { request: rng.millis(0, 3), answer: rng.millis(0, 3), watch: rng.millis(0, 3) };
            machine.link.delays = delays;
            machine.starts_at = Some(Duration::from_secs(1000) + rng.millis(0, 2000));
            machine
        };
        Self {
            now: Duration::from_secs(1000),
            seed,
            memory,
            layout,
            machines: (0..machines).map(machine).collect(),
            timeline: Timeline::new(),
            truth: Truth::default(),
            reality: Reality::default(),
            outage: None,
            own: None,
            backup: None,
            kept: Vec::new(),
            owed: false,
            steps: 0,
            violation: None,
            watcher,
            seen: 0,
            watchers: BTreeMap::new(),
            agenda: BTreeSet::new(),
            entries: vec![None; machines],
            touched: BTreeSet::new(),
            turns: 0,
        }
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

    /// A seed for something of this machine, whatever befell the others.
    pub(super) fn seed_of(&self, n: usize) -> u64 {
        let n64 = u64::try_from(n).unwrap_or(0);
        Jitter::new(self.seed ^ (n64 << 32) ^ u64::from(self.machines[n].lives)).bits()
    }

    // --- time ---

    /// Lets time pass, unless something is found that must not be.
    pub(super) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        self.touched.extend(0..self.machines.len());
        // Whose turn was the last.
        let mut busy = None;
        while self.violation.is_none() {
            self.keep_agenda();
            let next = self.agenda.first().map(|(at, _)| *at);
            let others = [self.memory.next_deadline(), self.reality.next_deadline()];
            match next.into_iter().chain(others.into_iter().flatten()).min() {
                Some(at) if at <= until => self.go_to(at),
                _ => break,
            }
            if let Some((at, n)) = self.agenda.first().copied()
                && at <= self.now
            {
                self.touched.insert(n);
                self.turn(n);
                busy = Some(n);
            } else {
                self.keep_promises();
            }
            self.turns += 1;
            if self.steps > STEPS || self.turns > TURNS {
                let (steps, turns) = (self.steps, self.turns);
                let who = busy.map_or("the store", |n| self.machines[n].id.as_str());
                let what =
                    format!("it never comes to rest: {who} goes on after {steps} steps, {turns} turns at this instant");
                self.check(Err(what));
            }
        }
        self.go_to(until);
    }

    /// It is that time now, and no lease outlives its end.
    fn go_to(&mut self, at: Mono) {
        if at > self.now {
            self.now = at;
            self.turns = 0;
        }
        self.memory.expire(self.now);
        self.drain(Writer::Time);
    }

    /// Looks when those machines want to be looked at that something happened to.
    fn keep_agenda(&mut self) {
        for watcher in self.memory.take_woken() {
            if let Some(&n) = self.watchers.get(&watcher) {
                self.machines[n].news = true;
                self.touched.insert(n);
            }
        }
        while let Some(n) = self.touched.pop_first() {
            let next = self.machines[n].next_deadline(self.now);
            if self.entries[n] != next {
                if let Some(old) = self.entries[n] {
                    self.agenda.remove(&(old, n));
                }
                self.agenda.extend(next.map(|at| (at, n)));
                self.entries[n] = next;
            }
        }
    }

    /// Something happened to this machine out of turn.
    pub(super) fn touch(&mut self, n: usize) {
        self.touched.insert(n);
    }

    /// One more machine.
    pub(super) fn add_machine(&mut self, machine: Machine) {
        self.machines.push(machine);
        self.entries.push(None);
    }

    /// The machine that was added last is gone from one moment to the next.
    pub(super) fn drop_machine(&mut self) -> Machine {
        let n = self.machines.len() - 1;
        self.machines[n].link.abandon(&mut self.memory);
        self.watchers.retain(|_, whose| *whose != n);
        self.touched.remove(&n);
        if let Some(at) = self.entries.pop().flatten() {
            self.agenda.remove(&(at, n));
        }
        self.machines.remove(n)
    }

    /// No watch is open any more.
    pub(super) fn forget_watchers(&mut self) {
        self.watchers.clear();
    }

    /// The store is another: what changes there from now on is what counts.
    pub(super) fn watch_anew(&mut self) {
        self.seen = self.memory.header().revision;
        let request = WatchRequest::prefix(self.layout.root().to_owned(), self.seen + 1);
        (self.watcher, _) = self.memory.watch(request);
    }

    /// A watch may have been opened.
    pub(super) fn learn_watchers(&mut self, n: usize) {
        self.watchers.extend(self.machines[n].link.watchers().map(|watcher| (watcher, n)));
    }

    /// Reads what changed in the store, and checks it.
    pub(super) fn drain(&mut self, writer: Writer) {
        let revision = self.memory.header().revision;
        if revision == self.seen || self.own.is_some() {
            return;
        }
        self.seen = revision;
        while let Some(item) = self.memory.poll_watch(self.watcher) {
            let Ok(WatchItem::Events { events, .. }) = item else { continue };
            let result = self.truth.observe(&self.layout, self.now, writer, &self.machines, &events);
            self.check(result);
        }
        self.take_news();
    }
}
