//! A systemd small enough to be understood at a glance.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_agent::reconcile::Residue;
use fleet_agent::{Event, Job, Op, SystemdEffect, SystemdError, SystemdEvent, UnitReport};
use fleet_units::UnitName;

/// How long a call takes.
const CALL: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Default)]
struct Unit {
    active: bool,
    failed: bool,
    pid: u32,
}

/// What systemd has and does.
#[derive(Debug, Default)]
pub(crate) struct Systemd {
    units: BTreeMap<UnitName, Unit>,
    linked: BTreeSet<UnitName>,
    watched: BTreeSet<UnitName>,
    /// Events on their way to the agent.
    queue: BTreeMap<(Duration, u64), Event>,
    /// Jobs under way.
    jobs: BTreeMap<(Duration, u64), (Option<Op>, UnitName, Job)>,
    count: u64,
    /// Every job that was asked for, in order.
    pub(crate) asked: Vec<(Job, String)>,
    pub(crate) reloads: u32,
    pub(crate) links: u32,
    /// Units whose stop takes this long.
    pub(crate) slow_stop: BTreeMap<UnitName, Duration>,
    /// Units whose start takes this long.
    pub(crate) slow_start: BTreeMap<UnitName, Duration>,
    /// Units that cannot be linked.
    pub(crate) refused: BTreeSet<UnitName>,
    /// Units whose start fails.
    pub(crate) broken: BTreeSet<UnitName>,
    /// Units that other units refer to, so that systemd never lets go of them.
    pub(crate) referred: BTreeSet<UnitName>,
}

impl Systemd {
    fn id(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub(crate) fn later(&mut self, now: Duration, event: Event) {
        let id = self.id();
        self.queue.insert((now + CALL, id), event);
    }

    pub(crate) fn forget_callers(&mut self) {
        self.queue.clear();
        self.watched.clear();
        for (op, ..) in self.jobs.values_mut() {
            *op = None;
        }
    }

    pub(crate) fn is_active(&self, unit: &UnitName) -> bool {
        self.units.get(unit).is_some_and(|u| u.active)
    }

    pub(crate) fn is_linked(&self, unit: &UnitName) -> bool {
        self.linked.contains(unit)
    }

    pub(crate) fn pid(&self, unit: &UnitName) -> u32 {
        self.units.get(unit).map_or(0, |u| u.pid)
    }

    pub(crate) fn active(&self) -> BTreeSet<UnitName> {
        self.units.iter().filter(|(_, u)| u.active).map(|(name, _)| name.clone()).collect()
    }

    /// How often this was asked for.
    pub(crate) fn times(&self, job: Job, unit: &str) -> usize {
        self.asked.iter().filter(|(j, u)| *j == job && u == unit).count()
    }

    /// The message bus is restarted: signals are lost, and so are the ends of jobs.
    pub(crate) fn disconnect(&mut self, now: Duration) {
        self.queue.retain(|_, event| !matches!(event, Event::Systemd(SystemdEvent::Changed { .. })));
        let jobs: Vec<(Op, UnitName)> =
            self.jobs.values_mut().filter_map(|(op, unit, _)| Some((op.take()?, unit.clone()))).collect();
        for (op, unit) in jobs {
            let result = Err(SystemdError::Disconnected("the bus is gone".into()));
            self.later(now, Event::Systemd(SystemdEvent::JobDone { op, unit, result, report: None }));
        }
        self.later(now, Event::Systemd(SystemdEvent::Disconnected { why: "the bus is gone".into() }));
        self.later(now + CALL * 50, Event::Systemd(SystemdEvent::Connected));
    }

    /// A unit is started or stops by itself.
    pub(crate) fn set_active(&mut self, now: Duration, name: &UnitName, active: bool) {
        let pid = u32::try_from(self.id()).unwrap();
        let unit = self.units.entry(name.clone()).or_default();
        unit.active = active;
        unit.pid = if active { pid } else { 0 };
        self.tell(now, name);
    }

    fn tell(&mut self, now: Duration, name: &UnitName) {
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

    pub(crate) fn perform(&mut self, now: Duration, effect: SystemdEffect) {
        let event = match effect {
            SystemdEffect::Watch(units) => return self.watched.extend(units),
            SystemdEffect::Unwatch(units) => return self.watched.retain(|u| !units.contains(u)),
            SystemdEffect::List { op, units } => {
                let reports: BTreeMap<_, _> = units.iter().map(|u| (u.clone(), self.report(u))).collect();
                for unit in &units {
                    self.tell(now, unit);
                }
                SystemdEvent::Listed { op, result: Ok(reports) }
            }
            SystemdEffect::Link { op, units } => {
                self.links += 1;
                let units = units.into_iter().map(|u| (u.unit.clone(), self.link(u.unit))).collect();
                SystemdEvent::Linked { op, units }
            }
            SystemdEffect::Unlink { op, units } => {
                let units = units.into_iter().map(|u| (u.clone(), Ok(self.unlink(&u)))).collect();
                SystemdEvent::Unlinked { op, units }
            }
            SystemdEffect::Reload { op } => {
                self.reloads += 1;
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
        match self.units.get(unit) {
            Some(u) if u.active => Residue::Active,
            Some(_) if self.referred.contains(unit) => Residue::Inactive,
            _ => {
                self.units.remove(unit);
                Residue::Gone
            }
        }
    }

    fn queue_job(&mut self, now: Duration, op: Op, unit: UnitName, job: Job) {
        self.asked.push((job, unit.to_string()));
        if !self.linked.contains(&unit) && !self.units.contains_key(&unit) {
            let result = Err(SystemdError::NoSuchUnit);
            return self.later(now, Event::Systemd(SystemdEvent::JobDone { op, unit, result, report: None }));
        }
        // A new job replaces the one under way.
        let replaced: Vec<_> = self.jobs.iter().filter(|(_, (_, u, _))| *u == unit).map(|(key, _)| *key).collect();
        for key in replaced {
            if let Some((Some(op), unit, _)) = self.jobs.remove(&key) {
                let result = Err(SystemdError::Refused("its job ended with \"canceled\"".into()));
                self.later(now, Event::Systemd(SystemdEvent::JobDone { op, unit, result, report: None }));
            }
        }
        let slow = if job == Job::Stop { &self.slow_stop } else { &self.slow_start };
        let takes = slow.get(&unit).copied().unwrap_or(CALL * 2);
        let id = self.id();
        self.jobs.insert((now + takes, id), (Some(op), unit, job));
    }

    /// What the agent is told by now.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<Event> {
        while let Some(entry) = self.jobs.first_entry().filter(|e| e.key().0 <= now) {
            let (op, name, job) = entry.remove();
            self.finish(now, op, name, job);
        }
        let mut events = Vec::new();
        while let Some(entry) = self.queue.first_entry().filter(|e| e.key().0 <= now) {
            events.push(entry.remove());
        }
        events
    }

    fn finish(&mut self, now: Duration, op: Option<Op>, name: UnitName, job: Job) {
        let pid = u32::try_from(self.id()).unwrap();
        let broken = job != Job::Stop && self.broken.contains(&name);
        let unit = self.units.entry(name.clone()).or_default();
        match job {
            Job::Start if unit.active => {}
            Job::Start | Job::Restart => {
                (unit.active, unit.failed) = (!broken, broken);
                unit.pid = if broken { 0 } else { pid };
            }
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

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let event = self.queue.keys().next().map(|key| key.0);
        let job = self.jobs.keys().next().map(|key| key.0);
        event.into_iter().chain(job).min()
    }
}
