//! A machine's systemd in virtual time: units, links, jobs, and what the agent is told of them.

mod definition;
mod edge;
mod fence;
mod jobs;
mod links;
mod script;
mod signals;
mod unit;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fleet_agent::{Event, Job, SystemdEffect, SystemdEvent, UnitReport};
use fleet_registry::Mono;
use fleet_registry::record::ContentRecord;
use fleet_units::UnitName;

use super::disk::Disk;
use definition::Definition;
use fence::Fences;
use jobs::Pending;
use unit::{State, Unit};

/// What systemd has and does.
#[derive(Debug, Default)]
pub struct Systemd {
    /// What is in its memory.
    units: BTreeMap<UnitName, Unit>,
    linked: BTreeSet<UnitName>,
    /// What texts say that were read before.
    definitions: BTreeMap<UnitName, (Arc<ContentRecord>, Arc<Definition>)>,
    jobs: BTreeMap<UnitName, Pending>,
    fences: Fences,
    /// When the next thing happens to each unit, in order and by unit.
    deadlines: BTreeSet<(Mono, UnitName)>,
    noted: BTreeMap<UnitName, Mono>,
    count: u64,
    watched: BTreeSet<UnitName>,
    /// Events on their way to the agent.
    queue: BTreeMap<(Mono, u64), Event>,
    /// What fleetd's end of the connection knows of units.
    known: BTreeMap<UnitName, UnitReport>,
    /// Units whose details it will read, and when.
    details: BTreeSet<UnitName>,
    quiet_at: Option<Mono>,
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
    /// Units that an operator has masked.
    pub masked: BTreeSet<UnitName>,
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
            SystemdEffect::Unwatch(units) => return units.iter().for_each(|unit| self.unwatch(unit)),
            SystemdEffect::List { op, units } => {
                SystemdEvent::Listed { op, result: Ok(self.list(now, &units, disk).into_iter().collect()) }
            }
            SystemdEffect::Link { op, units } => SystemdEvent::Linked { op, units: self.link_all(units, disk) },
            SystemdEffect::Unlink { op, units } => SystemdEvent::Unlinked { op, units: self.unlink_all(now, units) },
            SystemdEffect::Reload { op } => {
                self.reload(now, disk);
                SystemdEvent::Reloaded { op, result: Ok(()) }
            }
            SystemdEffect::Job { op, unit, job } => return self.queue_job(now, op, unit, job, disk),
            SystemdEffect::Fence { op, act } => return self.fence(now, op, act),
        };
        self.later(now, Event::Systemd(event));
    }

    fn unwatch(&mut self, unit: &UnitName) {
        self.watched.remove(unit);
        self.known.remove(unit);
        self.details.remove(unit);
    }

    /// The power fails: nothing runs, and nothing in /run is left.
    pub fn power_loss(&mut self) {
        self.units.clear();
        self.linked.clear();
        self.jobs.clear();
        self.fences = Fences::default();
        self.deadlines.clear();
        self.noted.clear();
        self.forget_callers();
    }

    /// A unit is started or stops by itself.
    pub fn set_active(&mut self, now: Mono, name: &UnitName, active: bool) {
        if active && self.is_fenced_off(name) {
            return;
        }
        let pid = self.pid_of_new();
        self.units.entry(name.clone()).or_default().set_running(now, if active { pid } else { 0 });
        self.settle(now, name);
    }

    /// A unit's main process is killed.
    pub fn kill(&mut self, now: Mono, name: &UnitName) {
        if let Some(unit) = self.units.get_mut(name) {
            unit.kill(now);
            self.note_deadline(name);
        }
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
        self.units.get(unit).is_some_and(|u| u.state == State::Failed)
    }

    /// Whether anything of it runs, or may in a moment: its start is under way.
    #[must_use]
    pub fn may_run(&self, unit: &UnitName) -> bool {
        let starts = self.jobs.get(unit).is_some_and(|pending| pending.job != Job::Stop);
        starts || self.units.get(unit).is_some_and(|u| !u.state.is_idle())
    }

    /// What is in its memory.
    pub(super) fn loaded(&self) -> impl Iterator<Item = &UnitName> {
        self.units.keys()
    }

    /// Whether it is being stopped, and is not to be started again by that.
    pub(super) fn is_stopping(&self, unit: &UnitName) -> bool {
        self.jobs.get(unit).is_some_and(|pending| pending.job == Job::Stop)
    }

    /// Whether its start is under way.
    #[must_use]
    pub fn is_starting(&self, unit: &UnitName) -> bool {
        self.units.get(unit).is_some_and(|u| u.state.active() == "activating")
    }

    /// Whether it has started, and has not come to an end.
    #[must_use]
    pub fn is_active(&self, unit: &UnitName) -> bool {
        self.units.get(unit).is_some_and(Unit::is_active)
    }

    /// What runs, with its main process.
    pub fn active(&self) -> impl Iterator<Item = (&UnitName, u32)> {
        self.units.iter().filter(|(_, unit)| unit.is_active()).map(|(name, unit)| (name, unit.pid))
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

impl Unit {
    fn is_active(&self) -> bool {
        matches!(self.state.active(), "active" | "deactivating")
    }
}
