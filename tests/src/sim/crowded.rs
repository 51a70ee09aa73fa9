//! Units that compete for room, and units that start after others: no machine is ever given more than it has, or more of a
//! group than it may have, what it is still stopping included; and nothing is started before what it requires.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_registry::Mono;
use fleet_registry::record::{Assignment, Capacity, StateRecord, Target};
use fleet_units::{MachineId, UnitName};

use super::machine::Machine;
use super::reality::number;
use super::truth::Truth;

/// What a machine says, in megabytes of memory and thousandths of a core.
const CAPACITY: (u64, u64) = (1_000, 1_000);
/// How old what a leader acts upon may be: longer than a lease, a request and an answer together.
const KNOWN: Duration = Duration::from_secs(60);

/// What units ask for.
const ROOM: (u64, u64) = (600, 300);
const HIGH: (u64, u64) = (500, 700);
const FEW: (u64, u64) = (50, 10);

/// What the units of these kinds say to fleet.
pub(super) fn section(kind: &str, name: &str) -> Option<String> {
    let asks = |(memory, cpu): (u64, u64)| format!("Memory={memory}M\nCPU={}%", cpu / 10);
    Some(match kind {
        "room" => asks(ROOM),
        "high" => format!("{}\nPriority=5\nPreempt=yes", asks(HIGH)),
        "few" => format!("{}\nSpreadBy=zone\nSpreadGroup=few\nMaxPerMachine=1", asks(FEW)),
        "after" => format!("Requires={}", name.replacen("after", "plain", 1)),
        _ => return None,
    })
}

/// What a machine has: few of them say so, so that there is never enough.
pub(super) fn capacity(machine: usize) -> Capacity {
    if !matches!(machine % 16, 0 | 3) {
        return Capacity::default();
    }
    let (megabytes, cpu) = CAPACITY;
    Capacity { memory: Some(megabytes << 20), cpu_millis: Some(cpu), ..Capacity::default() }
}

/// Whether a unit may be without a machine though people want it to run.
pub(super) fn may_find_no_room(unit: &UnitName) -> bool {
    asks(unit).is_some()
}

fn asks(unit: &UnitName) -> Option<(u64, u64)> {
    match unit.as_str().split('-').next()? {
        "room" => Some(ROOM),
        "high" => Some(HIGH),
        "few" => Some(FEW),
        _ => None,
    }
}

/// What the start of a unit waits for.
pub(super) fn required(unit: &UnitName) -> Option<UnitName> {
    unit.as_str().strip_prefix("after").and_then(|rest| UnitName::parse(&format!("plain{rest}")).ok())
}

/// When machines last said that units run.
#[derive(Debug, Default)]
pub(super) struct Shown(BTreeMap<UnitName, Mono>);

impl Shown {
    /// A machine says something else of a unit now than this.
    pub(super) fn changed(&mut self, now: Mono, unit: &UnitName, before: Option<&StateRecord>) {
        if before.is_some_and(is_up) {
            self.0.insert(unit.clone(), now);
        }
    }
}

fn is_up(state: &StateRecord) -> bool {
    state.active == "active"
}

impl Truth {
    /// Invariants 12 and 13: a machine that was just given a unit has room for it, beside all that it lists and all that
    /// it has not given back.
    pub(super) fn check_room(&self, machines: &[Machine], unit: &UnitName, machine: &MachineId) -> Result<(), String> {
        let Some(capacity) = machines.get(number(machine)).map(|machine| capacity(number(&machine.id))) else {
            return Ok(());
        };
        if asks(unit).is_none() {
            return Ok(());
        }
        let listed = self.schedule(machine).into_iter().flat_map(|schedule| &schedule.units);
        let listed = listed.map(|(unit, given)| (unit, given.uid));
        let stopping = self.not_given_back(machine).filter_map(|unit| Some((unit, self.last_given(machine, unit)?)));
        // One that is destroyed asks for nothing any more, and nobody knows for what it asked.
        let known = |(unit, uid): &(&UnitName, i64)| self.units.get(*unit).is_some_and(|(known, _)| known == uid);
        let all: BTreeMap<&UnitName, i64> = listed.chain(stopping).filter(known).collect();
        let sum = |of: fn((u64, u64)) -> u64| all.keys().filter_map(|unit| asks(unit)).map(of).sum::<u64>();
        let (memory, cpu) = (sum(|asked| asked.0), sum(|asked| asked.1));
        if memory << 20 > capacity.memory.unwrap_or(0) || cpu > capacity.cpu_millis.unwrap_or(0) {
            let units: Vec<&UnitName> = all.keys().copied().filter(|unit| asks(unit).is_some()).collect();
            return Err(format!("invariant 12: {machine} is given {unit}, and has no room for all of {units:?}"));
        }
        let few: Vec<&UnitName> = all.keys().copied().filter(|unit| unit.as_str().starts_with("few")).collect();
        match unit.as_str().starts_with("few") && few.len() > 1 {
            true => Err(format!("invariant 13: {machine} is given {unit}, and may have one of {few:?}")),
            false => Ok(()),
        }
    }

    /// Invariant 14: a unit is to be started only where what it requires was running as far as a leader may have known,
    /// or where it runs already.
    pub(super) fn check_order(
        &self,
        now: Mono,
        machines: &[Machine],
        machine: &MachineId,
        unit: &UnitName,
        (before, given): (Option<&Assignment>, &Assignment),
    ) -> Result<(), String> {
        let Some(required) = required(unit).filter(|_| given.target == Target::Launched) else { return Ok(()) };
        let was = before.is_some_and(|before| before.target == Target::Launched && before.uid == given.uid);
        let runs = machines.get(number(machine)).is_some_and(|machine| machine.systemd.may_run(unit));
        let shown = self.states.iter().any(|((_, other), state)| *other == required && is_up(state));
        let lately = self.shown.0.get(&required).is_some_and(|at| *at + KNOWN >= now);
        // What it runs, or ran, it may have said to a leader that is still at it.
        let said = self.states.get(&(machine.clone(), unit.clone())).is_some_and(is_up);
        match was || runs || said || shown || lately {
            true => Ok(()),
            false => Err(format!("invariant 14: {machine} is to start {unit}, and {required} does not run")),
        }
    }

    /// Whether the start of a unit may wait for ever: what it requires does not run.
    pub(super) fn may_wait_to_start(&self, unit: &UnitName) -> bool {
        let runs = |required: &UnitName| {
            self.states.iter().any(|((_, other), state)| other == required && is_up(state))
                && self.units.contains_key(required)
        };
        required(unit).is_some_and(|required| !runs(&required))
    }

    /// Of which of its name a machine was last given a unit.
    fn last_given(&self, machine: &MachineId, unit: &UnitName) -> Option<i64> {
        let given = self.schedules.get(machine)?.iter().rev().find_map(|schedule| schedule.units.get(unit))?;
        Some(given.uid)
    }
}
