//! What fleetd's end of the connection makes of signals and answers: what is known of units, and when it is told.
//!
//! Signals carry all but LoadState and the bound on stopping; these come with the details of a unit, which are read when
//! it was listed, and once nothing else happens after it was started.

use std::time::Duration;

use fleet_agent::{Event, Job, SystemdError, SystemdEvent, UnitReport};
use fleet_registry::Mono;
use fleet_units::UnitName;

use super::{Systemd, fence};
use crate::sim::disk::Disk;

/// Details are read once nothing else has happened for this long.
const QUIET: Duration = Duration::from_millis(500);

impl Systemd {
    /// A signal says how a unit is.
    pub(super) fn tell(&mut self, now: Mono, name: &UnitName) {
        if !self.watched.contains(name) {
            return;
        }
        // Most often nothing is new.
        if let (Some(unit), Some(known)) = (self.units.get(name), self.known.get(name))
            && unit.is_as(known)
        {
            return;
        }
        let new = match self.units.get(name) {
            Some(unit) => unit.report(),
            None if *name == fence::target() => self.report_of_target(),
            None => return,
        };
        let known = self.known.entry(name.clone()).or_default();
        let idle = |state: &str| matches!(state, "inactive" | "failed");
        let begins = idle(&known.active) && !idle(&new.active);
        let load = if known.load.is_empty() || begins { "loaded".to_owned() } else { known.load.clone() };
        let report = UnitReport { load, stop_bound_ms: known.stop_bound_ms, ..new };
        if *known != report {
            known.clone_from(&report);
            self.later(now, Event::Systemd(SystemdEvent::Changed { unit: name.clone(), report }));
        }
    }

    /// A job that fleetd asked for has ended: what fleetd makes of it.
    pub(super) fn job_ended(&mut self, now: Mono, name: &UnitName, job: Job, result: &str) -> Result<(), SystemdError> {
        if job != Job::Stop {
            self.details.insert(name.clone());
            self.quiet_at = Some(now + QUIET);
        }
        let known = self.known.get_mut(name);
        match result {
            "done" => {
                if let Some(report) = known.filter(|r| job != Job::Stop && r.load != "merged") {
                    report.load = "loaded".into();
                }
                Ok(())
            }
            other => {
                let why = known.map(|r| r.result.as_str()).filter(|r| !r.is_empty() && *r != "success");
                let why = why.map(|w| format!(" ({w})")).unwrap_or_default();
                Err(SystemdError::Refused(format!("its job ended with \"{other}\"{why}")))
            }
        }
    }

    /// What systemd says of a unit, which it reads where it must.
    fn look(&mut self, name: &UnitName, disk: &Disk) -> UnitReport {
        if *name == fence::target() {
            return self.report_of_target();
        }
        let unit = self.load(name, disk);
        let report = UnitReport { stop_bound_ms: unit.definition.stop_bound_ms(), ..unit.report() };
        self.forget_idle(name);
        report
    }

    /// Reads the details of units.
    pub(super) fn inspect(&mut self, now: Mono, disk: &Disk) {
        self.quiet_at = None;
        for name in std::mem::take(&mut self.details) {
            if !self.watched.contains(&name) {
                continue;
            }
            let truth = self.look(&name, disk);
            let known = self.known.entry(name.clone()).or_default();
            let (load, active, sub) = (known.load.clone(), known.active.clone(), known.sub.clone());
            *known = UnitReport { load, active, sub, ..truth };
            let report = known.clone();
            self.later(now, Event::Systemd(SystemdEvent::Changed { unit: name, report }));
        }
    }

    /// What systemd lists of units, which fleetd takes in; it reads the details at once.
    pub(super) fn list(&mut self, now: Mono, units: &[UnitName], disk: &Disk) -> Vec<(UnitName, UnitReport)> {
        let mut listed = Vec::new();
        for name in units {
            let report = self.look(name, disk);
            let UnitReport { load, active, sub, .. } = report;
            let report = UnitReport { load, active, sub, ..UnitReport::default() };
            let known = self.known.entry(name.clone()).or_default();
            known.load.clone_from(&report.load);
            known.active.clone_from(&report.active);
            known.sub.clone_from(&report.sub);
            self.details.insert(name.clone());
            listed.push((name.clone(), report));
        }
        self.quiet_at = Some(now);
        listed
    }

    /// fleetd looks anew, because systemd has read its files.
    pub(super) fn resync(&mut self, now: Mono, disk: &Disk) {
        for name in self.watched.clone() {
            let report = self.look(&name, disk);
            let known = self.known.entry(name.clone()).or_default();
            let same = (&known.load, &known.active, &known.sub) == (&report.load, &report.active, &report.sub);
            (known.load, known.active, known.sub) = (report.load, report.active, report.sub);
            if !same {
                self.details.insert(name);
                self.quiet_at = Some(now);
            }
        }
    }
}
