//! Who waits for changes of which keys.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::errors;
use super::mvcc::Mvcc;
use super::range::KeyRange;
use super::version::Version;
use crate::store::{Event, EventFilter, EventKind, StoreError, WatchRequest};

/// Names a watcher of one [`super::Memory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatcherId(u64);

/// An item closes after this many bytes of keys and values; one revision is never split.
const ITEM_BYTES: usize = 1024 * 1024;

#[derive(Debug, Clone)]
struct Watcher {
    range: KeyRange,
    prev_kv: bool,
    filters: Vec<EventFilter>,
    /// The first revision that it has not been given; `None` when it has had everything.
    unread: Option<i64>,
    /// It wants nothing before this revision.
    from: i64,
    failed: Option<StoreError>,
}

/// All watchers.
#[derive(Debug, Clone, Default)]
pub(super) struct Watchers {
    watchers: BTreeMap<WatcherId, Watcher>,
    by_key: BTreeMap<Bytes, BTreeSet<WatcherId>>,
    ranges: BTreeSet<WatcherId>,
    /// Those who have something to read since it was last asked.
    woken: BTreeSet<WatcherId>,
    next: u64,
}

impl Watchers {
    pub(super) fn add(&mut self, mvcc: &Mvcc, request: WatchRequest) -> WatcherId {
        let id = WatcherId(self.next);
        self.next += 1;
        // etcd takes an absent key for the smallest one.
        let key = if request.key.is_empty() { Bytes::from_static(&[0]) } else { request.key };
        let range = KeyRange::new(&key, &request.range_end);
        let from = if request.start_revision > 0 { request.start_revision } else { mvcc.revision() + 1 };
        let failed = (from < mvcc.compacted()).then(|| errors::compacted(mvcc.compacted()));
        let unread = (from <= mvcc.revision()).then_some(from);
        if failed.is_some() || unread.is_some() {
            self.woken.insert(id);
        }
        match range.single() {
            Some(key) => self.by_key.entry(key.clone()).or_default().insert(id),
            None => self.ranges.insert(id),
        };
        let watcher = Watcher { range, prev_kv: request.prev_kv, filters: request.filters, unread, from, failed };
        self.watchers.insert(id, watcher);
        id
    }

    pub(super) fn remove(&mut self, id: WatcherId) {
        let Some(watcher) = self.watchers.remove(&id) else { return };
        self.woken.remove(&id);
        self.ranges.remove(&id);
        if let Some(key) = watcher.range.single()
            && let Some(ids) = self.by_key.get_mut(key)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_key.remove(key);
            }
        }
    }

    /// Tells those who wait for one of these changes.
    pub(super) fn notify(&mut self, changes: &[Version]) {
        for change in changes {
            let exact = self.by_key.get(change.key()).into_iter().flatten();
            for id in exact.chain(&self.ranges) {
                let Some(watcher) = self.watchers.get_mut(id) else { continue };
                if watcher.unread.is_none() && watcher.wants(change) {
                    watcher.unread = Some(change.revision());
                    self.woken.insert(*id);
                }
            }
        }
    }

    pub(super) fn take_woken(&mut self) -> BTreeSet<WatcherId> {
        std::mem::take(&mut self.woken)
    }

    /// Whether a watcher has been given everything.
    pub(super) fn is_level(&self, id: WatcherId) -> bool {
        self.watchers.get(&id).is_none_or(|watcher| watcher.unread.is_none() && watcher.failed.is_none())
    }

    /// The oldest revision that a watcher still has to be given.
    pub(super) fn oldest_unread(&self) -> Option<i64> {
        self.watchers.values().filter_map(|w| w.unread).min()
    }

    /// Fails those who lag behind a revision, because the log was cut there.
    pub(super) fn fail_below(&mut self, revision: i64, compacted: i64) {
        for (id, watcher) in &mut self.watchers {
            if watcher.unread.is_some_and(|unread| unread < revision) {
                watcher.failed = Some(errors::compacted(compacted));
                self.woken.insert(*id);
            }
        }
    }

    /// What a watcher has not been given yet, with the last revision that it covers; `None` when there is nothing.
    /// A failed watcher is gone.
    pub(super) fn poll(&mut self, mvcc: &Mvcc, id: WatcherId) -> Option<Result<(i64, Vec<Event>), StoreError>> {
        let watcher = self.watchers.get_mut(&id)?;
        if let Some(error) = watcher.failed.take() {
            self.remove(id);
            return Some(Err(error));
        }
        let mut events = Vec::new();
        let mut size = 0;
        let mut covered = mvcc.revision();
        let mut rest = None;
        for (revision, changes) in mvcc.log_from(watcher.unread?) {
            if size > ITEM_BYTES {
                covered = revision - 1;
                rest = Some(revision);
                break;
            }
            for change in changes.iter().filter(|change| watcher.wants(change)) {
                size += change.key().len() + change.value().len();
                events.push(watcher.event(mvcc, change));
            }
        }
        watcher.unread = rest;
        if rest.is_some() {
            self.woken.insert(id);
        }
        (!events.is_empty()).then_some(Ok((covered, events)))
    }
}

impl Watcher {
    fn wants(&self, change: &Version) -> bool {
        let filtered = self.filters.contains(&match change.kind() {
            EventKind::Put => EventFilter::NoPut,
            EventKind::Delete => EventFilter::NoDelete,
        });
        !filtered && change.revision() >= self.from && self.range.contains(change.key())
    }

    fn event(&self, mvcc: &Mvcc, change: &Version) -> Event {
        let before = change.revision() - 1;
        // A key deleted and made anew in one revision has nothing before it, as etcd sees it.
        let created = change.kind() == EventKind::Put && change.numbers().version == 1;
        let prev_kv = (self.prev_kv && !created && before >= mvcc.compacted())
            .then(|| mvcc.get_at(change.key(), before))
            .flatten()
            .map(Version::key_value);
        Event { kind: change.kind(), kv: change.key_value(), prev_kv }
    }
}
