//! Deletes what is left of machines that were lost long ago.
//!
//! A machine's schedule, acknowledgements, and last words are deleted when it has been lost for `machine_retention`
//! under the eyes of this leader, and nothing is listed there that would lose its place: a unit that fits nowhere else
//! stays with its machine until a person says `fleetctl forget`. What operators said of the machine stays, too, since
//! it is meant for when it comes back. That the machine is absent is compared, so that one which comes back at that
//! moment loses nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_registry::store::{Compare, DeleteRequest, Operation, TxnRequest, prefix_end};
use fleet_registry::{Few, Key, Mono};
use fleet_units::MachineId;

use super::{Ground, facts};

/// Between two looks, at most.
const INTERVAL: Duration = Duration::from_secs(600);

/// Machines that are gone, since when.
#[derive(Debug, Clone)]
pub(crate) struct Retention {
    /// Zero is for ever.
    keep: Duration,
    gone: BTreeMap<MachineId, Mono>,
    next: Option<Mono>,
    call: Option<(u64, MachineId)>,
    /// Whose schedule is deleted, until that is seen.
    deleted: BTreeSet<MachineId>,
}

impl Retention {
    pub(crate) fn new(keep: Duration) -> Self {
        Self { keep, gone: BTreeMap::new(), next: None, call: None, deleted: BTreeSet::new() }
    }

    /// When it wants to look again.
    pub(crate) fn wakeup(&self) -> Option<Mono> {
        self.next
    }

    /// Looks, if it is time, and answers whose records are to be deleted by what.
    pub(crate) fn look(&mut self, ground: Ground<'_>, fence: i64) -> Option<(MachineId, TxnRequest)> {
        let now = ground.now.mono;
        if self.keep.is_zero() || self.call.is_some() || self.next.is_some_and(|next| now < next) {
            return None;
        }
        self.next = Some(now + INTERVAL.min(self.keep));
        let view = ground.view;
        let stated = view.states.values().flat_map(Few::keys);
        let known: BTreeSet<&MachineId> = view.schedules.keys().chain(view.applied.keys()).chain(stated).collect();
        // What cannot be read is left alone.
        let unreadable = view.unreadable.keys().filter_map(|key| match key {
            Key::Schedule(id) | Key::Applied(id) | Key::State(id, _) => Some(id),
            _ => None,
        });
        let unreadable: BTreeSet<&MachineId> = unreadable.collect();
        let is_gone = |id: &MachineId| {
            let listed = view.schedules.contains_key(id);
            !view.is_present(id) && !unreadable.contains(id) && (!listed || ground.absence.is_lost(id))
        };
        let gone = known.into_iter().filter(|id| is_gone(id));
        self.gone = gone.map(|id| (id.clone(), self.gone.get(id).copied().unwrap_or(now))).collect();
        let old = |(id, since): &(&MachineId, &Mono)| {
            now >= **since + self.keep && !facts::holds_units(view, ground.digests, id)
        };
        let (id, _) = self.gone.iter().find(old)?;
        let layout = view.layout();
        let one = |key: Key| DeleteRequest { key: layout.encode(&key), ..DeleteRequest::default() };
        let states = layout.states_of(id);
        let revision = view.schedules.get(id).map_or(0, |schedule| schedule.mod_revision);
        if revision > 0 {
            self.deleted.insert(id.clone());
        }
        let deletes = [
            one(Key::Schedule(id.clone())),
            one(Key::Applied(id.clone())),
            DeleteRequest { range_end: prefix_end(&states), key: states, prev_kv: false },
        ];
        let txn = TxnRequest {
            compare: vec![
                Compare::created_at(layout.encode(&Key::Leader), fence),
                Compare::absent(layout.encode(&Key::Machine(id.clone()))),
                Compare::modified_at(layout.encode(&Key::Schedule(id.clone())), revision),
            ],
            success: deletes.into_iter().map(Operation::Delete).collect(),
            failure: Vec::new(),
        };
        Some((id.clone(), txn))
    }

    /// The deletion goes out under this name. There may be more: the next look comes with its answer.
    pub(crate) fn sent(&mut self, call: u64, id: MachineId) {
        self.call = Some((call, id));
        self.next = None;
    }

    /// Whether it was this that deleted a machine's schedule, which is seen to be gone.
    pub(crate) fn has_deleted(&mut self, id: &MachineId) -> bool {
        self.deleted.remove(id)
    }

    /// Takes in that a call was answered, with whether it took effect. None if it was not the deletion, else whose
    /// records are gone. What came of one that failed the next look tells.
    pub(crate) fn answered(&mut self, call: u64, now: Mono, succeeded: bool) -> Option<Option<MachineId>> {
        let (_, id) = self.call.take_if(|(own, _)| *own == call)?;
        if !succeeded {
            self.deleted.remove(&id);
            self.next = Some(now + INTERVAL.min(self.keep));
        }
        Some(succeeded.then_some(id))
    }
}
