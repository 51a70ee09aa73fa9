//! A machine's systemd in virtual time: units, links, jobs, and what the agent is told of them.

mod fence;
mod jobs;
mod links;
mod signals;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_agent::{Event, Job, SystemdEffect, SystemdEvent};
use fleet_registry::Mono;
use fleet_units::UnitName;

use super::disk::Disk;
use fence::Fences;
use jobs::Running;

#[derive(Debug, Clone, Default)]
struct Unit {
    active: bool,
    failed: bool,
    pid: u32,
}

/// What systemd has and does.
#[derive(Debug, Default)]
pub struct Systemd {
    units: BTreeMap<UnitName, Unit>,
    linked: BTreeSet<UnitName>,
    watched: BTreeSet<UnitName>,
    /// Events on their way to the agent.
    queue: BTreeMap<(Mono, u64), Event>,
    jobs: BTreeMap<(Mono, u64), Running>,
    fences: Fences,
    count: u64,
    /// Every job that was asked for, in order.
    pub asked: Vec<(Job, String)>,
    /// How often files were read anew.
    pub reloads: u32,
    /// How many calls to link there were.
    pub links: u32,
    /// Units whose stop takes this long.
    pub slow_stop: BTreeMap<UnitName, Duration>,
    /// Units whose start takes this long.
    pub slow_start: BTreeMap<UnitName, Duration>,
    /// Units that cannot be linked.
    pub refused: BTreeSet<UnitName>,
    /// Units whose start fails.
    pub broken: BTreeSet<UnitName>,
    /// Units that other units refer to, so that systemd never lets go of them.
    pub referred: BTreeSet<UnitName>,
    /// A planted fault: it says that it stopped a unit, and lets it run.
    pub stop_lies: bool,
}

impl Systemd {
    fn id(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn pid_of_new(&mut self) -> u32 {
        u32::try_from(self.id()).unwrap_or(u32::MAX)
    }

    /// Carries out what the agent wants done.
    pub fn perform(&mut self, now: Mono, effect: SystemdEffect, disk: &Disk) {
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
            SystemdEffect::Link { op, units } => SystemdEvent::Linked { op, units: self.link_all(units, disk) },
            SystemdEffect::Unlink { op, units } => SystemdEvent::Unlinked { op, units: self.unlink_all(units) },
            SystemdEffect::Reload { op } => {
                self.reload();
                SystemdEvent::Reloaded { op, result: Ok(()) }
            }
            SystemdEffect::Job { op, unit, job } => return self.queue_job(now, op, unit, job),
            SystemdEffect::Fence { op, act } => return self.fence(now, op, act),
        };
        self.later(now, Event::Systemd(event));
    }

    /// The power fails: nothing runs, and nothing in /run is left.
    pub fn power_loss(&mut self) {
        self.units.clear();
        self.linked.clear();
        self.jobs.clear();
        self.fences = Fences::default();
        self.forget_callers();
    }

    /// A unit is started or stops by itself.
    pub fn set_active(&mut self, now: Mono, name: &UnitName, active: bool) {
        if active && self.is_fenced_off(name) {
            return;
        }
        let pid = self.pid_of_new();
        let unit = self.units.entry(name.clone()).or_default();
        (unit.active, unit.pid) = (active, if active { pid } else { 0 });
        self.tell(now, name);
    }

    /// Whether the unit's file is linked.
    #[must_use]
    pub fn is_linked(&self, unit: &UnitName) -> bool {
        self.linked.contains(unit)
    }

    /// All units whose files are linked.
    #[must_use]
    pub fn linked(&self) -> &BTreeSet<UnitName> {
        &self.linked
    }

    /// Whether the unit has failed.
    #[must_use]
    pub fn has_failed(&self, unit: &UnitName) -> bool {
        self.units.get(unit).is_some_and(|u| u.failed)
    }

    /// Whether it runs, or may in a moment: its start is under way.
    #[must_use]
    pub fn may_run(&self, unit: &UnitName) -> bool {
        let starting = |running: &Running| running.unit == *unit && running.job != Job::Stop;
        self.is_active(unit) || self.jobs.values().any(starting)
    }

    /// Whether anything of it runs.
    #[must_use]
    pub fn is_active(&self, unit: &UnitName) -> bool {
        self.units.get(unit).is_some_and(|u| u.active)
    }

    /// What runs, with its main process.
    pub fn active(&self) -> impl Iterator<Item = (&UnitName, u32)> {
        self.units.iter().filter(|(_, unit)| unit.active).map(|(name, unit)| (name, unit.pid))
    }

    /// Its main process, or 0.
    #[must_use]
    pub fn pid(&self, unit: &UnitName) -> u32 {
        self.units.get(unit).map_or(0, |u| u.pid)
    }

    /// How often this was asked for.
    #[must_use]
    pub fn times(&self, job: Job, unit: &str) -> usize {
        self.asked.iter().filter(|(j, u)| *j == job && u == unit).count()
    }
}
