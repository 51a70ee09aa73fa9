//! Deletes texts that nothing refers to any more.
//!
//! A text is deleted when no unit and no schedule has referred to it for an hour under the eyes of this leader. Its mod
//! revision is compared: a unit that refers to it again was written together with its text.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_registry::record::{ContentKey, ScheduleRecord};
use fleet_registry::store::{Compare, DeleteRequest, Operation, TxnRequest};
use fleet_registry::{Key, Mono, View};

/// How long nothing must have referred to a text.
const AGE: Duration = Duration::from_secs(3600);

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(600);

/// Texts a transaction.
const MAX_CONTENTS: usize = 60;

/// What nothing refers to, since when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sweeper {
    unused: BTreeMap<ContentKey, Mono>,
    next: Option<Mono>,
    call: Option<u64>,
}

impl Sweeper {
    /// When it wants to look again.
    pub(crate) fn wakeup(&self) -> Option<Mono> {
        self.next
    }

    /// Looks, if it is time, and answers the deletion to make.
    pub(crate) fn sweep<'a>(
        &mut self,
        now: Mono,
        view: &View,
        schedules: impl Iterator<Item = &'a ScheduleRecord>,
        fence: i64,
    ) -> Option<TxnRequest> {
        if self.call.is_some() || self.next.is_some_and(|next| now < next) {
            return None;
        }
        self.next = Some(now + INTERVAL);
        // What cannot be read may refer to any of them.
        if view.unreadable.keys().any(|key| matches!(key, Key::Unit(_) | Key::Schedule(_))) {
            self.unused.clear();
            return None;
        }
        let in_units = view.units.values().map(|unit| &unit.value.content);
        let in_schedules = schedules.flat_map(|schedule| schedule.units.values().map(|given| &given.content));
        let used: BTreeSet<&ContentKey> = in_units.chain(in_schedules).collect();
        let unused = view
            .contents
            .keys()
            .filter(|key| !used.contains(key) && !view.is_unreadable(|| Key::Content((*key).clone())));
        self.unused = unused.map(|key| (key.clone(), self.unused.get(key).copied().unwrap_or(now))).collect();
        let old = self.unused.iter().filter(|(_, since)| now >= **since + AGE).map(|(key, _)| key);
        let old: Vec<&ContentKey> = old.take(MAX_CONTENTS).collect();
        if old.is_empty() {
            return None;
        }
        let layout = view.layout();
        let mut txn = TxnRequest {
            compare: vec![Compare::created_at(layout.encode(&Key::Leader), fence)],
            ..TxnRequest::default()
        };
        for content in old {
            let key = layout.encode(&Key::Content(content.clone()));
            txn.compare.push(Compare::modified_at(key.clone(), view.contents[content].mod_revision));
            txn.success.push(Operation::Delete(DeleteRequest { key, ..DeleteRequest::default() }));
        }
        Some(txn)
    }

    /// The deletion goes out under this name.
    pub(crate) fn sent(&mut self, call: u64) {
        self.call = Some(call);
    }

    /// Takes in that a call was answered. False if it was not the deletion. Whatever came of it, the next look tells.
    pub(crate) fn answered(&mut self, call: u64) -> bool {
        self.call.take_if(|own| *own == call).is_some()
    }
}
