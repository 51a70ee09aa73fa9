//! The cluster as a whole, in the words of the API.

use std::collections::BTreeSet;

use fleet_api::v2::{
    BrakeView, ClusterStatus, LeaderView, LostMachine, Orphan, RegistryView, Stopping, UnitTrouble, UnreadableRecord,
};
use fleet_registry::record::{BrakeRecord, StateRecord, Target, Versioned, WallMillis};
use fleet_units::{MachineId, UnitName};

use super::{Picture, Status};

impl Picture {
    /// The cluster as a whole; `status` says how far the mirror is.
    #[must_use]
    pub fn cluster_status(&self, status: &Status, now: WallMillis) -> ClusterStatus {
        let view = &self.view;
        let unreadable = view.unreadable.iter();
        let unreadable = unreadable.map(|(key, found)| (view.name_of(key), found.why.clone()));
        ClusterStatus {
            id: view.cluster.as_ref().map(|cluster| cluster.value.id.to_string()),
            revision: self.revision.max(status.revision),
            now,
            stale: !status.live(),
            why: status.failing.clone(),
            leader: view.leader.as_ref().map(|leader| LeaderView {
                machine: self.machine_ref(&leader.value.machine),
                since: leader.value.since,
                why: leader.value.why.clone(),
            }),
            standbys: view.standbys.values().map(|standby| self.machine_ref(&standby.value.machine)).collect(),
            machines: self.machines(),
            lost: self.known_machines().filter(|id| !view.is_present(id)).map(|id| self.lost(id)).collect(),
            brake: view.brake.as_ref().map(|brake| self.brake(&brake.value)),
            orphans: self.orphans(),
            stopping: self.stopping(),
            registry: RegistryView::default(),
            here: None,
            failed: self.with_state(status, has_failed),
            unreadable: unreadable.map(|(key, why)| UnreadableRecord { key, why }).collect(),
        }
    }

    /// Whether there is a record of this machine.
    #[must_use]
    pub fn knows_machine(&self, id: &MachineId) -> bool {
        self.known_machines().any(|known| known == id)
    }

    /// The brake as version 2 shows it.
    #[must_use]
    pub fn brake(&self, brake: &BrakeRecord) -> BrakeView {
        BrakeView {
            lost: brake.lost.keys().map(|id| self.machine_ref(id)).collect(),
            present_before: brake.present_before,
            since: brake.since,
            released: brake.released,
        }
    }

    /// Every machine of which there is a record, by id.
    fn known_machines(&self) -> impl Iterator<Item = &MachineId> {
        let view = &self.view;
        let stated = view.states.values().flat_map(|states| states.keys());
        let listed = view.machines.keys().chain(view.schedules.keys()).chain(view.applied.keys());
        let known: BTreeSet<&MachineId> = listed.chain(view.operators.keys()).chain(stated).collect();
        known.into_iter()
    }

    fn lost(&self, id: &MachineId) -> LostMachine {
        let listed = self.view.schedules.get(id).into_iter().flat_map(|schedule| schedule.value.units.keys());
        let operator = self.view.operators.get(id).map(|operator| &operator.value);
        LostMachine {
            id: id.to_string(),
            units: listed.filter(|name| !self.is_global(name)).count(),
            cordoned: operator.is_some_and(|operator| operator.cordoned),
            draining: operator.is_some_and(|operator| operator.draining),
        }
    }

    /// What machines that are present say of units of which this holds, by unit and machine.
    fn with_state(&self, status: &Status, holds: impl Fn(&StateRecord) -> bool) -> Vec<UnitTrouble> {
        let states = self.view.states.iter().flat_map(|(name, by)| by.iter().map(move |(id, state)| (name, id, state)));
        let found = states.filter(|(_, id, state)| self.view.machines.contains_key(*id) && holds(&state.value));
        let view = |(name, id, state): (&UnitName, &MachineId, &Versioned<StateRecord>)| UnitTrouble {
            unit: name.to_string(),
            state: self.state(id, &state.value, !status.live()),
        };
        found.map(view).collect()
    }

    /// What machines that are present say of units that their cluster did not ask for, by unit and machine.
    fn orphans(&self) -> Vec<Orphan> {
        let states = self.view.states.iter().flat_map(|(name, by)| by.iter().map(move |(id, state)| (name, id, state)));
        let orphans = states.filter(|(_, id, state)| self.view.machines.contains_key(*id) && state.value.is_orphan());
        let shown = |name: &UnitName, id: &MachineId, state: &StateRecord| Orphan {
            unit: name.to_string(),
            machine: self.machine_ref(id),
            active: state.active.clone(),
            since: state.since,
        };
        orphans.map(|(name, id, state)| shown(name, id, &state.value)).collect()
    }

    /// Whether a machine that is present says that it did not load the unit for this cluster.
    #[must_use]
    pub fn has_orphan(&self, unit: &UnitName, id: &MachineId) -> bool {
        let state = self.view.states.get(unit).and_then(|states| states.get(id));
        self.view.machines.contains_key(id) && state.is_some_and(|state| state.value.is_orphan())
    }

    /// What machines that are present are stopping, as systemd says there, by unit and machine.
    fn stopping(&self) -> Vec<Stopping> {
        let states = self.view.states.iter().flat_map(|(name, by)| by.iter().map(move |(id, state)| (name, id, state)));
        let stopping = states
            .filter(|(_, id, state)| self.view.machines.contains_key(*id) && state.value.active == "deactivating");
        let shown = |name: &UnitName, id: &MachineId, state: &StateRecord| Stopping {
            unit: name.to_string(),
            machine: self.machine_ref(id),
            since: state.since,
            limit_ms: state.stop_bound_ms,
        };
        stopping.map(|(name, id, state)| shown(name, id, &state.value)).collect()
    }
}

/// Whether systemd has given up on a unit that was started.
fn has_failed(state: &StateRecord) -> bool {
    state.active == "failed" && !state.sub.contains("auto-restart") && state.reached == Some(Target::Launched)
}
