//! Which units a lost machine may still be running: those that ask for `OnDisconnect=stop`, until the bound on their stop
//! has passed ([`crate::stop_bound`]). It follows from texts: of the one that the machine was given, and of the one that
//! it said it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_registry::planted::{self, Fault};
use fleet_registry::{Mono, View};
use fleet_units::{MachineId, UnitName};

use super::facts::{self, Digests};
use super::{Ground, Leader};
use crate::placement::MachineFacts;
use crate::stop_bound::Lost;

/// Units that a lost machine may still be running at `now`, each with the whole time to wait; and when that changes next.
fn fencing(
    view: &View,
    digests: &Digests,
    id: &MachineId,
    lost: Lost,
    now: Mono,
) -> (BTreeMap<UnitName, Duration>, Option<Mono>) {
    let mut fencing = BTreeMap::new();
    let mut next: Option<Mono> = None;
    let Some(schedule) = view.schedules.get(id).map(|schedule| &*schedule.value) else { return (fencing, next) };
    let names: BTreeSet<&UnitName> = schedule.units.keys().chain(schedule.leaving.keys()).collect();
    for name in names {
        let given = schedule.units.get(name).map(|assignment| &assignment.content);
        let wanted = view.units.get(name).map(|unit| &unit.value.content);
        let state = view.states.get(name).and_then(|states| states.get(id)).map(|state| &state.value);
        let texts = given.into_iter().chain(wanted).chain(state.map(|state| &state.content));
        let Some(bound) = texts.filter_map(|content| digests.stop_bound(content)).max() else { continue };
        // What systemd itself made of it, should the machine have its own idea of the unit.
        let said = state.and_then(|state| state.stop_bound_ms).map(Duration::from_millis).unwrap_or_default();
        let wait = lost.wait(bound.max(said));
        let until = lost.since + wait;
        if until > now && !planted::is(Fault::StopBoundIgnored) {
            fencing.insert(name.clone(), wait);
            next = Some(next.map_or(until, |next| next.min(until)));
        }
    }
    (fencing, next)
}

impl Leader {
    /// What is to be decided upon about a machine.
    pub(super) fn machine_facts(&mut self, ground: Ground<'_>, id: &MachineId) -> MachineFacts {
        self.fences.remove(id);
        let fencing = ground.absence.lost(id).map(|lost| {
            let (units, next) = fencing(ground.view, ground.digests, id, lost, ground.now.mono);
            self.fences.extend(next.map(|next| (id.clone(), next)));
            units
        });
        facts::machine(ground.view, id, fencing)
    }

    /// Lost machines must have stopped what they may have been stopping until now.
    pub(super) fn pass_fences(&mut self, ground: Ground<'_>) {
        let due = self.fences.iter().filter(|(_, at)| **at <= ground.now.mono).map(|(id, _)| id.clone());
        for id in due.collect::<Vec<_>>() {
            self.fences.remove(&id);
            self.machine_changed(ground, &id);
        }
    }
}
