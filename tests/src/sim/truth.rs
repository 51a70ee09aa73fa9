//! What the store really holds and what really runs, and what must be true of both at every step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_agent::Job;
use fleet_registry::loopback::Connection;
use fleet_registry::record::{
    AppliedRecord, Assignment, BrakeRecord, LeaderRecord, MachineRecord, NoteRecord, Record, ScheduleRecord,
    StateRecord, Target, UnitRecord,
};
use fleet_registry::store::{Event, EventKind};
use fleet_registry::{Key, Layout, Mono};
use fleet_units::{MachineId, UnitName};

use super::crowded::Shown;
use super::machine::{Machine, TTL};
use super::moves::Moves;
use super::operator::{is_moved, is_single};
use super::reality::number;

/// An agent believes in its lease for so long after the store has ended it, where its clock is slow, as promised.
const DRIFT: Duration = Duration::from_millis(10);

/// What a schedule that was written says anew.
#[derive(Debug)]
pub(super) enum News {
    /// A machine is to run this, as it was not before.
    Given(MachineId, UnitName, Assignment),
    /// It is not to run this any more.
    Taken(MachineId, UnitName),
    /// Its lease has ended.
    Gone(MachineId),
}

/// Who wrote something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    Machine(usize),
    Operator,
    /// Whoever wrote what is restored from a backup.
    Backup,
    /// A lease that ran out.
    Time,
}

/// The store's content as it is, kept apart from what fleet's own mirrors make of it.
#[derive(Debug, Default)]
pub(super) struct Truth {
    pub(super) present: BTreeMap<MachineId, MachineRecord>,
    /// Since when each machine is absent that is.
    pub(super) absent: BTreeMap<MachineId, Mono>,
    /// When each machine last came back.
    pub(super) returned: BTreeMap<MachineId, Mono>,
    /// Machines that lost their lease, and have not caught up since: what they run counts for nothing.
    excused: BTreeSet<MachineId>,
    /// Units that were taken off a machine's schedule, which has not given them back yet: since which generation.
    leaving: BTreeMap<UnitName, BTreeMap<MachineId, u64>>,
    /// Machines that a leader takes for lost, while they are absent.
    pub(super) lost: BTreeSet<MachineId>,
    /// When the brake last went off.
    brake_off: Mono,
    /// What the last writes of schedules say anew.
    pub(super) news: Vec<News>,
    /// Every schedule that a machine was ever given, oldest first.
    pub(super) schedules: BTreeMap<MachineId, Vec<ScheduleRecord>>,
    /// The same, of machines that were given up.
    pub(super) forgotten: BTreeMap<MachineId, Vec<ScheduleRecord>>,
    pub(super) applied: BTreeMap<MachineId, u64>,
    pub(super) leader: Option<MachineId>,
    pub(super) units: BTreeMap<UnitName, (i64, UnitRecord)>,
    pub(super) notes: BTreeMap<UnitName, NoteRecord>,
    pub(super) states: BTreeMap<(MachineId, UnitName), StateRecord>,
    /// When they last said that units run, which they say no more.
    pub(super) shown: Shown,
    pub(super) brake: Option<BrakeRecord>,
    moves: Moves,
    /// What runs on machines that a restored store does not list it for: it moved there after the backup, and is stopped
    /// once its machine has read its new schedule. Until then, and no longer, it may run where the backup has it as well.
    pub(super) leftover: BTreeSet<(UnitName, MachineId)>,
    /// Machines of which operators said something.
    pub(super) operators: BTreeSet<MachineId>,
}

/// Whether a unit of the stories belongs on every machine.
pub(super) fn is_global(unit: &UnitName) -> bool {
    unit.as_str().starts_with("global")
}

fn decode<R: Record>(event: &Event) -> Result<Option<R>, String> {
    match event.kind {
        EventKind::Delete => Ok(None),
        EventKind::Put => R::decode(&event.kv.value).map(Some).map_err(|e| format!("{:?}: {e}", event.kv.key)),
    }
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => _ = map.insert(key, value),
        None => _ = map.remove(&key),
    }
}

impl Truth {
    /// The schedule that a machine has now.
    pub(super) fn schedule(&self, machine: &MachineId) -> Option<&ScheduleRecord> {
        self.schedules.get(machine)?.last()
    }

    /// Every schedule that a machine was ever given, oldest first.
    fn history(&self, machine: &MachineId) -> impl Iterator<Item = &ScheduleRecord> + use<'_> {
        let all = [self.forgotten.get(machine), self.schedules.get(machine)];
        all.into_iter().flatten().flatten()
    }

    /// The machines whose schedule lists a unit.
    pub(super) fn listed<'a>(&'a self, unit: &'a UnitName) -> impl Iterator<Item = (&'a MachineId, &'a Assignment)> {
        self.schedules.iter().filter_map(move |(id, all)| Some((id, all.last()?.units.get(unit)?)))
    }

    /// Takes changes of the store in order.
    pub(super) fn observe(
        &mut self,
        layout: &Layout,
        now: Mono,
        writer: Writer,
        machines: &[Machine],
        events: &[Event],
    ) -> Result<(), String> {
        for revision in events.chunk_by(|a, b| a.kv.mod_revision == b.kv.mod_revision) {
            let mut given = BTreeSet::new();
            for event in revision {
                self.change(layout, now, writer, machines, event, &mut given)?;
            }
            for (unit, machine) in given {
                self.check_given(machines, &unit, &machine)?;
                if writer != Writer::Backup {
                    self.check_room(machines, &unit, &machine)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn change(
        &mut self,
        layout: &Layout,
        now: Mono,
        writer: Writer,
        machines: &[Machine],
        event: &Event,
        given: &mut BTreeSet<(UnitName, MachineId)>,
    ) -> Result<(), String> {
        match layout.decode(&event.kv.key) {
            Some(Key::Unit(unit)) => {
                if !matches!(writer, Writer::Operator | Writer::Backup) {
                    return Err(format!("invariant 6: {unit} was changed by {writer:?}, not by an operator"));
                }
                let record: Option<(i64, UnitRecord)> = decode(event)?.map(|r| (event.kv.create_revision, r));
                if let Some((uid, record)) = &record {
                    self.moves.wanted(&unit, *uid, record);
                }
                set(&mut self.units, unit, record);
            }
            Some(Key::Machine(id)) => self.machine_changed(now, id, decode(event)?),
            Some(Key::Schedule(id)) => {
                match decode::<ScheduleRecord>(event)? {
                    Some(record) => {
                        if writer != Writer::Backup {
                            self.check_writer(writer, machines, &id)?;
                        }
                        self.check_moves(machines, &id, &record)?;
                        for (unit, given) in record.units.iter().filter(|_| writer != Writer::Backup) {
                            let before = self.schedule(&id).and_then(|old| old.units.get(unit));
                            self.check_order(now, machines, &id, unit, (before, given))?;
                        }
                        self.schedule_changed(&id, record, given)?;
                    }
                    None if writer == Writer::Operator => {
                        // A person gave it up, and all that it had.
                        let old = self.schedules.remove(&id).unwrap_or_default();
                        self.forgotten.entry(id.clone()).or_default().extend(old);
                        self.take_for_lost(&id);
                    }
                    // A machine that was lost long ago (machine_retention).
                    None if !self.present.contains_key(&id) => {
                        self.check_writer(writer, machines, &id)?;
                        self.schedules.remove(&id);
                    }
                    None => return Err(format!("invariant 3: the schedule of {id} was deleted by {writer:?}")),
                }
            }
            Some(Key::Applied(id)) => {
                let record = decode::<AppliedRecord>(event)?;
                for (unit, held) in &mut self.leaving {
                    let gave_back = |since: &u64| record.as_ref().is_some_and(|r| r.gave_back(unit, *since));
                    if held.get(&id).is_some_and(gave_back) {
                        held.remove(&id);
                    }
                }
                if writer != Writer::Backup && record.is_some() {
                    let given = self.schedule(&id).map(|schedule| schedule.generation);
                    if record.as_ref().map(|r| r.generation) == given {
                        self.leftover.retain(|(_, machine)| *machine != id);
                    }
                }
                set(&mut self.applied, id, record.map(|record| record.generation));
            }
            Some(Key::Leader) => self.leader = decode::<LeaderRecord>(event)?.map(|record| record.machine),
            Some(Key::Note(unit)) => set(&mut self.notes, unit, decode(event)?),
            Some(Key::State(id, unit)) => {
                self.shown.changed(now, &unit, self.states.get(&(id.clone(), unit.clone())));
                set(&mut self.states, (id, unit), decode(event)?);
            }
            Some(Key::Operator(id)) => _ = self.operators.insert(id),
            Some(Key::Brake) => {
                self.brake = decode(event)?;
                if self.brake.is_none() {
                    self.brake_off = now;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn machine_changed(&mut self, now: Mono, id: MachineId, record: Option<MachineRecord>) {
        match &record {
            None => {
                self.absent.insert(id.clone(), now);
                self.news.push(News::Gone(id.clone()));
                self.excused.insert(id.clone());
            }
            Some(record) => {
                // One that never knew that it was gone, or another fleetd there, catches up as well.
                if self.absent.remove(&id).is_some() || record.catching_up {
                    self.returned.insert(id.clone(), now);
                }
                self.lost.remove(&id);
                if !record.catching_up {
                    self.excused.remove(&id);
                }
            }
        }
        set(&mut self.present, id, record);
    }

    fn schedule_changed(
        &mut self,
        id: &MachineId,
        record: ScheduleRecord,
        given: &mut BTreeSet<(UnitName, MachineId)>,
    ) -> Result<(), String> {
        let before = self.schedule(id).cloned();
        if let Some(before) = before.as_ref().filter(|before| record.generation <= before.generation) {
            let (old, new) = (before.generation, record.generation);
            return Err(format!("the schedule of {id} went from generation {old} to {new}"));
        }
        let units = before.map(|before| before.units).unwrap_or_default();
        let is_lost = self.lost.contains(id);
        for unit in units.keys().filter(|unit| !record.units.contains_key(*unit)) {
            // What a machine has that is absent, and not lost, is not free yet either.
            if !is_lost {
                self.leaving.entry(unit.clone()).or_default().insert(id.clone(), record.generation);
            }
            self.news.push(News::Taken(id.clone(), unit.clone()));
        }
        for (unit, assignment) in record.units.iter().filter(|(unit, a)| units.get(*unit) != Some(*a)) {
            self.news.push(News::Given(id.clone(), unit.clone(), assignment.clone()));
            if !units.contains_key(unit) {
                given.insert((unit.clone(), id.clone()));
            }
            if let Some(held) = self.leaving.get_mut(unit) {
                held.remove(id);
            }
        }
        self.schedules.entry(id.clone()).or_default().push(record);
        Ok(())
    }

    /// `OnFailure=move` is bounded.
    fn check_moves(&mut self, machines: &[Machine], id: &MachineId, new: &ScheduleRecord) -> Result<(), String> {
        let well = self.present.get(id).is_some_and(|r| !r.leaving && !r.catching_up) && !self.operators.contains(id);
        let Some(machine) = machines.get(number(id)).filter(|_| well) else { return Ok(()) };
        let failed = |unit: &UnitName| is_moved(unit) && machine.systemd.has_failed(unit);
        let old = self.schedules.get(id).and_then(|all| all.last()).into_iter().flat_map(|old| &old.units);
        let taken = old.filter(|(unit, _)| !new.units.contains_key(*unit) && failed(unit));
        taken.into_iter().try_for_each(|(unit, assignment)| self.moves.moved(unit, assignment))
    }

    /// Whether a machine says of a unit that runs there that no record knows it, as of one that was given up alive.
    pub(super) fn is_orphan(&self, id: &MachineId, unit: &UnitName) -> bool {
        self.states.get(&(id.clone(), unit.clone())).is_some_and(|state| state.extra.contains_key("orphan"))
    }

    /// Whether what runs there of that name is one that no record knows, or that moved there after a backup.
    pub(super) fn is_left(&self, id: &MachineId, unit: &UnitName) -> bool {
        self.is_orphan(id, unit) || self.leftover.contains(&(unit.clone(), id.clone()))
    }

    /// Whether what this machine runs counts for nothing: its lease was lost, and it has not caught up since.
    pub(super) fn is_excused(&self, id: &MachineId) -> bool {
        self.excused.contains(id)
    }

    /// Invariant 3: only the leader changes schedules.
    fn check_writer(&self, writer: Writer, machines: &[Machine], schedule: &MachineId) -> Result<(), String> {
        let by = match writer {
            Writer::Machine(n) => machines.get(n).map(|machine| &machine.id),
            _ => None,
        };
        if by.is_some() && by == self.leader.as_ref() {
            return Ok(());
        }
        Err(format!("invariant 3: the schedule of {schedule} was written by {by:?}, and {:?} leads", self.leader))
    }

    /// What was taken off a machine's schedule, and not given back yet.
    pub(super) fn not_given_back<'a>(&'a self, machine: &'a MachineId) -> impl Iterator<Item = &'a UnitName> {
        self.leaving.iter().filter(move |(_, held)| held.contains_key(machine)).map(|(unit, _)| unit)
    }

    /// Invariants 1 and 2: a unit is given to one machine, and not while another has it, or runs it.
    fn check_given(&self, machines: &[Machine], unit: &UnitName, machine: &MachineId) -> Result<(), String> {
        if is_global(unit) {
            return Ok(());
        }
        if let Some((other, _)) = self.listed(unit).find(|(id, _)| *id != machine) {
            return Err(format!("invariant 1: {unit} is listed by {machine} and by {other}"));
        }
        let held = self.leaving.get(unit).and_then(|held| held.keys().find(|id| *id != machine));
        if let Some(other) = held {
            return Err(format!("invariant 2: {unit} is given to {machine}, and {other} has not given it back"));
        }
        for other in machines.iter().filter(|other| other.id != *machine && other.systemd.may_run(unit)) {
            let excused = self.excused.contains(&other.id) && !is_single(unit);
            if !excused && !self.is_left(&other.id, unit) {
                return Err(format!("invariant 2: {unit} is given to {machine}, and runs on {}", other.id));
            }
        }
        Ok(())
    }

    /// Invariant 2: an agent whose lease is gone, or that has not caught up, starts nothing.
    pub(super) fn check_lease(&self, now: Mono, machine: &Machine, unit: &UnitName, job: Job) -> Result<(), String> {
        if job == Job::Stop {
            return Ok(());
        }
        let id = &machine.id;
        let late = machine.clock.lag(TTL) + DRIFT;
        let absent = self.absent.get(id).is_some_and(|since| *since + late < now);
        let catching_up = self.present.get(id).is_some_and(|record| record.catching_up);
        match absent || catching_up {
            true => Err(format!("invariant 2: {id} starts {unit}, and its lease is gone (catches up: {catching_up})")),
            false => Ok(()),
        }
    }

    /// Invariant 2: an agent starts what the newest schedule that it knows lists.
    fn check_newest(&self, machine: &Machine, unit: &UnitName) -> Result<(), String> {
        let known = machine.fleetd.as_ref().and_then(|fleetd| fleetd.agent.status().generation);
        let newest = self.history(&machine.id).filter(|schedule| Some(schedule.generation) == known).last();
        let lists = newest.and_then(|schedule| schedule.units.get(unit)).is_some_and(|a| a.target == Target::Launched);
        match lists {
            true => Ok(()),
            false => Err(format!("invariant 2: {} starts {unit}, which schedule {known:?} does not list", machine.id)),
        }
    }

    /// Invariants 2, 4 and 10: what an agent may ask of its systemd.
    pub(super) fn check_job(&self, machine: &Machine, unit: &UnitName, job: Job) -> Result<(), String> {
        if job != Job::Stop {
            self.check_newest(machine, unit)?;
        }
        let acknowledged = self.applied.get(&machine.id).copied().unwrap_or(0).max(machine.disk.memory.acknowledged);
        let known = || self.history(&machine.id).filter(|s| s.generation >= acknowledged).map(|s| s.units.get(unit));
        let id = &machine.id;
        if job != Job::Stop && !known().any(|a| a.is_some_and(|a| a.target == Target::Launched)) {
            return Err(format!("invariant 10: {id} starts {unit}, which no schedule since {acknowledged} lists"));
        }
        if job == Job::Start || !machine.systemd.is_active(unit) || machine.leaving.is_some() {
            return Ok(());
        }
        let Some(note) = machine.disk.units.get(unit).and_then(|found| found.note.as_ref().ok()) else {
            return Err(format!("invariant 4: {id} stops {unit}, of which it has no note"));
        };
        let meant = |wanted: Option<&Assignment>| match wanted {
            None => true,
            Some(a) => {
                let other = a.target != Target::Launched || a.uid != note.uid || a.content != note.content;
                other || (job == Job::Restart && a.restarts >= note.restarts.max(1))
            }
        };
        match known().any(meant) {
            true => Ok(()),
            false => {
                Err(format!("invariant 4: {id} is to {job:?} {unit}, and no schedule since {acknowledged} says so"))
            }
        }
    }

    /// Invariant 5: no machine is taken for lost that nothing befell but what befell all, and none when so many are
    /// absent at once that it is more likely the network.
    pub(super) fn check_lost(&mut self, now: Mono, machine: &Machine) -> Result<(), String> {
        let id = &machine.id;
        if machine.connection == Connection::Up && now > machine.disturbed + TTL * 3 && !machine.is_stranger() {
            return Err(format!("invariant 5: {id} is taken for lost, and nothing has befallen it"));
        }
        self.take_for_lost(id);
        let Some(since) = self.absent.get(id).copied() else { return Ok(()) };
        // Clocks differ a little: losses that are a whole lease apart may be one or not.
        let near = TTL - TTL / 10;
        let weighs = |(id, at): &(&MachineId, &Mono)| **at > self.brake_off && self.holds_units(id);
        let losses: Vec<Mono> = self.absent.iter().filter(weighs).map(|(_, at)| *at).collect();
        let within = |end: Mono| losses.iter().filter(|at| **at <= end && end < **at + near).count();
        let ends = losses.iter().filter(|end| since <= **end && **end < since + near);
        let together = ends.map(|end| within(*end)).max().unwrap_or(0);
        let before = together + self.present.len();
        match together >= 2 && together * 2 > before {
            true => Err(format!("invariant 5: {id} is taken for lost with {together} of {before} machines at once")),
            false => Ok(()),
        }
    }

    fn holds_units(&self, id: &MachineId) -> bool {
        self.schedule(id).is_some_and(|schedule| !schedule.units.keys().all(is_global))
    }

    /// A leader takes a machine for lost: all that it had is free.
    pub(super) fn take_for_lost(&mut self, id: &MachineId) {
        self.lost.insert(id.clone());
        self.leaving.values_mut().for_each(|held| _ = held.remove(id));
    }

    /// A leader says that it waits for no absent machine any more.
    pub(super) fn give_up_absent(&mut self) {
        for id in self.absent.keys().cloned().collect::<Vec<_>>() {
            self.take_for_lost(&id);
        }
    }
}
