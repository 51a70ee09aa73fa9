//! A machine's systemd: units, links, and jobs, as far as an agent can tell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_agent::reconcile::Residue;
use fleet_agent::{Event, Job, Op, SystemdEffect, SystemdError, SystemdEvent, UnitReport};
use fleet_registry::Mono;
use fleet_units::UnitName;

/// How long a call takes.
const CALL: Duration = Duration::from_millis(1);
/// How long a job takes where nothing else is said.
const JOB: Duration = Duration::from_millis(3);

#[derive(Debug, Clone, Default)]
struct Unit {
    active: bool,
    failed: bool,
    pid: u32,
}

#[derive(Debug)]
struct Running {
    /// Who is told of its end; none when that fleetd is dead.
    op: Option<Op>,
    unit: UnitName,
    job: Job,
}

/// What systemd has and does.
#[derive(Debug, Default)]
pub(super) struct Systemd {
    units: BTreeMap<UnitName, Unit>,
    linked: BTreeSet<UnitName>,
    watched: BTreeSet<UnitName>,
    /// Events on their way to the agent.
    queue: BTreeMap<(Mono, u64), Event>,
    jobs: BTreeMap<(Mono, u64), Running>,
    count: u64,
    /// Units whose jobs take this long.
    pub(super) slow: BTreeMap<UnitName, Duration>,
    /// Units that cannot be linked.
    pub(super) refused: BTreeSet<UnitName>,
    /// Units whose start fails.
    pub(super) broken: BTreeSet<UnitName>,
    /// A planted fault: it says that it stopped a unit, and lets it run.
    pub(super) stop_lies: bool,
}

impl Systemd {
    fn id(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// The power fails: nothing runs, and nothing in /run is left.
    pub(super) fn power_loss(&mut self) {
        self.units.clear();
        self.linked.clear();
        self.jobs.clear();
        self.forget_callers();
    }

    /// fleetd dies: nobody hears of its jobs, which go on.
    pub(super) fn forget_callers(&mut self) {
        self.queue.clear();
        self.watched.clear();
        for running in self.jobs.values_mut() {
            running.op = None;
        }
    }

    pub(super) fn later(&mut self, now: Mono, event: Event) {
        let id = self.id();
        self.queue.insert((now + CALL, id), event);
    }

    pub(super) fn is_linked(&self, unit: &UnitName) -> bool {
        self.linked.contains(unit)
    }

    pub(super) fn linked(&self) -> &BTreeSet<UnitName> {
        &self.linked
    }

    pub(super) fn has_failed(&self, unit: &UnitName) -> bool {
        self.units.get(unit).is_some_and(|u| u.failed)
    }

    /// Whether it runs, or may in a moment: its start is under way.
    pub(super) fn may_run(&self, unit: &UnitName) -> bool {
        let starting = |running: &Running| running.unit == *unit && running.job != Job::Stop;
        self.is_active(unit) || self.jobs.values().any(starting)
    }

    pub(super) fn is_active(&self, unit: &UnitName) -> bool {
        self.units.get(unit).is_some_and(|u| u.active)
    }

    /// What runs, with its main process.
    pub(super) fn active(&self) -> impl Iterator<Item = (&UnitName, u32)> {
        self.units.iter().filter(|(_, unit)| unit.active).map(|(name, unit)| (name, unit.pid))
    }

    /// The message bus is restarted: signals are lost, and so are the ends of jobs.
    pub(super) fn disconnect(&mut self, now: Mono) {
        self.queue.retain(|_, event| !matches!(event, Event::Systemd(SystemdEvent::Changed { .. })));
        let cut = |running: &mut Running| Some((running.op.take()?, running.unit.clone()));
        let lost: Vec<(Op, UnitName)> = self.jobs.values_mut().filter_map(cut).collect();
        for (op, unit) in lost {
            let result = Err(SystemdError::Disconnected("the bus is gone".into()));
            self.later(now, Event::Systemd(SystemdEvent::JobDone { op, unit, result, report: None }));
        }
        self.later(now, Event::Systemd(SystemdEvent::Disconnected { why: "the bus is gone".into() }));
        self.later(now + CALL * 50, Event::Systemd(SystemdEvent::Connected));
    }

    fn tell(&mut self, now: Mono, name: &UnitName) {
        if self.watched.contains(name) {
            let report = self.report(name);
            self.later(now, Event::Systemd(SystemdEvent::Changed { unit: name.clone(), report }));
        }
    }

    fn report(&self, name: &UnitName) -> UnitReport {
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

    pub(super) fn perform(&mut self, now: Mono, effect: SystemdEffect) {
        let event = match effect {
            SystemdEffect::Watch(units) => return self.watched.extend(units),
            SystemdEffect::Unwatch(units) => return self.watched.retain(|u| !units.contains(u)),
            SystemdEffect::List { op, units } => {
                let reports = units.iter().map(|u| (u.clone(), self.report(u))).collect();
                for unit in &units {
                    self.tell(now, unit);
                }
                SystemdEvent::Listed { op, result: Ok(reports) }
            }
            SystemdEffect::Link { op, units } => {
                let units = units.into_iter().map(|u| (u.unit.clone(), self.link(u.unit))).collect();
                SystemdEvent::Linked { op, units }
            }
            SystemdEffect::Unlink { op, units } => {
                let units = units.into_iter().map(|u| (u.clone(), Ok(self.unlink(&u)))).collect();
                SystemdEvent::Unlinked { op, units }
            }
            SystemdEffect::Reload { op } => {
                let linked = &self.linked;
                self.units.retain(|name, unit| unit.active || linked.contains(name));
                SystemdEvent::Reloaded { op, result: Ok(()) }
            }
            SystemdEffect::Job { op, unit, job } => return self.queue_job(now, op, unit, job),
        };
        self.later(now, Event::Systemd(event));
    }

    fn link(&mut self, unit: UnitName) -> Result<bool, SystemdError> {
        if self.refused.contains(&unit) {
            return Err(SystemdError::Refused("Invalid argument".into()));
        }
        let held = self.units.contains_key(&unit);
        self.linked.insert(unit);
        Ok(held)
    }

    fn unlink(&mut self, unit: &UnitName) -> Residue {
        self.linked.remove(unit);
        if self.is_active(unit) {
            return Residue::Active;
        }
        self.units.remove(unit);
        Residue::Gone
    }

    fn queue_job(&mut self, now: Mono, op: Op, unit: UnitName, job: Job) {
        if !self.linked.contains(&unit) && !self.units.contains_key(&unit) {
            let result = Err(SystemdError::NoSuchUnit);
            return self.later(now, Event::Systemd(SystemdEvent::JobDone { op, unit, result, report: None }));
        }
        // A new job replaces the one under way.
        let replaced: Vec<_> = self.jobs.iter().filter(|(_, r)| r.unit == unit).map(|(key, _)| *key).collect();
        for key in replaced {
            if let Some(Running { op: Some(op), unit, .. }) = self.jobs.remove(&key) {
                let result = Err(SystemdError::Refused("its job ended with \"canceled\"".into()));
                self.later(now, Event::Systemd(SystemdEvent::JobDone { op, unit, result, report: None }));
            }
        }
        let takes = self.slow.get(&unit).copied().unwrap_or(JOB);
        let id = self.id();
        self.jobs.insert((now + takes, id), Running { op: Some(op), unit, job });
    }

    /// What the agent is told by now.
    pub(super) fn due(&mut self, now: Mono) -> Vec<Event> {
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

    fn finish(&mut self, now: Mono, Running { op, unit: name, job }: Running) {
        let pid = u32::try_from(self.id()).unwrap_or(u32::MAX);
        let broken = job != Job::Stop && self.broken.contains(&name);
        let lies = self.stop_lies;
        let unit = self.units.entry(name.clone()).or_default();
        match job {
            Job::Start if unit.active => {}
            Job::Start | Job::Restart => {
                (unit.active, unit.failed) = (!broken, broken);
                unit.pid = if broken { 0 } else { pid };
            }
            Job::Stop if lies => {}
            Job::Stop => *unit = Unit::default(),
        }
        self.tell(now, &name);
        if let Some(op) = op {
            let result = match broken {
                true => Err(SystemdError::Refused("its job ended with \"failed\"".into())),
                false => Ok(()),
            };
            let report = Some(self.report(&name));
            self.later(now, Event::Systemd(SystemdEvent::JobDone { op, unit: name, result, report }));
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Mono> {
        let event = self.queue.keys().next().map(|key| key.0);
        let job = self.jobs.keys().next().map(|key| key.0);
        event.into_iter().chain(job).min()
    }
}
