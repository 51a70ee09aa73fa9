//! What really runs, told apart from what anybody says of it.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_registry::Mono;
use fleet_registry::loopback::Connection;
use fleet_registry::record::{Assignment, Target};
use fleet_units::{MachineId, UnitName};

use super::truth::{News, is_global};
use super::world::World;

/// How long a healthy machine may take with one unit, whatever else it is busy with (invariant 8).
const PROMPT: Duration = Duration::from_secs(1);
/// How long until people are shown what systemd says (invariant 11), with the way to the store and back.
const SHOWN: Duration = Duration::from_millis(1_200);
/// A machine that nothing befell for so long is healthy: watches are open again, and what was to be said is said.
const CALM: Duration = Duration::from_secs(5);
/// A unit that systemd had trouble with may feel it for so long.
const TROUBLED: Duration = Duration::from_secs(70);

/// What must be true by some time, if nothing befalls the machine until then.
#[derive(Debug, Clone)]
pub(super) enum Promise {
    /// A unit that was given to it runs.
    Runs(Assignment),
    /// A unit that was taken from it does not.
    Stops,
    /// This process of a unit that must not run twice is gone, whatever befalls the machine.
    Ends(u32),
    /// What people are shown of a unit is what is.
    Shows,
}

#[derive(Debug)]
struct Promised {
    made: Mono,
    machine: usize,
    unit: UnitName,
    what: Promise,
}

/// What really runs, since when, and what is to be true of it.
#[derive(Debug, Default)]
pub(super) struct Reality {
    /// Main process of each unit that runs, by machine.
    running: BTreeMap<usize, BTreeMap<UnitName, u32>>,
    promises: BTreeMap<(Mono, u64), Promised>,
    count: u64,
    /// When systemd's trouble with a unit last began or ended.
    troubled: BTreeMap<(usize, UnitName), Mono>,
    /// When the store was last reachable or unreachable for all.
    pub(super) outage_changed: Mono,
}

impl Reality {
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        self.promises.first_key_value().map(|(key, _)| key.0)
    }

    /// systemd has trouble with this unit, or has it no more.
    pub(super) fn trouble(&mut self, now: Mono, machine: usize, unit: UnitName) {
        self.troubled.insert((machine, unit), now);
    }

    /// This process is to be gone by then.
    pub(super) fn ends(&mut self, by: Mono, machine: usize, unit: UnitName, pid: u32) {
        self.promise(by, Duration::ZERO, machine, unit, Promise::Ends(pid));
    }

    fn promise(&mut self, made: Mono, within: Duration, machine: usize, unit: UnitName, what: Promise) {
        self.count += 1;
        self.promises.insert((made + within, self.count), Promised { made, machine, unit, what });
    }
}

/// The number of a machine of a world.
pub(super) fn number(id: &MachineId) -> usize {
    id.as_str().trim_start_matches('m').parse().unwrap_or(0)
}

impl World {
    /// A machine's systemd may have started or stopped something.
    pub(super) fn look_at_systemd(&mut self, n: usize) {
        let now = self.now;
        self.check_singles(n);
        let is: BTreeMap<UnitName, u32> = self.machines[n].systemd.active().map(|(u, pid)| (u.clone(), pid)).collect();
        let was = self.reality.running.entry(n).or_default();
        if *was == is {
            return;
        }
        let was = std::mem::replace(was, is.clone());
        self.check_kept(n);
        for unit in was.keys().filter(|unit| !is.contains_key(*unit)) {
            self.reality.promise(now, SHOWN, n, unit.clone(), Promise::Shows);
        }
        for (unit, _) in is.iter().filter(|(unit, pid)| was.get(*unit) != Some(*pid)) {
            self.reality.promise(now, SHOWN, n, unit.clone(), Promise::Shows);
            let result = self.check_alone(n, unit);
            self.check(result);
        }
    }

    /// Invariant 2, in the world: a unit that starts here runs nowhere else, but on machines that lost their lease.
    fn check_alone(&self, n: usize, unit: &UnitName) -> Result<(), String> {
        if is_global(unit) || self.truth.is_excused(&self.machines[n].id) {
            return Ok(());
        }
        let elsewhere = self.reality.running.iter().filter(|(other, units)| **other != n && units.contains_key(unit));
        for (other, _) in elsewhere {
            let other = &self.machines[*other].id;
            if !self.truth.is_excused(other) && !self.truth.is_left(other, unit) {
                return Err(format!("invariant 2: {unit} starts on {}, and runs on {other}", self.machines[n].id));
            }
        }
        Ok(())
    }

    /// What the store now says makes promises.
    pub(super) fn take_news(&mut self) {
        for news in std::mem::take(&mut self.truth.news) {
            let (machine, unit, what) = match news {
                News::Given(machine, unit, given) if given.target == Target::Launched => {
                    (machine, unit, Promise::Runs(given))
                }
                News::Given(..) => continue,
                News::Taken(machine, unit) => (machine, unit, Promise::Stops),
                News::Gone(machine) => {
                    self.lease_ended(&machine);
                    continue;
                }
            };
            self.reality.promise(self.now, PROMPT, number(&machine), unit, what);
        }
    }

    /// Looks at what must be true by now.
    pub(super) fn keep_promises(&mut self) {
        while let Some(entry) = self.reality.promises.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let promised = entry.remove();
            let result = self.check_promise(&promised);
            self.check(result);
        }
    }

    /// Whether nothing befell a machine from some time on that could have delayed it.
    fn is_healthy(&self, n: usize, since: Mono) -> bool {
        let machine = &self.machines[n];
        let calm = machine.disturbed.max(self.reality.outage_changed) + CALM <= since;
        let takes_part = self.truth.present.get(&machine.id).is_some_and(|record| !record.catching_up);
        let steady = self.truth.returned.get(&machine.id).is_none_or(|at| *at + CALM <= since);
        let usable = machine.connection == Connection::Up
            && self.outage.is_none()
            && self.own.is_none()
            && machine.leaving.is_none()
            && !machine.disk.is_full();
        calm && takes_part && steady && usable && machine.awake().is_some()
    }

    fn check_promise(&self, promised: &Promised) -> Result<(), String> {
        let Promised { made, machine: n, unit, what } = promised;
        let Some(machine) = self.machines.get(*n) else { return Ok(()) };
        let id = &machine.id;
        let troubled = machine.systemd.hangs(unit)
            || self.reality.troubled.get(&(*n, unit.clone())).is_some_and(|at| *at + TROUBLED > *made);
        if let Promise::Ends(pid) = what {
            return match *pid != 0 && machine.systemd.pid(unit) == *pid {
                true => Err(format!("invariant 2: {unit} runs on {id} still, which lost its lease long ago")),
                false => Ok(()),
            };
        }
        if !self.is_healthy(*n, *made) {
            return Ok(());
        }
        let wanted = self.truth.schedule(id).and_then(|schedule| schedule.units.get(unit));
        let (runs, failed) = (machine.systemd.is_active(unit), machine.systemd.has_failed(unit));
        match what {
            Promise::Runs(given) if wanted == Some(given) && !troubled && !runs && !failed => {
                Err(format!("invariant 8: {unit} was given to {id} {PROMPT:?} ago, and does not run"))
            }
            // What no record knows is stopped by people alone.
            Promise::Stops if self.truth.is_orphan(id, unit) => Ok(()),
            Promise::Stops if wanted.is_none() && !troubled && machine.systemd.may_run(unit) => {
                Err(format!("invariant 8: {unit} was taken from {id} {PROMPT:?} ago, and runs"))
            }
            Promise::Shows => {
                let shown = self.truth.states.get(&(id.clone(), unit.clone()));
                let is_shown = shown.is_some_and(|state| matches!(state.active.as_str(), "active" | "deactivating"));
                // What changed again has a promise of its own.
                let settled = self.reality.promises.values().all(|p| {
                    !(p.machine == *n && p.unit == *unit && p.made > *made && matches!(p.what, Promise::Shows))
                });
                match is_shown == runs || !settled {
                    true => Ok(()),
                    false => Err(format!("invariant 11: {unit} on {id} runs: {runs}, and is shown as {shown:?}")),
                }
            }
            _ => Ok(()),
        }
    }
}
