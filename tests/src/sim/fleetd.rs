//! What the fleetds of a world do: their state machines take steps, and what those want done is done.

use fleet_agent::{Effect, Event, FenceAct, SystemdEffect, SystemdEvent};
use fleet_engine::{EngineEffect, EngineEvent, Report};
use fleet_registry::{Mono, Owner, SessionEffect, SessionInput, StateMachine, StoreEffect, StoreEvent};

use super::machine::{Fate, Owed, Waiting};
use super::reality::number;
use super::truth::Writer;
use super::world::World;

impl World {
    /// Everything that is due on one machine.
    pub(super) fn turn(&mut self, n: usize) {
        let now = self.now;
        let due = |at: Option<Mono>| at.is_some_and(|at| at <= now);
        if due(self.machines[n].starts_at) {
            self.start_fleetd(n);
        }
        if due(self.machines[n].paused_until) {
            self.resume(n);
        }
        let machine = &mut self.machines[n];
        if machine.news || due(machine.link.next_deadline()) {
            machine.news = false;
            let events = machine.link.poll(&mut self.memory, now);
            self.drain(Writer::Machine(n));
            events.into_iter().for_each(|event| self.store_event(n, event));
        }
        if due(self.machines[n].systemd.next_deadline()) {
            let machine = &mut self.machines[n];
            let events = machine.systemd.due(now, &machine.disk);
            self.look_at_systemd(n);
            events.into_iter().for_each(|event| self.agent(n, event));
        }
        let local = self.machines[n].clock.at(now).mono;
        let is_due = |at: Option<Mono>| at.is_some_and(|at| at <= local);
        if self.machines[n].awake().is_some_and(|f| is_due(f.session.wakeup())) {
            self.session(n, SessionInput::Tick);
        }
        if self.machines[n].awake().is_some_and(|f| is_due(f.engine.wakeup())) {
            self.engine(n, EngineEvent::Tick);
        }
        if self.machines[n].awake().is_some_and(|f| is_due(f.agent.wakeup())) {
            self.agent(n, Event::Tick);
        }
    }

    fn start_fleetd(&mut self, n: usize) {
        let seed = self.seed_of(n);
        let machine = &mut self.machines[n];
        machine.starts_at = None;
        machine.lives += 1;
        machine.fleetd = Some(machine.make_fleetd(&self.layout, seed));
        machine.systemd.later(self.now, Event::Systemd(SystemdEvent::Connected));
        self.say(n, format_args!("fleetd starts"));
        self.session(n, SessionInput::Start);
        self.agent(n, Event::Start);
    }

    fn resume(&mut self, n: usize) {
        self.machines[n].paused_until = None;
        self.say(n, format_args!("fleetd goes on"));
        let life = self.machines[n].lives;
        for waiting in std::mem::take(&mut self.machines[n].waiting) {
            if self.machines[n].fleetd.is_none() || self.machines[n].lives != life {
                return;
            }
            match waiting {
                Waiting::Owed(owed) if self.machines[n].paused_until.is_some() => {
                    self.machines[n].waiting.push(Waiting::Owed(owed));
                }
                Waiting::Owed(owed) => {
                    self.owed = true;
                    self.effect(n, owed);
                    self.owed = false;
                }
                Waiting::Store(event) => self.store_event(n, event),
                Waiting::Agent(event) => self.agent(n, event),
            }
        }
    }

    // --- the parts of a fleetd ---

    fn store_event(&mut self, n: usize, event: StoreEvent) {
        if self.machines[n].paused_until.is_some() {
            return self.machines[n].waiting.push(Waiting::Store(event));
        }
        match event.owner() {
            Owner::Session => self.session(n, SessionInput::Store(event)),
            Owner::Agent => self.agent(n, Event::Store(event)),
            Owner::Mirror | Owner::Election | Owner::Engine => self.engine(n, EngineEvent::Store(event)),
        }
    }

    pub(super) fn session(&mut self, n: usize, input: SessionInput) {
        let machine = &mut self.machines[n];
        let Some(fleetd) = &mut machine.fleetd else { return };
        self.steps += 1;
        let effects = fleetd.session.step(machine.clock.at(self.now), input);
        self.carry_out(n, effects.into_iter().map(Owed::Session));
    }

    pub(super) fn engine(&mut self, n: usize, event: EngineEvent) {
        let machine = &mut self.machines[n];
        let Some(fleetd) = &mut machine.fleetd else { return };
        self.steps += 1;
        let effects = fleetd.engine.step(machine.clock.at(self.now), event);
        self.carry_out(n, effects.into_iter().map(Owed::Engine));
    }

    pub(super) fn agent(&mut self, n: usize, event: Event) {
        let machine = &mut self.machines[n];
        if machine.paused_until.is_some() {
            return machine.waiting.push(Waiting::Agent(event));
        }
        let Some(fleetd) = &mut machine.fleetd else { return };
        self.steps += 1;
        let effects = fleetd.agent.step(machine.clock.at(self.now), event);
        self.carry_out(n, effects.into_iter().map(Owed::Agent));
    }

    /// Carries out effects in order, unless fleetd dies or is paused before one of them.
    fn carry_out(&mut self, n: usize, effects: impl Iterator<Item = Owed>) {
        let life = self.machines[n].lives;
        for effect in effects {
            self.meet_fate(n);
            let machine = &mut self.machines[n];
            if machine.fleetd.is_none() || machine.lives != life {
                return;
            }
            match machine.paused_until {
                Some(_) => machine.waiting.push(Waiting::Owed(effect)),
                None => self.effect(n, effect),
            }
        }
    }

    /// What was to befall fleetd after so many effects does.
    fn meet_fate(&mut self, n: usize) {
        match &mut self.machines[n].fate {
            Some((0, fate)) => {
                let fate = *fate;
                self.machines[n].fate = None;
                match fate {
                    Fate::Dies(again) => self.kill(n, again),
                    Fate::Pauses(time) => self.pause(n, time),
                }
            }
            Some((left, _)) => *left -= 1,
            None => {}
        }
    }

    fn effect(&mut self, n: usize, effect: Owed) {
        match effect {
            Owed::Session(SessionEffect::Store(effect))
            | Owed::Engine(EngineEffect::Store(effect))
            | Owed::Agent(Effect::Store(effect)) => self.store(n, effect),
            Owed::Session(SessionEffect::Event(event)) => {
                self.engine(n, EngineEvent::Session(event.clone()));
                self.agent(n, Event::Session(event));
            }
            Owed::Engine(EngineEffect::Log(report)) => {
                self.say(n, format_args!("engine: {report}"));
                self.reported(&report);
            }
            Owed::Agent(Effect::Systemd(effect)) => self.systemd(n, effect),
            Owed::Agent(Effect::Disk(effect)) => {
                let machine = &mut self.machines[n];
                let event = machine.disk.perform(effect);
                machine.systemd.later(self.now, Event::Disk(event));
            }
            Owed::Agent(Effect::Log(report)) => self.say(n, format_args!("agent: {report}")),
            Owed::Session(SessionEffect::Ended)
            | Owed::Engine(EngineEffect::Status(_) | EngineEffect::Resigned)
            | Owed::Agent(Effect::Ready | Effect::Told(_)) => {}
            Owed::Agent(Effect::Left) => self.left(n),
        }
    }

    /// fleetd has given back what it could: it ends, and its lease with it if nothing is left here.
    fn left(&mut self, n: usize) {
        let again = self.machines[n].leaving.unwrap_or_default();
        self.engine(n, EngineEvent::Resign);
        if self.machines[n].disk.units.is_empty() {
            self.session(n, SessionInput::Stop);
        }
        self.kill(n, again);
    }

    /// Holds a leader of this cluster to what it says.
    fn reported(&mut self, report: &Report) {
        if self.own.is_some() {
            return;
        }
        match report {
            Report::Lost { machine } => {
                if let Some(machine) = self.machines.get(number(machine)) {
                    let result = self.truth.check_lost(self.now, machine);
                    self.check(result);
                }
            }
            Report::Left { machine } => self.truth.take_for_lost(machine),
            Report::BrakeOff { .. } => self.truth.give_up_absent(),
            _ => {}
        }
    }

    fn systemd(&mut self, n: usize, mut effect: SystemdEffect) {
        if let SystemdEffect::Fence { act, .. } = &mut effect {
            // Every keep-alive arms a timer and stops the one before: no news to people.
            if !matches!(act, FenceAct::Arm { deadline, .. } if !deadline.is_zero())
                && !matches!(act, FenceAct::Disarm { .. })
            {
                self.timeline.push(self.now, self.machines[n].id.as_str(), format_args!("fence: {act:?}"));
            }
            if let FenceAct::Arm { deadline, .. } = act {
                *deadline = self.machines[n].clock.when(*deadline);
            }
        }
        if let SystemdEffect::Job { unit, job, .. } = &effect {
            self.say(n, format_args!("systemd: {job:?} {unit}"));
            // Whoever is stopped between a decision and the deed cannot know better.
            let lease =
                if self.owed { Ok(()) } else { self.truth.check_lease(self.now, &self.machines[n], unit, *job) };
            self.check(lease);
            let result = self.truth.check_job(&self.machines[n], unit, *job);
            self.check(result);
        }
        let machine = &mut self.machines[n];
        machine.systemd.perform(self.now, effect, &machine.disk);
    }

    fn store(&mut self, n: usize, effect: StoreEffect) {
        let opens = matches!(effect, StoreEffect::Watch { .. });
        self.machines[n].link.perform(&mut self.memory, self.now, effect);
        if opens {
            self.learn_watchers(n);
        }
        self.drain(Writer::Machine(n));
    }
}
