//! Jobs: asked for, replaced by others, and done.

use std::time::Duration;

use fleet_agent::{Event, Job, Op, SystemdError, SystemdEvent};
use fleet_registry::Mono;
use fleet_units::UnitName;

use super::{Systemd, Unit};

/// How long a job takes where nothing else is said.
const JOB: Duration = Duration::from_millis(3);

/// A job under way.
#[derive(Debug)]
pub(super) struct Running {
    /// Who is told of its end; none when that fleetd is dead.
    pub(super) op: Option<Op>,
    pub(super) unit: UnitName,
    pub(super) job: Job,
}

impl Systemd {
    pub(super) fn queue_job(&mut self, now: Mono, op: Op, unit: UnitName, job: Job) {
        self.asked.push((job, unit.to_string()));
        if !self.linked.contains(&unit) && !self.units.contains_key(&unit) {
            let result = Err(SystemdError::NoSuchUnit);
            return self.later(now, Event::Systemd(SystemdEvent::JobDone { op, unit, result, report: None }));
        }
        if job != Job::Stop && self.is_fenced_off(&unit) {
            let result = Err(SystemdError::Refused("its job ended with \"dependency\"".into()));
            return self.later(now, Event::Systemd(SystemdEvent::JobDone { op, unit, result, report: None }));
        }
        self.replace_jobs(now, &unit);
        let takes = self.takes(&unit, job);
        let id = self.id();
        self.jobs.insert((now + takes, id), Running { op: Some(op), unit, job });
    }

    /// A new job replaces the one under way.
    pub(super) fn replace_jobs(&mut self, now: Mono, unit: &UnitName) {
        let replaced: Vec<_> = self.jobs.iter().filter(|(_, r)| r.unit == *unit).map(|(key, _)| *key).collect();
        for key in replaced {
            if let Some(Running { op: Some(op), unit, .. }) = self.jobs.remove(&key) {
                let result = Err(SystemdError::Refused("its job ended with \"canceled\"".into()));
                self.later(now, Event::Systemd(SystemdEvent::JobDone { op, unit, result, report: None }));
            }
        }
    }

    /// How long a job takes.
    pub(super) fn takes(&self, unit: &UnitName, job: Job) -> Duration {
        let slow = if job == Job::Stop { &self.slow_stop } else { &self.slow_start };
        slow.get(unit).copied().unwrap_or(JOB)
    }

    pub(super) fn finish(&mut self, now: Mono, Running { op, unit: name, job }: Running) {
        let pid = self.pid_of_new();
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
        self.settle_target(now);
        if let Some(op) = op {
            let result = match broken {
                true => Err(SystemdError::Refused("its job ended with \"failed\"".into())),
                false => Ok(()),
            };
            let report = Some(self.report(&name));
            self.later(now, Event::Systemd(SystemdEvent::JobDone { op, unit: name, result, report }));
        }
    }
}
