//! A story in virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fleet_agent::{Event, SystemdEffect, SystemdEvent};
use fleet_registry::Mono;
use fleet_registry::record::ContentRecord;
use fleet_units::UnitName;

use super::teller::Machine;
use crate::sim::disk::Disk;
use crate::sim::systemd::Systemd;

/// Nothing that a story waits for takes longer.
const LONG: Duration = Duration::from_secs(20);

/// A machine whose systemd is simulated.
#[derive(Debug, Default)]
pub struct Simulated {
    now: Mono,
    systemd: Systemd,
    disk: Disk,
    ready: Vec<Event>,
}

impl Simulated {
    /// A machine without units.
    #[must_use]
    pub fn new() -> Self {
        let mut machine = Self { now: Duration::from_secs(1000), ..Self::default() };
        machine.systemd.later(machine.now, Event::Systemd(SystemdEvent::Connected));
        machine
    }
}

impl Machine for Simulated {
    fn ask(&mut self, effect: SystemdEffect) {
        self.systemd.perform(self.now, effect, &self.disk);
    }

    fn write(&mut self, unit: &UnitName, text: &str) {
        let (text, drop_ins) = (text.to_owned(), BTreeMap::new());
        let content = ContentRecord { v: 1, text, drop_ins, extra: Default::default() };
        self.disk.texts.insert(unit.clone(), Arc::new(content));
    }

    fn remove(&mut self, unit: &UnitName) {
        self.disk.texts.remove(unit);
    }

    fn kill(&mut self, unit: &UnitName, _: u32) {
        self.systemd.kill(self.now, unit);
    }

    fn mask(&mut self, unit: &UnitName) {
        self.systemd.masked.insert(unit.clone());
    }

    fn reexecute(&mut self) {
        self.systemd.reexecute(self.now, &self.disk);
    }

    fn next(&mut self) -> Option<SystemdEvent> {
        let limit = self.now + LONG;
        loop {
            if let Some(event) = self.ready.pop() {
                match event {
                    Event::Systemd(event) => return Some(event),
                    _ => continue,
                }
            }
            let next = self.systemd.next_deadline().filter(|at| *at <= limit)?;
            self.now = self.now.max(next);
            self.ready = self.systemd.due(self.now, &self.disk);
            self.ready.reverse();
        }
    }

    fn now(&self) -> Duration {
        self.now
    }
}
