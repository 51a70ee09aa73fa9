//! An agent with a systemd and a disk below it, as one state machine: what is left to the shell is the store.

use std::collections::BTreeSet;

use fleet_agent::{Agent, Effect, Event, SystemdEvent};
use fleet_registry::{Mono, Now, StateMachine};
use fleet_units::{MachineId, UnitName};

use super::truth::Truth;
use crate::sim::disk::Disk;
use crate::sim::systemd::Systemd;

/// A machine.
pub(super) struct Machine {
    id: MachineId,
    agent: Agent,
    systemd: Systemd,
    disk: Disk,
    /// What runs, as it was last told.
    runs: BTreeSet<UnitName>,
    truth: Truth,
}

impl Machine {
    /// A machine that was just booted: nothing runs on it.
    pub(super) fn new(id: MachineId, agent: Agent, truth: Truth) -> Self {
        Self { id, agent, systemd: Systemd::default(), disk: Disk::default(), runs: BTreeSet::new(), truth }
    }

    /// Its fleetd starts, and finds systemd.
    pub(super) fn start(&mut self, now: Now) -> Vec<Effect> {
        self.systemd.later(now.mono, Event::Systemd(SystemdEvent::Connected));
        self.step(now, Event::Start)
    }

    fn tell_agent(&mut self, now: Now, event: Event, out: &mut Vec<Effect>) {
        for effect in self.agent.step(now, event) {
            match effect {
                Effect::Systemd(effect) => self.systemd.perform(now.mono, effect, &self.disk),
                Effect::Disk(effect) => {
                    let event = self.disk.perform(effect);
                    self.systemd.later(now.mono, Event::Disk(event));
                }
                effect => out.push(effect),
            }
        }
    }

    fn look(&mut self) {
        let same = self.systemd.active().map(|(name, _)| name).eq(&self.runs);
        if !same {
            let runs = self.systemd.active().map(|(name, _)| name.clone()).collect();
            self.truth.changed(&self.id, &self.runs, &runs);
            self.runs = runs;
        }
    }
}

impl StateMachine for Machine {
    type Event = Event;
    type Effect = Effect;

    fn step(&mut self, now: Now, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        self.tell_agent(now, event, &mut out);
        for event in self.systemd.due(now.mono, &self.disk) {
            self.tell_agent(now, event, &mut out);
        }
        self.look();
        out
    }

    fn wakeup(&self) -> Option<Mono> {
        [self.agent.wakeup(), self.systemd.next_deadline()].into_iter().flatten().min()
    }
}

impl Drop for Machine {
    /// The power fails: nothing runs here any more.
    fn drop(&mut self) {
        self.truth.changed(&self.id, &self.runs, &BTreeSet::new());
    }
}
