//! Since when machines are absent, and what an absent one may still be stopping by itself (`OnDisconnect=stop`).
//!
//! The leader waits by a lost machine's records; with them it would forget what it waits for. So whoever is asked to
//! delete them waits as long, counted from its own look at the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_engine::{fence_wait, stop_bound};
use fleet_registry::Key;
use fleet_registry::record::ContentKey;
use fleet_registry::view::{Change, View};
use fleet_units::{MachineId, UnitFile, UnitName};
use tokio::time::Instant;

use super::Picture;

/// No lease lives longer; which one a machine had is not in its records.
const LONGEST_LEASE: Duration = Duration::from_secs(3600);

/// Since when machines are seen to be absent.
#[derive(Debug, Default)]
pub(super) struct Absent {
    since: BTreeMap<MachineId, Instant>,
    /// Since when nothing can have happened unseen.
    followed: Option<Instant>,
}

impl Absent {
    /// The cluster is followed from now on.
    pub(super) fn followed(&mut self, now: Instant) {
        self.followed = Some(now);
    }

    /// Something changed.
    pub(super) fn changed(&mut self, now: Instant, view: &View, change: &Change) {
        let (Change::Machine { id, .. } | Change::Unreadable { key: Key::Machine(id) }) = change else { return };
        if view.is_present(id) {
            self.since.remove(id);
        } else {
            // Those that were forgotten meanwhile make room.
            self.since.retain(|id, _| view.schedules.contains_key(id) || view.applied.contains_key(id));
            self.since.insert(id.clone(), now);
        }
    }

    fn since(&self, id: &MachineId) -> Option<Instant> {
        self.since.get(id).copied().max(self.followed)
    }
}

/// A unit that an absent machine may still be stopping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillStopping {
    /// Which.
    pub unit: UnitName,
    /// It must have stopped by then.
    pub until: Instant,
}

impl Picture {
    /// Of the units that an absent machine may still be stopping at `now`, the one that may take longest. One that has
    /// got another machine has stopped: so long the engine waited.
    #[must_use]
    pub fn still_stopping(&self, id: &MachineId, now: Instant) -> Option<StillStopping> {
        if self.view.is_present(id) {
            return None;
        }
        let since = self.absent.since(id).unwrap_or(now);
        let moved = |name: &UnitName| self.placed(name).any(|at| at != id);
        let held = self.perhaps_on(id).into_iter().filter(|name| !self.is_global(name) && !moved(name));
        let stopping = held.filter_map(|name| {
            let until = since + fence_wait(self.longest_stop(id, name)?, LONGEST_LEASE);
            Some(StillStopping { unit: name.clone(), until })
        });
        stopping.filter(|still| still.until > now).max_by_key(|still| still.until)
    }

    /// Units that may run on a machine by what is known of it.
    fn perhaps_on(&self, id: &MachineId) -> BTreeSet<&UnitName> {
        let listed = self.view.schedules.get(id).into_iter().flat_map(|schedule| schedule.value.units.keys());
        let leaving = self.view.schedules.get(id).into_iter().flat_map(|schedule| schedule.value.leaving.keys());
        let leaving = leaving.filter(|name| self.leaving(name).any(|at| at == id));
        let reported = self.view.states.iter().filter(|(_, states)| states.contains_key(id)).map(|(name, _)| name);
        // A schedule that cannot be read may list anything that no other one does.
        let unknown = self.view.is_unreadable(|| Key::Schedule(id.clone()));
        let any = unknown.then_some(self.view.units.keys()).into_iter().flatten();
        listed.chain(leaving).chain(reported).chain(any).collect()
    }

    /// How long a machine takes at most to stop a unit that asks for it, whichever of the unit's texts it has.
    fn longest_stop(&self, id: &MachineId, name: &UnitName) -> Option<Duration> {
        let given = self.view.schedules.get(id).and_then(|schedule| schedule.value.units.get(name));
        let wanted = self.view.units.get(name).map(|unit| &unit.value.content);
        let state = self.view.state(id, name).map(|state| &state.value);
        let texts =
            given.map(|given| &given.content).into_iter().chain(wanted).chain(state.map(|state| &state.content));
        let bound = texts.filter_map(|content| self.stop_bound(content)).max()?;
        // What systemd itself made of it, should the machine have its own idea of the unit.
        let said = state.and_then(|state| state.stop_bound_ms).map(Duration::from_millis);
        Some(bound.max(said.unwrap_or_default()))
    }

    fn stop_bound(&self, content: &ContentKey) -> Option<Duration> {
        let content = self.view.contents.get(content)?.value.as_ref()?;
        let texts = std::iter::once(&content.text).chain(content.drop_ins.values());
        let files: Result<Vec<UnitFile>, _> = texts.map(|text| UnitFile::parse(text)).collect();
        stop_bound(&files.ok()?)
    }
}

#[cfg(test)]
mod tests;
