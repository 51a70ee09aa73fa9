//! Keys with all their versions since the last compaction, and the log of revisions.

use std::collections::BTreeMap;

use super::errors;
use super::history::History;
use super::log::Log;
use super::range::KeyRange;
use super::version::{Numbers, Version};
use crate::store::{EventKind, StoreError};

/// The keys. Writes go to the revision after the current one until [`Mvcc::commit`].
#[derive(Debug, Clone)]
pub(super) struct Mvcc {
    keys: BTreeMap<Box<[u8]>, History>,
    log: Log,
    revision: i64,
    compacted: i64,
    /// What the transaction under way has written.
    written: Vec<Version>,
}

/// The first revision, which changed nothing.
const FIRST: i64 = 1;

impl Default for Mvcc {
    fn default() -> Self {
        // -1 is etcd's "never compacted".
        let log = Log::new(FIRST + 1);
        Self { keys: BTreeMap::new(), log, revision: FIRST, compacted: -1, written: Vec::new() }
    }
}

impl Mvcc {
    /// Rebuilds the keys from saved versions, which come in order.
    pub(super) fn restore(revision: i64, compacted: i64, versions: impl Iterator<Item = Version>) -> Self {
        let log = Log::new(compacted.max(FIRST));
        let mut mvcc = Self { revision, compacted, log, ..Self::default() };
        for version in versions {
            // Older ones are what compaction left of a key; their revisions are not complete.
            if version.revision() >= compacted {
                if mvcc.written.first().is_some_and(|first| first.revision() != version.revision()) {
                    mvcc.enter();
                }
                mvcc.written.push(version.clone());
            }
            mvcc.add(version);
        }
        mvcc.enter();
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

    /// The versions of each key.
    pub(super) fn histories(&self) -> impl Iterator<Item = &History> {
        self.keys.values()
    }

    /// Every version of every key.
    pub(super) fn versions(&self) -> impl Iterator<Item = &Version> {
        self.keys.values().flat_map(History::iter)
    }

    /// A key as it is now, own writes included.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Version> {
        self.keys.get(key)?.last().live()
    }

    /// A key as it was at a revision.
    pub(super) fn get_at(&self, key: &[u8], revision: i64) -> Option<&Version> {
        self.keys.get(key)?.at(revision)?.live()
    }

    /// The keys of a range by name: now, or at a revision above 0.
    pub(super) fn scan<'a>(&'a self, range: &'a KeyRange, revision: i64) -> impl Iterator<Item = &'a Version> {
        range.bounds().into_iter().flat_map(|bounds| self.keys.range::<[u8], _>(bounds)).filter_map(
            move |(_, history)| {
                if revision > 0 { history.at(revision)?.live() } else { history.last().live() }
            },
        )
    }

    /// Writes a key, as a new version of it. Returns what was there.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8], lease: i64) -> Option<Version> {
        let previous = self.get(key).cloned();
        let mod_revision = self.revision + 1;
        let (create_revision, version) = match previous.as_ref().map(Version::numbers) {
            Some(numbers) => (numbers.create_revision, numbers.version + 1),
            None => (mod_revision, 1),
        };
        let (kind, sub) = (EventKind::Put, self.next_sub());
        self.write(Version::new(Numbers { kind, sub, create_revision, mod_revision, version, lease }, key, value));
        previous
    }

    /// Deletes a key. Returns what was there.
    pub(super) fn delete(&mut self, key: &[u8]) -> Option<Version> {
        let previous = self.get(key).cloned()?;
        self.write(Version::deletion(self.revision + 1, self.next_sub(), key));
        Some(previous)
    }

    fn next_sub(&self) -> u32 {
        self.written.len() as u32
    }

    fn write(&mut self, version: Version) {
        self.written.push(version.clone());
        self.add(version);
    }

    fn add(&mut self, version: Version) {
        match self.keys.get_mut(version.key()) {
            Some(history) => history.push(version),
            None => {
                self.keys.insert(version.key().into(), History::new(version));
            }
        }
    }

    /// Enters what was written in the log.
    fn enter(&mut self) {
        if let Some(first) = self.written.first() {
            self.log.enter(first.revision(), std::mem::take(&mut self.written));
        }
    }

    /// Ends a transaction: what was written becomes the next revision. Returns it, or `None` if nothing was.
    pub(super) fn commit(&mut self) -> Option<&[Version]> {
        if self.written.is_empty() {
            return None;
        }
        self.enter();
        self.revision += 1;
        Some(self.log.last())
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
        let changed = self.log.from(self.compacted).take_while(|(at, _)| *at <= revision);
        let mut touched: Vec<Version> = changed.flat_map(|(_, versions)| versions.iter().cloned()).collect();
        touched.sort_unstable_by(|a, b| a.key().cmp(b.key()));
        touched.dedup_by(|a, b| a.key() == b.key());
        for key in touched.iter().map(Version::key) {
            let Some(last) = self.keys.get(key).and_then(|history| history.at(revision)) else { continue };
            let last = last.clone();
            let Some((key, history)) = self.keys.remove_entry(key) else { continue };
            let kept = history.keeping(|version| {
                let is_last = version.place() == last.place();
                let superseded = version.place() < last.place() || (is_last && version.kind() == EventKind::Delete);
                // The compacted revision itself stays complete: a watch may start from it.
                let keep = !(superseded && version.revision() < revision);
                if !keep {
                    dropped.push(version.place());
                }
                keep
            });
            if let Some(kept) = kept {
                self.keys.insert(key, kept);
            }
        }
        self.compacted = revision;
        Ok(dropped)
    }

    /// Cuts the log below a revision; the keys are not touched.
    pub(super) fn trim_log(&mut self, revision: i64) {
        self.log.trim(revision.min(self.compacted));
    }

    /// What each revision from `from` on changed.
    pub(super) fn log_from(&self, from: i64) -> impl Iterator<Item = (i64, &[Version])> {
        self.log.from(from)
    }
}
