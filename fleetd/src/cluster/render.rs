//! The records in the words of the API: what fleet's version 1 showed, and what version 2 shows beside it.

use std::collections::BTreeMap;
use std::ops::Bound;

use fleet_api::v1;
use fleet_api::v2::{
    MachineRef, MachineView, NoteKind as ApiNoteKind, NoteView, Reached, Resources, StateView, UnitText, UnitView,
};
use fleet_registry::record::{NoteKind, StateRecord, Target};
use fleet_units::{DesiredState, MachineId, UnitName};

use super::Picture;

impl Picture {
    /// A unit as version 2 shows it; a destroyed one until the machines that are present have stopped it.
    #[must_use]
    pub fn unit(&self, name: &UnitName, stale: bool) -> Option<UnitView> {
        let unit = self.view.units.get(name);
        if unit.is_none() && !self.lingers(name) {
            return None;
        }
        let uid = unit.map(|u| u.create_revision).or_else(|| self.last_uid(name)).unwrap_or_default();
        let parsed = unit.and_then(|u| self.parsed(&u.value.content));
        let global = self.is_global(name);
        let states = self.view.states.get(name).into_iter().flatten();
        Some(UnitView {
            name: name.to_string(),
            uid,
            hash: unit.map(|u| parsed.map_or(u.value.hash, |parsed| parsed.hash)),
            desired_state: unit.map(|u| u.value.desired),
            current_state: (!global).then(|| self.current_state(name)),
            global,
            description: parsed.map(|p| p.description.clone()).unwrap_or_default(),
            machine: self.target(name).filter(|_| !global).map(|id| self.machine_ref(id)),
            scheduled_to: if global { u32::try_from(self.scheduled(name).count()).unwrap_or(u32::MAX) } else { 0 },
            states: states.map(|(id, state)| self.state(id, &state.value, stale)).collect(),
            note: self.view.notes.get(name).filter(|note| note.value.uid == uid).map(|note| NoteView {
                kind: match note.value.kind {
                    NoteKind::Placed => ApiNoteKind::Placed,
                    NoteKind::Waiting => ApiNoteKind::Waiting,
                    NoteKind::Unplaceable => ApiNoteKind::Unplaceable,
                    NoteKind::Invalid => ApiNoteKind::Invalid,
                },
                reason: note.value.reason.clone(),
                since: note.value.since,
                moves: note.value.moves,
                not_before: note.value.not_before,
            }),
            restarts: unit.map_or(0, |u| u.value.restarts),
        })
    }

    /// Every unit that [`Picture::unit`] shows, by name.
    #[must_use]
    pub fn unit_names(&self) -> Vec<UnitName> {
        let destroyed = self.view.states.keys().filter(|name| !self.view.units.contains_key(*name));
        let listed = self.view.schedules.values().flat_map(|s| s.value.units.keys().chain(s.value.leaving.keys()));
        let gone = destroyed.chain(listed.filter(|name| !self.view.units.contains_key(*name)));
        let mut names: Vec<UnitName> = self.view.units.keys().chain(gone).cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    /// The first of [`Picture::unit_names`] after this one.
    #[must_use]
    pub fn next_name(&self, after: Option<&UnitName>) -> Option<&UnitName> {
        let range = || (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let submitted = self.view.units.range::<UnitName, _>(range()).next().map(|(name, _)| name);
        let stated = self.view.states.range::<UnitName, _>(range()).next().map(|(name, _)| name);
        submitted.into_iter().chain(stated).chain(self.next_listed(range())).min()
    }

    /// Whether machines that are present still have a unit that was destroyed.
    fn lingers(&self, name: &UnitName) -> bool {
        let present = |id: &MachineId| self.view.machines.contains_key(id);
        self.placed(name).any(present)
            || self.leaving(name).any(present)
            || self.view.states.get(name).is_some_and(|states| states.keys().any(present))
    }

    fn last_uid(&self, name: &UnitName) -> Option<i64> {
        let stated = self.view.states.get(name).and_then(|states| states.values().map(|s| s.value.uid).max());
        stated
            .or_else(|| self.placed(name).find_map(|id| Some(self.view.schedules.get(id)?.value.units.get(name)?.uid)))
    }

    /// The machine that a unit is scheduled to. A schedule that lists an earlier unit of the same name says nothing
    /// about this one.
    #[must_use]
    pub fn target(&self, name: &UnitName) -> Option<&MachineId> {
        self.scheduled(name).next()
    }

    /// The machines that this very unit is scheduled to.
    fn scheduled(&self, name: &UnitName) -> impl Iterator<Item = &MachineId> {
        let uid = self.view.units.get(name).map(|u| u.create_revision);
        self.placed(name).filter(move |id| {
            let listed = self.view.schedules.get(*id).and_then(|s| s.value.units.get(name));
            listed.is_some_and(|assignment| uid.is_none_or(|uid| uid == assignment.uid))
        })
    }

    /// How far the cluster got with a unit, as fleet derived it: what its machine has reached, if that machine is
    /// present and speaks of this very unit.
    #[must_use]
    pub fn current_state(&self, name: &UnitName) -> DesiredState {
        let Some(id) = self.target(name).filter(|id| self.view.machines.contains_key(*id)) else {
            return DesiredState::Inactive;
        };
        let uid = self.view.units.get(name).map(|u| u.create_revision);
        let state = self.view.state(id, name).filter(|s| uid.is_none_or(|uid| uid == s.value.uid));
        match state.and_then(|s| s.value.reached) {
            None => DesiredState::Inactive,
            Some(Target::Loaded) => DesiredState::Loaded,
            Some(Target::Launched) => DesiredState::Launched,
        }
    }

    /// How a machine is named where something else is spoken of.
    #[must_use]
    pub fn machine_ref(&self, id: &MachineId) -> MachineRef {
        let address = self.view.machines.get(id).and_then(|m| m.value.address.clone());
        MachineRef { id: id.to_string(), address: address.unwrap_or_default() }
    }

    pub(super) fn state(&self, id: &MachineId, state: &StateRecord, stale: bool) -> StateView {
        StateView {
            machine: self.machine_ref(id),
            uid: state.uid,
            load: state.load.clone(),
            active: state.active.clone(),
            sub: state.sub.clone(),
            result: state.result.clone(),
            since: state.since,
            main_pid: state.main_pid,
            reached: state.reached.map(|reached| match reached {
                Target::Loaded => Reached::Loaded,
                Target::Launched => Reached::Launched,
            }),
            restarts: state.restarts,
            error: Some(state.error.clone()).filter(|error| !error.is_empty()),
            stop_bound_ms: state.stop_bound_ms,
            hash: self.parsed(&state.content).map(|parsed| parsed.hash),
            orphan: state.is_orphan(),
            stale: stale || !self.view.machines.contains_key(id),
        }
    }

    /// The text of a unit.
    #[must_use]
    pub fn text(&self, name: &UnitName) -> Option<UnitText> {
        let unit = self.view.units.get(name)?;
        let content = self.view.contents.get(&unit.value.content)?.value.as_ref()?;
        Some(UnitText { text: content.text.clone(), drop_ins: content.drop_ins.clone() })
    }

    /// The machines that are present, by id.
    #[must_use]
    pub fn machines(&self) -> Vec<MachineView> {
        let leader = self.view.leader.as_ref().map(|leader| &leader.value.machine);
        let view = |(id, machine): (&MachineId, &fleet_registry::record::Versioned<_>)| {
            let machine: &fleet_registry::record::MachineRecord = &machine.value;
            let operator = self.view.operators.get(id).map(|o| &o.value);
            MachineView {
                id: id.to_string(),
                hostname: machine.hostname.clone(),
                address: machine.address.clone().unwrap_or_default(),
                metadata: self.metadata(id),
                capacity: Resources { memory: machine.capacity.memory, cpu_millis: machine.capacity.cpu_millis },
                used: self.used(id),
                units: Some(self.view.schedules.get(id).map_or(0, |schedule| schedule.value.units.len())),
                version: machine.version.clone(),
                catching_up: machine.catching_up,
                leaving: machine.leaving,
                cordoned: operator.is_some_and(|o| o.cordoned),
                draining: operator.is_some_and(|o| o.draining),
                carries_registry: machine.carries_registry,
                leader: leader == Some(id),
            }
        };
        self.view.machines.iter().map(view).collect()
    }

    /// What the units that a machine is to run ask of it.
    fn used(&self, id: &MachineId) -> Resources {
        let listed = self.view.schedules.get(id).into_iter().flat_map(|schedule| &schedule.value.units);
        let (mut memory, mut cpu_millis) = (0_u64, 0_u64);
        for asked in listed.filter_map(|(name, given)| self.parsed(&given.content)?.requirements(name)) {
            memory = memory.saturating_add(asked.memory.unwrap_or(0));
            cpu_millis = cpu_millis.saturating_add(asked.cpu_millis.unwrap_or(0));
        }
        Resources { memory: Some(memory), cpu_millis: Some(cpu_millis) }
    }

    /// What a machine says of itself, with what operators changed.
    fn metadata(&self, id: &MachineId) -> BTreeMap<String, String> {
        let mut metadata = self.view.machines.get(id).map(|m| m.value.metadata.clone()).unwrap_or_default();
        for (key, value) in self.view.operators.get(id).into_iter().flat_map(|o| &o.value.metadata) {
            match value {
                Some(value) => _ = metadata.insert(key.clone(), value.clone()),
                None => _ = metadata.remove(key),
            }
        }
        metadata
    }

    /// A unit as version 1 shows it.
    #[must_use]
    pub fn v1_unit(&self, name: &UnitName) -> Option<v1::Unit> {
        let unit = self.view.units.get(name)?;
        let options = self.parsed(&unit.value.content).map_or(&[][..], |parsed| parsed.file.options());
        let global = self.is_global(name);
        Some(v1::Unit {
            name: name.to_string(),
            options: options
                .iter()
                .map(|option| v1::UnitOption {
                    section: option.section.clone(),
                    name: option.name.clone(),
                    value: option.value.clone(),
                })
                .collect(),
            desired_state: unit.value.desired.to_string(),
            current_state: if global { String::new() } else { self.current_state(name).to_string() },
            machine_id: self.target(name).filter(|_| !global).map(ToString::to_string).unwrap_or_default(),
        })
    }

    /// States as version 1 shows them, by unit and machine: only what machines that are present say.
    #[must_use]
    pub fn v1_states(&self) -> Vec<v1::UnitState> {
        let mut states = Vec::new();
        for (name, by_machine) in &self.view.states {
            for (id, state) in by_machine {
                let state = &state.value;
                if state.load.is_empty() || !self.view.machines.contains_key(id) {
                    continue;
                }
                states.push(v1::UnitState {
                    name: name.to_string(),
                    hash: self.parsed(&state.content).map(|p| p.hash.to_string()).unwrap_or_default(),
                    machine_id: id.to_string(),
                    systemd_load_state: state.load.clone(),
                    systemd_active_state: state.active.clone(),
                    systemd_sub_state: state.sub.clone(),
                });
            }
        }
        states
    }

    /// Machines as version 1 shows them, by id.
    #[must_use]
    pub fn v1_machines(&self) -> Vec<v1::Machine> {
        let machines = self.view.machines.iter();
        machines
            .map(|(id, machine)| v1::Machine {
                id: id.to_string(),
                primary_ip: machine.value.address.clone().unwrap_or_default(),
                metadata: self.metadata(id),
            })
            .collect()
    }
}
