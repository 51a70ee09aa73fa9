//! What machines say of units for which the starts of others wait.

use fleet_registry::View;
use fleet_registry::record::{StateRecord, Target};
use fleet_units::{MachineId, UnitName};

use super::failures::{has_failed, runs_well};
use crate::placement::{Activity, Cluster};

/// Tells a cluster on which machines a unit is active, or has failed, in its very text and since its last restart.
pub(super) fn tell(cluster: &mut Cluster, view: &View, name: &UnitName) {
    cluster.set_activity(name, activity(view, name));
}

/// The same for all units.
pub(super) fn tell_all(cluster: &mut Cluster, view: &View) {
    view.states.keys().for_each(|name| tell(cluster, view, name));
}

fn activity(view: &View, name: &UnitName) -> Vec<(MachineId, Activity)> {
    let (Some(unit), Some(states)) = (view.units.get(name), view.states.get(name)) else { return Vec::new() };
    let is_now = |state: &StateRecord| {
        // A restored registry may know of fewer restarts than there were.
        (state.uid, &state.content) == (unit.create_revision, &unit.value.content)
            && state.restarts >= unit.value.restarts
            && state.reached == Some(Target::Launched)
    };
    // What an absent machine said last is old; one that is catching up has yet to say how things are.
    let is_there = |id: &MachineId| view.machines.get(id).is_some_and(|machine| !machine.value.catching_up);
    let judged = states.iter().filter(|(id, state)| is_there(id) && is_now(&state.value)).filter_map(|(id, state)| {
        let activity = if has_failed(&state.value) {
            Activity::Failed
        } else if runs_well(&state.value) {
            Activity::Active
        } else {
            return None;
        };
        Some((id.clone(), activity))
    });
    judged.collect()
}
