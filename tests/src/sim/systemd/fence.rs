//! The fence of units with `OnDisconnect=stop`: its timers, its target, and what stops when a timer fires.

use std::collections::{BTreeMap, BTreeSet};

use fleet_agent::{Event, FenceAct, FenceReport, Job, Op, SystemdError, SystemdEvent, UnitReport};
use fleet_registry::Mono;
use fleet_units::{Fence, UnitName};

use super::Systemd;

/// What systemd has of the fence.
#[derive(Debug, Default)]
pub(super) struct Fences {
    /// Units whose drop-in ties them to the target.
    pub(super) tied: BTreeSet<UnitName>,
    /// Timers, and when they fire; none for those that have.
    timers: BTreeMap<u64, Option<Mono>>,
    fired: BTreeSet<u64>,
    /// The run of the target.
    run: Option<String>,
    /// The target waits for what needs it to stop.
    stopping: bool,
    /// Who is told when it is down.
    waiting: Vec<Op>,
    /// How many timers were ever armed.
    arms: usize,
}

pub(super) fn target() -> UnitName {
    UnitName::parse(Fence::TARGET).expect("a unit's name")
}

impl Systemd {
    /// Carries out what the agent wants done about the fence.
    pub(super) fn fence(&mut self, now: Mono, op: Op, act: FenceAct) {
        let fences = &mut self.fences;
        let result = match act {
            FenceAct::Look => Ok(self.fence_report()),
            FenceAct::Arm { number, .. } if fences.timers.contains_key(&number) => {
                Err(SystemdError::Refused("the unit exists already".into()))
            }
            FenceAct::Arm { number, deadline } => {
                fences.timers.insert(number, Some(deadline));
                fences.arms += 1;
                Ok(FenceReport::default())
            }
            FenceAct::Disarm { numbers } => {
                fences.timers.retain(|number, _| !numbers.contains(number));
                Ok(FenceReport::default())
            }
            FenceAct::Connect => {
                // A stop of the target that still waits is given up by its start; what was stopping stops all the same.
                if fences.fired.is_empty() && !std::mem::take(&mut fences.stopping) && fences.run.is_none() {
                    let run = format!("run-{}", self.id());
                    self.fences.run = Some(run);
                    self.tell(now, &target());
                }
                Ok(self.fence_report())
            }
            FenceAct::Release => {
                fences.waiting.push(op);
                return self.take_target_down(now);
            }
        };
        self.later(now, Event::Systemd(SystemdEvent::Fence { op, result }));
    }

    fn fence_report(&self) -> FenceReport {
        let fences = &self.fences;
        let numbers = fences.timers.keys().chain(&fences.fired);
        FenceReport {
            timers: fences.timers.keys().copied().collect(),
            highest: numbers.max().copied().unwrap_or_default(),
            fired: !fences.fired.is_empty(),
            connected: fences.run.clone(),
        }
    }

    /// What systemd says of the target.
    pub(super) fn report_of_target(&self) -> UnitReport {
        let active = if self.fences.run.is_some() { "active" } else { "inactive" };
        let invocation = self.fences.run.clone().unwrap_or_default();
        UnitReport { load: "loaded".into(), active: active.into(), invocation, ..UnitReport::default() }
    }

    /// Whether systemd refuses to start this unit, because it needs the target.
    pub(super) fn is_fenced_off(&self, unit: &UnitName) -> bool {
        self.fences.tied.contains(unit) && self.fences.run.is_none()
    }

    /// How many timers of the fence were ever armed.
    #[must_use]
    pub fn arms(&self) -> usize {
        self.fences.arms
    }

    /// How many timers of the fence there are.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.fences.timers.len()
    }

    /// When the next timer fires.
    pub(super) fn next_fence(&self) -> Option<Mono> {
        self.fences.timers.values().flatten().min().copied()
    }

    /// Timers that are due take the target down.
    pub(super) fn fire_fences(&mut self, now: Mono) {
        let mut fires = false;
        for (number, at) in &mut self.fences.timers {
            if at.take_if(|at| *at <= now).is_some() {
                self.fences.fired.insert(*number);
                fires = true;
            }
        }
        if fires {
            self.take_target_down(now);
        }
    }

    fn take_target_down(&mut self, now: Mono) {
        self.fences.stopping = self.fences.run.is_some();
        if self.fences.stopping {
            for unit in self.fences.tied.clone() {
                let stops = self.jobs.get(&unit).is_some_and(|pending| pending.job == Job::Stop);
                if self.may_run(&unit) && !stops {
                    self.install(now, unit, Job::Stop, Vec::new());
                }
            }
        }
        self.settle_target(now);
    }

    /// The target is down once nothing that needs it runs.
    pub(super) fn settle_target(&mut self, now: Mono) {
        let fences = &self.fences;
        if fences.stopping && fences.tied.iter().any(|unit| self.may_run(unit)) {
            return;
        }
        if std::mem::take(&mut self.fences.stopping) {
            self.fences.run = None;
            self.tell(now, &target());
        }
        for op in std::mem::take(&mut self.fences.waiting) {
            self.fences.timers.clear();
            self.fences.fired.clear();
            let result = Ok(FenceReport::default());
            self.later(now, Event::Systemd(SystemdEvent::Fence { op, result }));
        }
    }

    /// The bus is gone: nobody hears of what was asked for.
    pub(super) fn cut_fence(&mut self) -> Vec<Op> {
        std::mem::take(&mut self.fences.waiting)
    }
}
