//! Jobs: asked for, merged with or replaced by others, and done.

use std::time::Duration;

use fleet_agent::{Event, Job, Op, SystemdError, SystemdEvent};
use fleet_registry::Mono;
use fleet_units::UnitName;

use super::Systemd;
use super::unit::{Launch, State};
use crate::sim::disk::Disk;

/// How long it takes until systemd turns to a job.
const TURN: Duration = Duration::from_millis(2);

/// The one job that a unit has.
#[derive(Debug)]
pub(super) struct Pending {
    /// Who is told of its end; nobody when that fleetd is dead, or when systemd itself wants it.
    pub(super) ops: Vec<Op>,
    pub(super) job: Job,
    /// When systemd turns to it; none while the unit's state holds it up, or is waited for.
    pub(super) at: Option<Mono>,
    running: bool,
}

impl Systemd {
    pub(super) fn queue_job(&mut self, now: Mono, op: Op, unit: UnitName, job: Job, disk: &Disk) {
        self.asked.push((job, unit.to_string()));
        // As fleetd does: whoever asks for a start of what has failed wants it tried, whatever limit it has hit.
        if job != Job::Stop && self.known.get(&unit).is_some_and(|report| report.active == "failed") {
            if let Some(unit) = self.units.get_mut(&unit) {
                unit.reset_failed(now);
            }
            self.settle(now, &unit);
        }
        let definition = self.load(&unit, disk).definition.clone();
        let error = match (definition.load, job) {
            ("not-found" | "bad-setting", Job::Stop) if self.units[&unit].state == State::Dead => {
                Some(SystemdError::NoSuchUnit)
            }
            (_, Job::Stop) | ("loaded", _) => None,
            ("not-found", _) => Some(SystemdError::NoSuchUnit),
            ("masked", _) => Some(SystemdError::Refused(format!("Unit {unit} is masked."))),
            _ => Some(SystemdError::Refused(format!("Unit {unit} has a bad unit file setting."))),
        };
        if let Some(error) = error {
            self.forget_idle(&unit);
            let report = self.known.get(&unit).cloned();
            return self.later(now, Event::Systemd(SystemdEvent::JobDone { op, unit, result: Err(error), report }));
        }
        if job != Job::Stop && self.is_fenced_off(&unit) {
            self.forget_idle(&unit);
            let result = Err(SystemdError::Refused("its job ended with \"dependency\"".into()));
            let report = self.known.get(&unit).cloned();
            return self.later(now, Event::Systemd(SystemdEvent::JobDone { op, unit, result, report }));
        }
        self.install(now, unit, job, vec![op]);
    }

    /// Gives a unit a job, in place of or together with the one that it has.
    pub(super) fn install(&mut self, now: Mono, unit: UnitName, job: Job, ops: Vec<Op>) {
        let mut pending = Pending { ops, job, at: Some(now + TURN), running: false };
        if let Some(old) = self.jobs.remove(&unit) {
            if (old.job == Job::Stop) == (job == Job::Stop) {
                // Of a start and a restart, the restart is left; what is under way already is not begun again.
                pending.ops.splice(0..0, old.ops);
                if old.job == job || old.job == Job::Restart {
                    (pending.job, pending.running, pending.at) = (old.job, old.running, old.at);
                }
            } else {
                self.answer(now, &unit, old.job, old.ops, "canceled");
            }
        }
        self.jobs.insert(unit.clone(), pending);
        self.note_deadline(&unit);
    }

    /// systemd turns to a unit's job.
    pub(super) fn run_job(&mut self, now: Mono, name: &UnitName) {
        let Some(pending) = self.jobs.get_mut(name) else { return };
        (pending.at, pending.running) = (None, true);
        let job = pending.job;
        let Some(unit) = self.units.get_mut(name) else { return self.job_done(now, name, "done") };
        let state = unit.state;
        match job {
            Job::Stop | Job::Restart if state.is_idle() => self.job_done(now, name, "done"),
            Job::Stop if self.stop_lies => self.job_done(now, name, "done"),
            Job::Stop | Job::Restart => {
                // What is fenced is killed after the time-out that fleet sets.
                let limit = unit.definition.stop_timeout.filter(|_| self.fences.tied.contains(name));
                let slow = self.slow_stop.get(name).copied();
                unit.slow_stop = slow.map(|slow| limit.map_or(slow, |limit| slow.min(limit)));
                unit.stop(now);
            }
            Job::Start => self.start(now, name),
        }
    }

    fn start(&mut self, now: Mono, name: &UnitName) {
        let pid = self.pid_of_new();
        let launch = Launch { pid, slow: self.slow_start.get(name).copied(), broken: self.broken.contains(name) };
        let (Some(unit), Some(pending)) = (self.units.get_mut(name), self.jobs.get_mut(name)) else { return };
        let state = unit.state;
        match state {
            State::Running | State::Exited => self.job_done(now, name, "done"),
            // Every attempt counts, even one that comes to nothing.
            _ if unit.definition.load != "loaded" => self.job_done(now, name, "failed"),
            _ if !unit.within_start_limit(now) => {
                unit.hit_start_limit(now);
                self.settle_moves(now, name);
                self.job_done(now, name, "failed");
            }
            State::Start => {}
            State::Dead | State::Failed => {
                unit.start(now, launch);
                // systemd tells of the new process before it tells of the new state.
                let begun = std::mem::replace(&mut unit.state, state);
                self.tell(now, name);
                if let Some(unit) = self.units.get_mut(name) {
                    unit.state = begun;
                }
            }
            // It is tried again when the state changes.
            _ => pending.running = false,
        }
    }

    /// A unit has come to this state: what that is to its job.
    pub(super) fn job_sees(&mut self, now: Mono, name: &UnitName, state: State) {
        let Some(pending) = self.jobs.get_mut(name) else { return };
        if !pending.running {
            pending.at = pending.at.or(Some(now));
            return;
        }
        match (pending.job, state.active()) {
            (Job::Start, "active") => self.job_done(now, name, "done"),
            (Job::Start, "inactive") => self.job_done(now, name, "done"),
            (Job::Start, "failed") => self.job_done(now, name, "failed"),
            (Job::Stop | Job::Restart, "inactive" | "failed") => self.job_done(now, name, "done"),
            (Job::Stop | Job::Restart, "active" | "activating") => self.job_done(now, name, "failed"),
            _ => {}
        }
    }

    fn job_done(&mut self, now: Mono, name: &UnitName, result: &str) {
        if let Some(pending) = self.jobs.get_mut(name).filter(|p| p.job == Job::Restart && result == "done") {
            (pending.job, pending.at, pending.running) = (Job::Start, Some(now), false);
            return;
        }
        if let Some(pending) = self.jobs.remove(name) {
            let job = pending.job;
            self.tell(now, name);
            self.answer(now, name, job, pending.ops, result);
        }
    }

    /// Tells those who wait for a job how it ended, and what is known of the unit.
    fn answer(&mut self, now: Mono, name: &UnitName, job: Job, ops: Vec<Op>, result: &str) {
        for op in ops {
            let outcome = self.job_ended(now, name, job, result);
            let report = self.known.get(name).cloned();
            let unit = name.clone();
            self.later(now, Event::Systemd(SystemdEvent::JobDone { op, unit, result: outcome, report }));
        }
    }
}
