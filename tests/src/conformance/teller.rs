//! Tells a story on a machine, and writes down what the agent is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_agent::{Job, LinkUnit, Op, SystemdEffect, SystemdError, SystemdEvent, UnitReport};
use fleet_units::UnitName;

use super::observation::{IDLE, Observation, Runs, Snapshot};
use super::story::{Step, Story};

/// A machine with a systemd, and the agent's edge towards it.
pub trait Machine {
    /// Has the session with systemd carry this out.
    fn ask(&mut self, effect: SystemdEffect);
    /// Writes a unit's file.
    fn write(&mut self, unit: &UnitName, text: &str);
    /// Removes it.
    fn remove(&mut self, unit: &UnitName);
    /// Kills a unit's main process.
    fn kill(&mut self, unit: &UnitName, pid: u32);
    /// Masks a unit.
    fn mask(&mut self, unit: &UnitName);
    /// Has systemd execute itself anew.
    fn reexecute(&mut self);
    /// What the agent is told next; none when nothing comes for long.
    fn next(&mut self) -> Option<SystemdEvent>;
    /// How late it is.
    fn now(&self) -> Duration;
}

/// Ops of lists; those of steps are the steps' numbers.
const LISTS: Op = 1_000_000;

/// Tells a story.
pub fn tell(story: &Story, machine: &mut impl Machine) -> Observation {
    let short: BTreeMap<UnitName, String> = story.units().into_iter().map(|s| (story.unit(&s), s)).collect();
    let mut teller = Teller {
        story,
        machine,
        short,
        observation: Observation::default(),
        open: BTreeSet::new(),
        idle: BTreeMap::new(),
        reports: BTreeMap::new(),
        since: BTreeMap::new(),
        runs: BTreeMap::new(),
        listed: None,
        lists: 0,
    };
    teller.wait("a connection", |_, event| matches!(event, SystemdEvent::Connected));
    teller.machine.ask(SystemdEffect::Watch(teller.short.keys().cloned().collect()));
    for (number, step) in story.steps.iter().enumerate() {
        teller.step(number, step);
    }
    teller.observation
}

struct Teller<'a, M> {
    story: &'a Story,
    machine: &'a mut M,
    short: BTreeMap<UnitName, String>,
    observation: Observation,
    /// Steps that are not answered yet.
    open: BTreeSet<Op>,
    /// Marks of units that were idle when something was asked of them.
    idle: BTreeMap<Op, &'static str>,
    /// What was told last of each unit.
    reports: BTreeMap<UnitName, UnitReport>,
    since: BTreeMap<String, u64>,
    runs: BTreeMap<UnitName, Runs>,
    /// The last list, and of which units details have come since.
    listed: Option<(Op, BTreeSet<UnitName>)>,
    /// How many lists were asked for.
    lists: Op,
}

impl<M: Machine> Teller<'_, M> {
    fn step(&mut self, number: usize, step: &Step) {
        let op = number as Op;
        match step {
            Step::Write(unit, text) => self.machine.write(&self.story.unit(unit), text),
            Step::Remove(unit) => self.machine.remove(&self.story.unit(unit)),
            Step::Mask(unit) => self.machine.mask(&self.story.unit(unit)),
            Step::Kill(unit) => {
                let unit = self.story.unit(unit);
                let pid = self.reports.get(&unit).map_or(0, |report| report.main_pid);
                self.machine.kill(&unit, pid);
                if pid != 0 {
                    let ended = |teller: &Self| teller.reports.get(&unit).is_none_or(|r| r.main_pid != pid);
                    self.wait("a death", |teller, _| ended(teller));
                }
            }
            Step::Reexecute => self.machine.reexecute(),
            Step::Link(unit) => {
                self.mark_idle(op, unit);
                let units = vec![LinkUnit { unit: self.story.unit(unit), enable: false }];
                self.ask(op, SystemdEffect::Link { op, units });
            }
            Step::Unlink(unit) => {
                self.mark_idle(op, unit);
                self.ask(op, SystemdEffect::Unlink { op, units: vec![self.story.unit(unit)] });
            }
            Step::Start(unit) => self.job(op, unit, Job::Start),
            Step::Stop(unit) => self.job(op, unit, Job::Stop),
            Step::Restart(unit) => self.job(op, unit, Job::Restart),
            Step::Reload => self.ask(op, SystemdEffect::Reload { op }),
            Step::Answered => self.answered(),
            Step::Until { unit, sub, restarts } => {
                let name = self.story.unit(unit);
                let is = |reports: &BTreeMap<UnitName, UnitReport>| {
                    let so = |r: &UnitReport| r.sub == *sub && restarts.is_none_or(|count| count == r.n_restarts);
                    reports.get(&name).is_some_and(so)
                };
                if !is(&self.reports) {
                    self.wait(&format!("{unit} {sub}"), |teller, _| is(&teller.reports));
                }
            }
            Step::Settle => self.settle(number),
        }
    }

    fn ask(&mut self, op: Op, effect: SystemdEffect) {
        self.open.insert(op);
        self.machine.ask(effect);
    }

    fn job(&mut self, op: Op, unit: &str, job: Job) {
        let unit = self.story.unit(unit);
        self.ask(op, SystemdEffect::Job { op, unit, job });
    }

    fn answered(&mut self) {
        if !self.open.is_empty() {
            self.wait("answers", |teller, _| teller.open.is_empty());
        }
    }

    fn settle(&mut self, number: usize) {
        let rests = |reports: &BTreeMap<UnitName, UnitReport>| {
            !reports.values().any(|r| matches!(r.active.as_str(), "activating" | "deactivating" | "reloading"))
        };
        let units: Vec<UnitName> = self.short.keys().cloned().collect();
        loop {
            if !self.open.is_empty() || !rests(&self.reports) {
                self.wait("rest", |teller, _| teller.open.is_empty() && rests(&teller.reports));
            }
            self.lists += 1;
            let op = LISTS + self.lists;
            self.listed = None;
            self.machine.ask(SystemdEffect::List { op, units: units.clone() });
            self.wait("a list with details", |teller, _| {
                teller.listed.as_ref().is_some_and(|(listed, seen)| *listed == op && seen.len() == units.len())
            });
            // One that has failed may be started again in the same moment.
            if rests(&self.reports) || !self.observation.in_vain.is_empty() {
                break;
            }
        }
        let mut settled = BTreeMap::new();
        for (unit, short) in &self.short {
            let report = self.reports.get(unit).cloned().unwrap_or_default();
            let runs = self.runs.entry(unit.clone()).or_default();
            settled.insert(short.clone(), Snapshot::of(&report, runs));
        }
        self.observation.settled.insert(number, settled);
    }

    fn wait(&mut self, what: &str, condition: impl Fn(&Self, &SystemdEvent) -> bool) {
        loop {
            let Some(event) = self.machine.next() else {
                self.observation.in_vain.push(what.to_owned());
                return;
            };
            self.take(&event);
            if condition(self, &event) {
                return;
            }
        }
    }

    fn take(&mut self, event: &SystemdEvent) {
        match event {
            SystemdEvent::Linked { op, units } => {
                let idle = self.idle.get(op).copied().unwrap_or_default();
                for result in units.values() {
                    self.answer(*op, result.as_ref().map(|reload| format!("linked{idle}, reload {reload}")), None);
                }
            }
            SystemdEvent::Unlinked { op, units } => {
                let idle = self.idle.get(op).copied().unwrap_or_default();
                for result in units.values() {
                    self.answer(*op, result.as_ref().map(|residue| format!("unlinked{idle}, left {residue:?}")), None);
                }
            }
            SystemdEvent::Reloaded { op, result } => {
                self.answer(*op, result.as_ref().map(|()| "done".to_owned()), None)
            }
            SystemdEvent::JobDone { op, unit, result, report } => {
                let known = report.as_ref().map(|report| self.snapshot(unit, report));
                self.answer(*op, result.as_ref().map(|()| "done".to_owned()), known);
            }
            SystemdEvent::Listed { op, result } => match result {
                Ok(reports) => {
                    for (unit, report) in reports {
                        let known = self.reports.entry(unit.clone()).or_default();
                        known.load.clone_from(&report.load);
                    }
                    self.listed = Some((*op, BTreeSet::new()));
                }
                Err(error) => self.observation.in_vain.push(format!("a list: {error}")),
            },
            SystemdEvent::Changed { unit, report } => {
                // Details come with the bound on stopping, which every unit of a story has.
                if let Some((_, seen)) = self.listed.as_mut().filter(|_| report.stop_bound_ms.is_some()) {
                    seen.insert(unit.clone());
                }
                let now = u64::try_from(self.machine.now().as_millis()).unwrap_or(u64::MAX);
                if let Some(short) = self.short.get(unit) {
                    self.observation.see(short, report, now, &mut self.since);
                }
                self.snapshot(unit, report);
                self.reports.insert(unit.clone(), report.clone());
            }
            SystemdEvent::Connected | SystemdEvent::Disconnected { .. } | SystemdEvent::Fence { .. } => {}
        }
    }

    fn mark_idle(&mut self, op: Op, unit: &str) {
        let idle = self.reports.get(&self.story.unit(unit)).is_none_or(|report| report.active == "inactive");
        self.idle.insert(op, if idle { IDLE } else { "" });
    }

    fn snapshot(&mut self, unit: &UnitName, report: &UnitReport) -> Snapshot {
        Snapshot::of(report, self.runs.entry(unit.clone()).or_default())
    }

    fn answer(&mut self, op: Op, result: Result<String, &SystemdError>, known: Option<Snapshot>) {
        let words = result.unwrap_or_else(ToString::to_string).replace(&format!("{}-", self.story.name), "");
        // LoadState and the bound on stopping come when there is time.
        let known = known.map(|s| {
            let state = s.state.split_once(' ').map_or("", |(_, state)| state);
            format!("; {state} process {} run {}", s.process, s.run)
        });
        let known = known.unwrap_or_default();
        self.open.remove(&op);
        self.observation.answers.insert(usize::try_from(op).unwrap_or(usize::MAX), words + &known);
    }
}
