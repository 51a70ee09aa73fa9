//! What the store really holds and what really runs, and what must be true of both at every step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_agent::Job;
use fleet_registry::loopback::Connection;
use fleet_registry::record::{
    AppliedRecord, Assignment, LeaderRecord, MachineRecord, NoteRecord, Record, ScheduleRecord, StateRecord, Target,
    UnitRecord,
};
use fleet_registry::store::{Event, EventKind};
use fleet_registry::{Key, Layout, Mono};
use fleet_units::{MachineId, UnitName};

use super::machine::{Machine, TTL};

/// A decision made upon an absence may be this long on its way to the store.
const UNDER_WAY: Duration = Duration::from_secs(5);

/// Who wrote something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    Machine(usize),
    Operator,
    /// A lease that ran out.
    Time,
}

/// The store's content as it is, kept apart from what fleet's own mirrors make of it.
#[derive(Debug, Default)]
pub(super) struct Truth {
    pub(super) present: BTreeMap<MachineId, MachineRecord>,
    /// When each machine was last absent.
    absent: BTreeMap<MachineId, Mono>,
    /// Every schedule that a machine was ever given, oldest first.
    pub(super) schedules: BTreeMap<MachineId, Vec<ScheduleRecord>>,
    pub(super) applied: BTreeMap<MachineId, u64>,
    pub(super) leader: Option<MachineId>,
    pub(super) units: BTreeMap<UnitName, (i64, UnitRecord)>,
    pub(super) notes: BTreeMap<UnitName, NoteRecord>,
    pub(super) states: BTreeMap<(MachineId, UnitName), StateRecord>,
    pub(super) brake: bool,
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
                self.check_given(now, machines, &unit, &machine)?;
            }
        }
        Ok(())
    }

    fn change(
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
                if writer != Writer::Operator {
                    return Err(format!("invariant 6: {unit} was changed by {writer:?}, not by an operator"));
                }
                let record = decode(event)?.map(|record| (event.kv.create_revision, record));
                set(&mut self.units, unit, record);
            }
            Some(Key::Machine(id)) => {
                if event.kind == EventKind::Delete || !self.present.contains_key(&id) {
                    self.absent.insert(id.clone(), now);
                }
                set(&mut self.present, id, decode(event)?);
            }
            Some(Key::Schedule(id)) => {
                self.check_writer(writer, machines, &id)?;
                let Some(record) = decode::<ScheduleRecord>(event)? else {
                    self.schedules.remove(&id);
                    return Ok(());
                };
                let before = self.schedule(&id);
                if let Some(before) = before.filter(|before| record.generation <= before.generation) {
                    return Err(format!(
                        "the schedule of {id} went from generation {} to {}",
                        before.generation, record.generation
                    ));
                }
                let new = record.units.keys().filter(|unit| before.is_none_or(|b| !b.units.contains_key(*unit)));
                given.extend(new.map(|unit| (unit.clone(), id.clone())));
                self.schedules.entry(id).or_default().push(record);
            }
            Some(Key::Applied(id)) => {
                set(&mut self.applied, id, decode::<AppliedRecord>(event)?.map(|record| record.generation));
            }
            Some(Key::Leader) => self.leader = decode::<LeaderRecord>(event)?.map(|record| record.machine),
            Some(Key::Note(unit)) => set(&mut self.notes, unit, decode(event)?),
            Some(Key::State(id, unit)) => set(&mut self.states, (id, unit), decode(event)?),
            Some(Key::Operator(id)) => _ = self.operators.insert(id),
            Some(Key::Brake) => self.brake = event.kind == EventKind::Put,
            _ => {}
        }
        Ok(())
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

    /// Invariants 1 and 2: a unit is given to one machine, and not while it may run on another.
    fn check_given(&self, now: Mono, machines: &[Machine], unit: &UnitName, machine: &MachineId) -> Result<(), String> {
        if is_global(unit) {
            return Ok(());
        }
        if let Some((other, _)) = self.listed(unit).find(|(id, _)| *id != machine) {
            return Err(format!("invariant 1: {unit} is listed by {machine} and by {other}"));
        }
        for other in machines.iter().filter(|other| other.id != *machine && other.systemd.may_run(unit)) {
            let gone = !self.present.contains_key(&other.id)
                || self.absent.get(&other.id).is_some_and(|at| now < *at + UNDER_WAY);
            if !gone {
                return Err(format!("invariant 2: {unit} is given to {machine}, and runs on {}", other.id));
            }
        }
        Ok(())
    }

    /// Invariants 2, 4 and 10: what an agent may ask of its systemd.
    pub(super) fn check_job(&self, machine: &Machine, unit: &UnitName, job: Job) -> Result<(), String> {
        let acknowledged = self.applied.get(&machine.id).copied().unwrap_or(0);
        let all = self.schedules.get(&machine.id).map(Vec::as_slice).unwrap_or_default();
        let known = || all.iter().filter(|s| s.generation >= acknowledged).map(|s| s.units.get(unit));
        let id = &machine.id;
        if job != Job::Stop && !known().any(|a| a.is_some_and(|a| a.target == Target::Launched)) {
            return Err(format!("invariant 10: {id} starts {unit}, which no schedule since {acknowledged} lists"));
        }
        if job == Job::Start || !machine.systemd.is_active(unit) {
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

    /// Invariant 5: no machine is taken for lost that nothing befell but what befell all.
    pub(super) fn check_lost(&self, now: Mono, machine: &Machine) -> Result<(), String> {
        match machine.connection != Connection::Up || now <= machine.disturbed + TTL * 3 {
            true => Ok(()),
            false => Err(format!("invariant 5: {} is taken for lost, and nothing has befallen it", machine.id)),
        }
    }
}
