//! Units with `OnDisconnect=stop`: none ever runs on two machines, even for a moment, and none outlives for long the lease
//! of its machine.

use std::time::Duration;

use fleet_units::{MachineId, UnitName};

use super::operator::is_single;
use super::reality::number;
use super::systemd::Systemd;
use super::truth::Truth;
use super::world::World;

/// Their `TimeoutStopSec=`.
pub(super) const TIMEOUT: Duration = Duration::from_secs(4);
/// What stopping one takes beyond that: systemd turns to it, and kills it.
const KILLED: Duration = Duration::from_millis(100);

impl Systemd {
    /// Those of which a process is there, or may be in a moment.
    pub(super) fn singles(&self) -> impl Iterator<Item = &UnitName> {
        self.loaded().filter(|unit| is_single(unit) && self.may_run(unit))
    }
}

impl Truth {
    /// Invariant 2: whose stop was not finished when another machine was given the unit, whatever became of its lease.
    /// What a restored store makes of its backup is no promise of theirs.
    fn check_single(&self, id: &MachineId, unit: &UnitName, others: &[super::machine::Machine]) -> Result<(), String> {
        let twice = others.iter().find(|other| other.id != *id && other.systemd.may_run(unit));
        match twice.filter(|other| !self.is_left(&other.id, unit) && !self.is_left(id, unit)) {
            Some(other) => {
                Err(format!("invariant 2: {unit} must never run twice, and runs on {id} and on {}", other.id))
            }
            None => Ok(()),
        }
    }
}

impl World {
    /// Whatever a machine's systemd has come to run runs nowhere else, if it must not.
    pub(super) fn check_singles(&mut self, n: usize) {
        let machine = &self.machines[n];
        let check = |unit| self.truth.check_single(&machine.id, unit, &self.machines);
        let result = machine.systemd.singles().try_for_each(check);
        self.check(result);
    }

    /// A machine's lease has ended. What must not run twice is being stopped there by then; it is to be gone once systemd
    /// must have killed it.
    pub(super) fn lease_ended(&mut self, id: &MachineId) {
        let n = number(id);
        let Some(machine) = self.machines.get(n) else { return };
        let singles: Vec<UnitName> = machine.systemd.singles().cloned().collect();
        let goes_on = singles.iter().find(|unit| !machine.systemd.is_stopping(unit));
        let result = goes_on.map_or(Ok(()), |unit| {
            Err(format!("invariant 4: {unit} must be stopped before the lease of {id} ends, and runs on"))
        });
        self.check(result);
        for unit in singles {
            let pid = self.machines[n].systemd.pid(&unit);
            self.reality.ends(self.now + TIMEOUT + KILLED, n, unit, pid);
        }
    }
}
