//! What the agent is told, and when.

use std::time::Duration;

use fleet_agent::{Event, Op, SystemdError, SystemdEvent, UnitReport};
use fleet_registry::Mono;
use fleet_units::UnitName;

use super::{Systemd, fence};

/// How long a call takes.
pub(super) const CALL: Duration = Duration::from_millis(1);
/// How long it takes until a lost connection is made anew.
const RECONNECT: Duration = Duration::from_millis(50);

impl Systemd {
    /// Tells the agent this after as long as a call takes.
    pub fn later(&mut self, now: Mono, event: Event) {
        let id = self.id();
        self.queue.insert((now + CALL, id), event);
    }

    /// What the agent is told by now.
    pub fn due(&mut self, now: Mono) -> Vec<Event> {
        self.fire_fences(now);
        while let Some(entry) = self.jobs.first_entry().filter(|e| e.key().0 <= now) {
            let running = entry.remove();
            self.finish(now, running);
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
        let job = self.jobs.keys().next().map(|key| key.0);
        event.into_iter().chain(job).chain(self.next_fence()).min()
    }

    /// fleetd dies: nobody hears of its jobs, which go on.
    pub fn forget_callers(&mut self) {
        self.queue.clear();
        self.watched.clear();
        self.cut_fence();
        for running in self.jobs.values_mut() {
            running.op = None;
        }
    }

    /// The message bus is restarted: signals are lost, and so are the ends of jobs.
    pub fn disconnect(&mut self, now: Mono) {
        self.queue.retain(|_, event| !matches!(event, Event::Systemd(SystemdEvent::Changed { .. })));
        let jobs = self.jobs.values_mut();
        let lost: Vec<(Op, UnitName)> = jobs.filter_map(|r| Some((r.op.take()?, r.unit.clone()))).collect();
        let why = "the bus is gone".to_owned();
        for (op, unit) in lost {
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

    /// Tells of a unit that changed, if anyone wants to know.
    pub(super) fn tell(&mut self, now: Mono, name: &UnitName) {
        if self.watched.contains(name) {
            let report = self.report(name);
            self.later(now, Event::Systemd(SystemdEvent::Changed { unit: name.clone(), report }));
        }
    }

    pub(super) fn report(&self, name: &UnitName) -> UnitReport {
        if *name == fence::target() {
            let active = if self.run_of_target().is_some() { "active" } else { "inactive" };
            let invocation = self.run_of_target().cloned().unwrap_or_default();
            return UnitReport { load: "loaded".into(), active: active.into(), invocation, ..UnitReport::default() };
        }
        let known = self.units.contains_key(name) || self.linked.contains(name);
        let unit = self.units.get(name).cloned().unwrap_or_default();
        let (active, sub) = match (unit.active, unit.failed) {
            (true, _) => ("active", "running"),
            (_, true) => ("failed", "failed"),
            _ => ("inactive", "dead"),
        };
        UnitReport {
            load: if known { "loaded" } else { "not-found" }.into(),
            active: active.into(),
            sub: sub.into(),
            main_pid: unit.pid,
            ..UnitReport::default()
        }
    }
}
