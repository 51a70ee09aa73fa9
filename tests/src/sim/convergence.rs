//! Invariant 9: once faults have ended, what runs is what is decided, and what is decided is what people want.

use std::collections::BTreeSet;

use fleet_registry::record::{NoteKind, Target};
use fleet_units::{DesiredState, MachineId, UnitName};

use super::crowded::may_find_no_room;
use super::machine::Machine;
use super::operator::{MOVES, is_moved};
use super::truth::{Truth, is_global};
use super::world::World;

impl World {
    /// What is not yet as it must be in the end.
    pub(super) fn unsettled(&self) -> Result<(), String> {
        if self.truth.leader.is_none() || self.truth.brake.is_some() {
            return Err("nobody leads, or the brake is on".to_owned());
        }
        if let Some((unit, id)) = self.start_under_way() {
            return Err(format!("{unit} is still being started on {id}"));
        }
        for machine in &self.machines {
            machine_settled(&self.truth, machine, self.machines.len())?;
        }
        for (unit, (_, record)) in &self.truth.units {
            if self.machines.iter().any(|machine| machine.systemd.hangs(unit)) {
                // One unit's trouble is its own: all others come to rest.
                continue;
            }
            self.unit_settled(unit, record.desired)?;
        }
        for (id, all) in &self.truth.schedules {
            let units = all.last().map(|schedule| &schedule.units);
            let mut lone = units.into_iter().flatten().filter(|(unit, _)| unit.as_str().starts_with("lone"));
            if let (Some((a, _)), Some((b, _))) = (lone.next(), lone.next()) {
                return Err(format!("{a} and {b} are in conflict, and both on {id}"));
            }
        }
        Ok(())
    }

    /// Where systemd still tries to start something that is moved if that comes to nothing: a start that hangs it gives up
    /// after a time of its own.
    pub(super) fn start_under_way(&self) -> Option<(&UnitName, &MachineId)> {
        let moved = self.truth.units.keys().filter(|unit| is_moved(unit));
        let starts = |unit| self.machines.iter().find(|machine| machine.systemd.is_starting(unit));
        moved.filter_map(|unit| Some((unit, &starts(unit)?.id))).next()
    }

    fn unit_settled(&self, unit: &UnitName, desired: DesiredState) -> Result<(), String> {
        let listed: BTreeSet<_> = self.truth.listed(unit).map(|(id, _)| id.clone()).collect();
        let name = unit.as_str();
        if desired == DesiredState::Inactive {
            return match listed.is_empty() {
                true => Ok(()),
                false => Err(format!("{unit} is not wanted, and listed by {listed:?}")),
            };
        }
        if is_global(unit) {
            return match listed.len() == self.machines.len() {
                true => Ok(()),
                false => Err(format!("{unit} is global, and on {} machines only", listed.len())),
            };
        }
        if let ("with", Some(peer)) = (&name[..4], UnitName::parse(&name.replacen("with", "plain", 1)).ok()) {
            let beside: BTreeSet<_> = self.truth.listed(&peer).map(|(id, _)| id.clone()).collect();
            if !listed.is_empty() && listed != beside {
                return Err(format!("{unit} is on {listed:?}, and {peer} on {beside:?}"));
            }
        }
        let note = self.truth.notes.get(unit).map(|note| note.kind);
        let may_wait = name.starts_with("with") || name.starts_with("lone") || may_find_no_room(unit);
        match listed.len() {
            1 => Ok(()),
            0 if may_wait && note.is_some_and(|kind| kind != NoteKind::Placed) => Ok(()),
            n => Err(format!("{unit} is listed by {n} machines ({note:?})")),
        }
    }
}

/// Whether systemd hangs for good with something there.
fn has_hanging(machine: &Machine) -> bool {
    let mut present = machine.systemd.active().map(|(unit, _)| unit).chain(machine.systemd.linked());
    present.any(|unit| machine.systemd.hangs(unit))
}

/// Whether a machine of so many does what its schedule says, which says what people want.
fn machine_settled(truth: &Truth, machine: &Machine, machines: usize) -> Result<(), String> {
    let id = &machine.id;
    if machine.fleetd.is_none() || machine.paused_until.is_some() {
        return Err(format!("fleetd does not run on {id}"));
    }
    let record = truth.present.get(id).ok_or_else(|| format!("{id} is not present"))?;
    let schedule = truth.schedule(id).ok_or_else(|| format!("{id} has no schedule"))?;
    let hangs = has_hanging(machine);
    let acknowledged = truth.applied.get(id) == Some(&schedule.generation);
    if record.catching_up || !(acknowledged || hangs) {
        return Err(format!(
            "{id} has acknowledged {:?} of {}, and catches up: {}",
            truth.applied.get(id),
            schedule.generation,
            record.catching_up
        ));
    }
    for (unit, assignment) in &schedule.units {
        let (uid, wanted) = truth.units.get(unit).ok_or_else(|| format!("{id} lists {unit}, which is no more"))?;
        let waits = assignment.target == Target::Loaded && truth.may_wait_to_start(unit);
        let target = match wanted.desired {
            DesiredState::Launched if !waits => Target::Launched,
            _ => Target::Loaded,
        };
        let meant = (*uid, &wanted.content, target, wanted.restarts);
        let given = (assignment.uid, &assignment.content, assignment.target, assignment.restarts);
        if meant != given {
            return Err(format!("{id} is given {unit} as {given:?}, and it is {meant:?}"));
        }
        if machine.systemd.hangs(unit) {
            continue;
        }
        if truth.is_orphan(id, unit) {
            // One of the same name waits for a person to decide.
            continue;
        }
        let systemd = &machine.systemd;
        // What is only to be loaded is not moved, though it has failed; nor what has failed on every machine.
        if is_moved(unit) && systemd.has_failed(unit) && target == Target::Launched {
            let moves = truth.notes.get(unit).and_then(|note| note.failing.as_ref()).map_or(0, |failing| failing.moves);
            if moves < MOVES && (moves as usize) + 1 < machines {
                return Err(format!("{unit} has failed on {id}, and was moved {moves} times only"));
            }
        }
        let runs = systemd.is_active(unit);
        let refused = systemd.refused.contains(unit);
        if !refused && (!systemd.is_linked(unit) || runs != (target == Target::Launched && !systemd.has_failed(unit))) {
            return Err(format!("{unit} is {target:?} on {id}, and runs: {runs}"));
        }
        let note = machine.disk.units.get(unit).and_then(|found| found.note.as_ref().ok());
        let given = (assignment.uid, &assignment.content);
        // A restored store may know of fewer restarts than there were.
        let is_given = |restarts: u64| restarts >= assignment.restarts;
        if runs && note.is_none_or(|note| (note.uid, &note.content) != given || !is_given(note.restarts)) {
            return Err(format!("{unit} on {id} is not the one that is wanted yet"));
        }
        let active = truth.states.get(&(id.clone(), unit.clone())).map(|state| state.active.as_str());
        if runs != (active == Some("active")) {
            return Err(format!("{unit} on {id} runs: {runs}, and is shown as {active:?}"));
        }
    }
    let stranger = machine.systemd.active().map(|(unit, _)| unit).chain(machine.systemd.linked());
    let mut stranger = stranger.filter(|unit| !machine.systemd.hangs(unit));
    match stranger.find(|unit| !schedule.units.contains_key(*unit) && !truth.is_orphan(id, unit)) {
        Some(unit) => Err(format!("{unit} is on {id}, which does not list it")),
        None => Ok(()),
    }
}
