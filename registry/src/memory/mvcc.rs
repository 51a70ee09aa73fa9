//! Keys with all their versions since the last compaction, and the log of revisions.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::errors;
use super::range::KeyRange;
use crate::store::{EventKind, KeyValue, StoreError};

/// One change of one key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Version {
    /// Put, or a deletion's tombstone: then key and mod revision are all that `kv` holds.
    pub(super) kind: EventKind,
    /// Its place within its revision.
    pub(super) sub: u32,
    pub(super) kv: Arc<KeyValue>,
}

impl Version {
    pub(super) fn revision(&self) -> i64 {
        self.kv.mod_revision
    }

    fn live(&self) -> Option<&Arc<KeyValue>> {
        (self.kind == EventKind::Put).then_some(&self.kv)
    }
}

/// The keys. Writes go to the revision after the current one until [`Mvcc::commit`].
#[derive(Debug, Clone)]
pub(super) struct Mvcc {
    /// Versions of each key, oldest first; never empty.
    keys: BTreeMap<Bytes, Vec<Version>>,
    /// What each revision changed. Starts at the compacted revision, or earlier while a watcher lags behind it.
    log: BTreeMap<i64, Vec<Version>>,
    revision: i64,
    compacted: i64,
    next_sub: u32,
}

impl Default for Mvcc {
    fn default() -> Self {
        // etcd's first revision is 1, and -1 is its "never compacted".
        Self { keys: BTreeMap::new(), log: BTreeMap::new(), revision: 1, compacted: -1, next_sub: 0 }
    }
}

impl Mvcc {
    /// Rebuilds the keys from saved versions, which come in order.
    pub(super) fn restore(revision: i64, compacted: i64, versions: impl Iterator<Item = Version>) -> Self {
        let mut mvcc = Self { revision, compacted, ..Self::default() };
        for version in versions {
            // Older ones are what compaction left of a key; their revisions are not complete.
            if version.revision() >= compacted {
                mvcc.log.entry(version.revision()).or_default().push(version.clone());
            }
            mvcc.keys.entry(version.kv.key.clone()).or_insert_with(|| Vec::with_capacity(1)).push(version);
        }
        mvcc
    }

    pub(super) fn revision(&self) -> i64 {
        self.revision
    }

    pub(super) fn compacted(&self) -> i64 {
        self.compacted
    }

    /// Whether a read at this revision can be answered.
    pub(super) fn check_revision(&self, revision: i64) -> Result<(), StoreError> {
        if revision > self.revision {
            Err(errors::future_revision())
        } else if revision > 0 && revision < self.compacted {
            Err(errors::compacted(self.compacted))
        } else {
            Ok(())
        }
    }

    /// The versions of each key, oldest first.
    pub(super) fn histories(&self) -> impl Iterator<Item = &[Version]> {
        self.keys.values().map(Vec::as_slice)
    }

    /// Every version of every key.
    pub(super) fn versions(&self) -> impl Iterator<Item = &Version> {
        self.keys.values().flatten()
    }

    /// A key as it is now, own writes included.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Arc<KeyValue>> {
        self.keys.get(key)?.last()?.live()
    }

    /// A key as it was at a revision.
    pub(super) fn get_at(&self, key: &[u8], revision: i64) -> Option<&Arc<KeyValue>> {
        at(self.keys.get(key)?, revision)
    }

    /// The keys of a range by name: now, or at a revision above 0.
    pub(super) fn scan<'a>(&'a self, range: &'a KeyRange, revision: i64) -> impl Iterator<Item = &'a Arc<KeyValue>> {
        range.bounds().into_iter().flat_map(|bounds| self.keys.range::<[u8], _>(bounds)).filter_map(
            move |(_, versions)| {
                if revision > 0 { at(versions, revision) } else { versions.last()?.live() }
            },
        )
    }

    /// Writes a key, as a new version of it. Returns what was there.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8], lease: i64) -> Option<Arc<KeyValue>> {
        let previous = self.get(key).cloned();
        let revision = self.revision + 1;
        let kv = KeyValue {
            // Copies, since a slice of a request keeps all of it in memory.
            key: previous.as_ref().map_or_else(|| Bytes::copy_from_slice(key), |kv| kv.key.clone()),
            value: Bytes::copy_from_slice(value),
            create_revision: previous.as_ref().map_or(revision, |kv| kv.create_revision),
            mod_revision: revision,
            version: previous.as_ref().map_or(1, |kv| kv.version + 1),
            lease,
        };
        self.write(EventKind::Put, kv);
        previous
    }

    /// Deletes a key. Returns what was there.
    pub(super) fn delete(&mut self, key: &[u8]) -> Option<Arc<KeyValue>> {
        let previous = self.get(key).cloned()?;
        let kv = KeyValue { key: previous.key.clone(), mod_revision: self.revision + 1, ..KeyValue::default() };
        self.write(EventKind::Delete, kv);
        Some(previous)
    }

    fn write(&mut self, kind: EventKind, kv: KeyValue) {
        let version = Version { kind, sub: self.next_sub, kv: Arc::new(kv) };
        self.next_sub += 1;
        // Most keys have one version: room for four would be most of what a small one takes.
        self.keys.entry(version.kv.key.clone()).or_insert_with(|| Vec::with_capacity(1)).push(version.clone());
        self.log.entry(version.revision()).or_default().push(version);
    }

    /// Ends a transaction: what was written becomes the next revision. Returns it, or `None` if nothing was.
    pub(super) fn commit(&mut self) -> Option<&[Version]> {
        if self.next_sub == 0 {
            return None;
        }
        self.next_sub = 0;
        self.revision += 1;
        self.log.get(&self.revision).map(Vec::as_slice)
    }

    /// Forgets what no read at `revision` or later needs. Returns place and sub-revision of every version dropped.
    pub(super) fn compact(&mut self, revision: i64) -> Result<Vec<(i64, u32)>, StoreError> {
        if revision <= self.compacted {
            return Err(errors::compacted(self.compacted));
        }
        if revision > self.revision {
            return Err(errors::future_revision());
        }
        let mut dropped = Vec::new();
        // Only keys that changed since the last compaction have anything to forget.
        let touched: Vec<Bytes> = self
            .log
            .range(self.compacted..=revision)
            .flat_map(|(_, versions)| versions.iter().map(|v| v.kv.key.clone()))
            .collect();
        for key in touched {
            let Some(versions) = self.keys.get_mut(&key) else { continue };
            let Some(last) = versions.iter().rposition(|v| v.revision() <= revision) else { continue };
            let mut index = 0;
            versions.retain(|version| {
                let superseded = index < last || (index == last && version.kind == EventKind::Delete);
                index += 1;
                // The compacted revision itself stays complete: a watch may start from it.
                let keep = !(superseded && version.revision() < revision);
                if !keep {
                    dropped.push((version.revision(), version.sub));
                }
                keep
            });
            if versions.is_empty() {
                self.keys.remove(&key);
            }
        }
        self.compacted = revision;
        Ok(dropped)
    }

    /// Cuts the log below a revision; the keys are not touched.
    pub(super) fn trim_log(&mut self, revision: i64) {
        self.log = self.log.split_off(&revision.min(self.compacted));
    }

    /// What each revision from `from` on changed.
    pub(super) fn log_from(&self, from: i64) -> impl Iterator<Item = (i64, &[Version])> {
        self.log.range(from..).map(|(revision, versions)| (*revision, versions.as_slice()))
    }
}

fn at(versions: &[Version], revision: i64) -> Option<&Arc<KeyValue>> {
    let after = versions.partition_point(|version| version.revision() <= revision);
    versions[..after].last()?.live()
}
