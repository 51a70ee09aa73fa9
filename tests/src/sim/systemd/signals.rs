//! What happens when: the life of units, and what the agent is told of it.

use std::time::Duration;

use fleet_agent::{Event, Job, Op, SystemdError, SystemdEvent, UnitReport};
use fleet_registry::Mono;
use fleet_units::UnitName;

use super::Systemd;
use super::unit::Unit;
use crate::sim::disk::Disk;

/// How long a call takes.
const CALL: Duration = Duration::from_millis(1);
/// How long it takes until a lost connection is made anew.
const RECONNECT: Duration = Duration::from_millis(50);

impl Systemd {
    /// Tells the agent this after as long as a call takes.
    pub fn later(&mut self, now: Mono, event: Event) {
        let id = self.id();
        self.queue.insert((now + CALL, id), event);
    }

    /// What the agent is told by now.
    pub fn due(&mut self, now: Mono, disk: &Disk) -> Vec<Event> {
        self.fire_fences(now);
        while self.deadlines.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, name)) = self.deadlines.pop_first()
        {
            self.noted.remove(&name);
            if self.jobs.get(&name).and_then(|job| job.at).is_some_and(|at| at <= now) {
                self.run_job(now, &name);
            }
            if self.units.get_mut(&name).is_some_and(|unit| unit.advance(now)) {
                // Its own pause is over: systemd starts it again.
                self.install(now, name.clone(), Job::Restart, Vec::new());
            }
            self.settle(now, &name);
        }
        if self.quiet_at.is_some_and(|at| at <= now) {
            self.inspect(now, disk);
        }
        let mut events = Vec::new();
        while let Some(entry) = self.queue.first_entry().filter(|e| e.key().0 <= now) {
            events.push(entry.remove());
        }
        events
    }

    /// When something happens next, if nothing is asked of it before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let event = self.queue.keys().next().map(|key| key.0);
        let life = self.deadlines.first().map(|(at, _)| *at);
        [event, life, self.quiet_at, self.next_fence()].into_iter().flatten().min()
    }

    /// Notes when the next thing happens to a unit or its job.
    pub(super) fn note_deadline(&mut self, name: &UnitName) {
        let unit = self.units.get(name).and_then(Unit::deadline);
        let job = self.jobs.get(name).and_then(|job| job.at);
        let next = unit.into_iter().chain(job).min();
        if let Some(at) = self.noted.remove(name) {
            self.deadlines.remove(&(at, name.clone()));
        }
        if let Some(at) = next {
            self.noted.insert(name.clone(), at);
            self.deadlines.insert((at, name.clone()));
        }
    }

    /// A unit may have changed: its job learns of it, and so does whoever watches; what nothing keeps is forgotten.
    pub(super) fn settle(&mut self, now: Mono, name: &UnitName) {
        self.settle_moves(now, name);
        self.tell(now, name);
        self.forget_idle(name);
        self.note_deadline(name);
        self.settle_target(now);
    }

    /// A unit's job learns of every state that it went through, and so does whoever watches: where systemd passes through
    /// several in one go it may tell of each or of the last alone.
    pub(super) fn settle_moves(&mut self, now: Mono, name: &UnitName) {
        let Some(unit) = self.units.get_mut(name) else { return };
        let (moves, last) = (std::mem::take(&mut unit.moves), unit.state);
        for state in moves {
            if let Some(unit) = self.units.get_mut(name) {
                unit.state = state;
            }
            self.tell(now, name);
            self.job_sees(now, name, state);
        }
        if let Some(unit) = self.units.get_mut(name) {
            unit.state = last;
        }
    }

    /// fleetd dies: nobody hears of its jobs, which go on.
    pub fn forget_callers(&mut self) {
        self.queue.clear();
        self.watched.clear();
        self.cut_fence();
        self.forget_connection();
        for pending in self.jobs.values_mut() {
            pending.ops.clear();
        }
    }

    fn forget_connection(&mut self) {
        self.known.clear();
        self.details.clear();
        self.quiet_at = None;
    }

    /// The message bus is restarted: signals are lost, and so are the ends of jobs.
    pub fn disconnect(&mut self, now: Mono) {
        self.forget_connection();
        self.queue.retain(|_, event| !matches!(event, Event::Systemd(SystemdEvent::Changed { .. })));
        let jobs = self.jobs.iter_mut();
        let lost: Vec<(UnitName, Vec<Op>)> =
            jobs.map(|(unit, job)| (unit.clone(), std::mem::take(&mut job.ops))).collect();
        let why = "the bus is gone".to_owned();
        for (unit, op) in lost.into_iter().flat_map(|(unit, ops)| ops.into_iter().map(move |op| (unit.clone(), op))) {
            let result = Err(SystemdError::Disconnected(why.clone()));
            self.later(now, Event::Systemd(SystemdEvent::JobDone { op, unit, result, report: None }));
        }
        for op in self.cut_fence() {
            let result = Err(SystemdError::Disconnected(why.clone()));
            self.later(now, Event::Systemd(SystemdEvent::Fence { op, result }));
        }
        self.later(now, Event::Systemd(SystemdEvent::Disconnected { why }));
        self.later(now + RECONNECT, Event::Systemd(SystemdEvent::Connected));
    }
}

impl Unit {
    /// Whether signals said this of it last. Another run has another process.
    pub(super) fn is_as(&self, known: &UnitReport) -> bool {
        let state = !known.load.is_empty() && known.active == self.state.active() && known.sub == self.state.sub();
        let count = known.main_pid == self.pid && known.n_restarts == self.n_restarts;
        state && count && known.result == self.result && known.since == self.since_ms()
    }

    fn since_ms(&self) -> u64 {
        u64::try_from(self.since.as_millis()).unwrap_or(u64::MAX)
    }

    /// What systemd says of it.
    pub(super) fn report(&self) -> UnitReport {
        UnitReport {
            load: self.definition.load.into(),
            active: self.state.active().into(),
            sub: self.state.sub().into(),
            result: self.result.into(),
            since: self.since_ms(),
            n_restarts: self.n_restarts,
            main_pid: self.pid,
            invocation: if self.invocation == 0 { String::new() } else { format!("{:032x}", self.invocation) },
            stop_bound_ms: None,
        }
    }
}
