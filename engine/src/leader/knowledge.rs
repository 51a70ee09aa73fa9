//! What a leader makes of schedules that it cannot read, or that somebody deleted: it goes by what it knew, and by what
//! machines say that they run. Nothing is moved, stopped, or started twice because a record is broken.

use std::collections::{BTreeMap, BTreeSet};

use fleet_registry::planted::{self, Fault};
use fleet_registry::record::{Assignment, ScheduleRecord, Target};
use fleet_registry::{Key, View};
use fleet_units::{MachineId, UnitName};

use super::facts::{self, Digests};
use super::{Stored, starts};
use crate::placement::{Cluster, MachineFacts, MachinePlan};

/// Every machine that may run units: it is present, it has a schedule, readable or not, or it says that it runs some.
pub(crate) fn machines(view: &View) -> BTreeSet<MachineId> {
    let reported = view.states.values().flat_map(|by_machine| by_machine.keys());
    let mut known: BTreeSet<MachineId> =
        view.machines.keys().chain(view.schedules.keys()).chain(reported).cloned().collect();
    known.extend(view.unreadable.keys().filter_map(|key| match key {
        Key::Machine(id) | Key::Schedule(id) => Some(id.clone()),
        _ => None,
    }));
    known
}

/// Whether a machine is one of them.
pub(crate) fn knows(view: &View, id: &MachineId) -> bool {
    view.is_present(id)
        || view.schedules.contains_key(id)
        || view.is_unreadable(|| Key::Schedule(id.clone()))
        || view.states.values().any(|by_machine| by_machine.contains_key(id))
}

/// The machines that say that they hold a unit, in its very text, without having been given it.
pub(crate) fn found(view: &View, name: &UnitName) -> BTreeSet<MachineId> {
    let (Some(unit), Some(states)) = (view.units.get(name), view.states.get(name)) else { return BTreeSet::new() };
    let same = states.iter().filter(|(_, s)| s.value.is_orphan() && s.value.content == unit.value.content);
    same.map(|(id, _)| id.clone()).collect()
}

/// A cluster that knows what the records say, and has decided nothing yet.
pub(super) fn cluster(
    view: &View,
    digests: &Digests,
    machines: Vec<MachineFacts>,
    stored: &BTreeMap<MachineId, Stored>,
    fence: i64,
) -> Cluster {
    let mut cluster = Cluster::new();
    for facts in machines {
        cluster.set_machine(facts);
    }
    let unreadable = view.unreadable.keys().filter_map(|key| match key {
        Key::Unit(name) => Some(name),
        _ => None,
    });
    for name in view.units.keys().chain(unreadable) {
        if let Some(spec) = facts::unit(view, digests, name) {
            cluster.set_unit(name, spec);
            cluster.set_found(name, found(view, name));
            cluster.set_avoided(name, facts::avoided(view, name));
        }
    }
    load(&mut cluster, view, stored, fence);
    for name in view.notes.keys() {
        cluster.set_displaced(name, displaced_by(view, name));
    }
    starts::tell_all(&mut cluster, view);
    for (id, applied) in &view.applied {
        cluster.acknowledge(id, applied.value.generation, &applied.value.stopping);
    }
    cluster
}

/// Tells a new cluster what each machine lists, as far as that is known.
///
/// A schedule that can be read is taken at its word. Of one that cannot, or that was deleted though its machine was not
/// forgotten, counts what it was before, and what the machine says that it runs, unless a schedule that can be read has
/// the unit. What an unreadable one lists beyond that is in doubt, unless it was written under this leader's eyes, who
/// would have written it.
fn load(cluster: &mut Cluster, view: &View, stored: &BTreeMap<MachineId, Stored>, fence: i64) {
    let sound = |id: &MachineId| {
        let is_stored = stored.get(id).is_some_and(|stored| stored.revision > 0);
        is_stored && !view.is_unreadable(|| Key::Schedule(id.clone()))
    };
    let listed: BTreeSet<&UnitName> =
        stored.iter().filter(|(id, _)| sound(id)).flat_map(|(_, stored)| stored.record.units.keys()).collect();
    for id in machines(view) {
        let last = stored.get(&id).map(|stored| &*stored.record);
        let given = last.into_iter().flat_map(|record| record.units.keys());
        let leaving = last.into_iter().flat_map(|record| &record.leaving).map(|(name, &generation)| (name, generation));
        let leaving = leaving.filter(|_| !planted::is(Fault::LeavingForgotten));
        if sound(&id) {
            cluster.set_schedule(&id, given, leaving);
            cluster.set_launched(&id, launched(last));
            continue;
        }
        let reported = view
            .states
            .iter()
            .filter(|(_, by_machine)| by_machine.get(&id).is_some_and(|state| !state.value.is_orphan()));
        let held: BTreeSet<&UnitName> =
            given.chain(reported.map(|(name, _)| name)).filter(|name| !listed.contains(name)).collect();
        cluster.set_schedule(&id, held.into_iter(), leaving);
        cluster.set_launched(&id, launched(last));
        let runs = view.states.iter().filter_map(|(name, states)| {
            let state = &states.get(&id)?.value;
            (state.reached == Some(Target::Launched)).then_some((name, state.uid))
        });
        cluster.set_launched(&id, runs);
        if let Some(found) = view.trouble(|| Key::Schedule(id.clone()))
            && found.mod_revision < fence
        {
            cluster.set_doubt(&id, found.mod_revision);
        }
    }
}

/// Who displaced a unit from the machine that it had, by what its note says.
pub(super) fn displaced_by(view: &View, name: &UnitName) -> Option<UnitName> {
    let note = view
        .notes
        .get(name)
        .filter(|note| view.units.get(name).is_some_and(|unit| unit.create_revision == note.value.uid))?;
    note.value.displaced_by.clone()
}

/// What a schedule says is to be launched: each with which of its name it is.
pub(super) fn launched(schedule: Option<&ScheduleRecord>) -> impl Iterator<Item = (&UnitName, i64)> {
    let units = schedule.into_iter().flat_map(|schedule| &schedule.units);
    units.filter(|(_, given)| given.target == Target::Launched).map(|(name, given)| (name, given.uid))
}

/// What the machine is to run, with what must not get lost on the way: units of which nobody can read what is wanted stay
/// as they are, and what a newer version said about an assignment is kept while it stays the same. The plan's units are
/// taken out of it.
pub(super) fn units(
    view: &View,
    plan: &mut MachinePlan,
    last: Option<&ScheduleRecord>,
) -> BTreeMap<UnitName, Assignment> {
    let mut units = std::mem::take(&mut plan.units);
    for (name, given) in &mut units {
        let same = |old: &&Assignment| (old.uid, &old.content) == (given.uid, &given.content);
        if let Some(old) = last.and_then(|last| last.units.get(name)).filter(same) {
            given.extra.clone_from(&old.extra);
        }
    }
    for name in &plan.as_is {
        let listed = last.and_then(|last| last.units.get(name)).cloned();
        let given = listed.or_else(|| reported(view, &plan.id, name));
        units.extend(given.map(|given| (name.clone(), given)));
    }
    units
}

/// What a machine says that it runs.
fn reported(view: &View, machine: &MachineId, unit: &UnitName) -> Option<Assignment> {
    let state = &view.state(machine, unit)?.value;
    let target = state.reached.unwrap_or(Target::Loaded);
    let (content, extra) = (state.content.clone(), BTreeMap::new());
    Some(Assignment { uid: state.uid, content, target, restarts: state.restarts, extra })
}
