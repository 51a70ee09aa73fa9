//! The store's state and its one entry, [`Memory::apply`].

use std::collections::BTreeSet;

use bytes::Bytes;

use super::journal::{Change, Saved};
use super::leases::{self, Leases};
use super::mvcc::Mvcc;
use super::version::Version;
use super::watchers::{WatcherId, Watchers};
use super::{check, read};
use crate::step::Mono;
use crate::store::{Header, Request, Response, ResponseBody, StoreError, WatchItem, WatchRequest};

/// Watchers that lag behind a compaction are waited for over this many revisions, then they fail.
const LAG_REVISIONS: i64 = 10_000;

/// An etcd v3 store in memory.
///
/// ```
/// use std::time::Duration;
/// use fleet_registry::memory::Memory;
/// use fleet_registry::store::{Operation, PutRequest, Request, TxnRequest};
///
/// let mut memory = Memory::new(1);
/// let put = Operation::Put(PutRequest::new("key", "value"));
/// let request = Request::Txn(TxnRequest { success: vec![put], ..TxnRequest::default() });
/// let response = memory.apply(Duration::ZERO, request).unwrap();
/// assert_eq!(response.header.revision, 2);
/// ```
#[derive(Debug, Clone)]
pub struct Memory {
    pub(super) mvcc: Mvcc,
    pub(super) leases: Leases,
    watchers: Watchers,
    cluster_id: u64,
    member_id: u64,
    /// What a durable store has not written down yet; `None` when nobody does.
    journal: Option<Vec<Change>>,
}

impl Memory {
    /// An empty store. Its ids and those of its leases follow from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        let cluster_id = leases::next_random(&mut state);
        let member_id = leases::next_random(&mut state);
        Self {
            mvcc: Mvcc::default(),
            leases: Leases::new(state),
            watchers: Watchers::default(),
            cluster_id,
            member_id,
            journal: None,
        }
    }

    /// A store as it was saved. Every lease starts anew with its whole time to live, as etcd's do; new ones get ids
    /// that follow from the seed.
    #[must_use]
    pub fn restore(now: Mono, saved: Saved, seed: u64) -> Self {
        let mut memory = Self {
            mvcc: Mvcc::restore(saved.revision, saved.compacted, saved.versions.into_iter()),
            leases: Leases::new(seed),
            watchers: Watchers::default(),
            cluster_id: saved.cluster_id,
            member_id: saved.member_id,
            journal: None,
        };
        for (id, ttl) in saved.leases {
            memory.leases.insert(now, id, ttl);
        }
        let everything = super::range::KeyRange::new(&Bytes::from_static(&[0]), &Bytes::from_static(&[0]));
        for version in memory.mvcc.scan(&everything, 0) {
            memory.leases.move_key(version.key(), 0, version.lease());
        }
        memory
    }

    /// This store as etcd comes up from a snapshot of it: every lease starts anew, nobody watches, and its ids are those of
    /// another store if such a seed is given.
    #[must_use]
    pub fn from_snapshot(mut self, now: Mono, another: Option<u64>) -> Self {
        for id in self.leases.ids().collect::<Vec<_>>() {
            self.leases.keep_alive(now, id);
        }
        if let Some(mut state) = another {
            self.cluster_id = leases::next_random(&mut state);
            self.member_id = leases::next_random(&mut state);
        }
        Self { watchers: Watchers::default(), ..self }
    }

    /// Keeps a journal of all changes from now on, for [`Memory::take_journal`].
    pub fn keep_journal(&mut self) {
        self.journal.get_or_insert_default();
    }

    /// What has changed since this was last called.
    pub fn take_journal(&mut self) -> Vec<Change> {
        self.journal.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Goes back to an earlier state of the same store; watches stay, and have not been given anything later.
    pub fn go_back_to(&mut self, earlier: Self) {
        self.mvcc = earlier.mvcc;
        self.leases = earlier.leases;
        if let Some(journal) = &mut self.journal {
            journal.clear();
        }
    }

    /// The header that an answer would carry now.
    #[must_use]
    pub fn header(&self) -> Header {
        Header { cluster_id: self.cluster_id, member_id: self.member_id, revision: self.mvcc.revision(), raft_term: 1 }
    }

    /// The oldest revision that can be read; -1 before the first compaction.
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        self.mvcc.compacted()
    }

    /// Takes one request. Leases whose time has come are gone before it is looked at.
    ///
    /// # Errors
    ///
    /// etcd's, in etcd's words; nothing has changed then.
    pub fn apply(&mut self, now: Mono, request: Request) -> Result<Response, StoreError> {
        self.expire(now);
        let body = match request {
            Request::Range(request) => {
                check::range(&request)?;
                ResponseBody::Range(read::range(&self.mvcc, &request)?)
            }
            Request::Txn(request) => {
                check::txn(&request)?;
                ResponseBody::Txn(self.txn(&request)?)
            }
            Request::LeaseGrant { ttl, id } => {
                let (id, ttl) = self.leases.grant(now, id, ttl)?;
                self.note(Change::Granted { id, ttl });
                ResponseBody::LeaseGrant { id, ttl }
            }
            Request::LeaseRevoke { id } => {
                self.end_lease(id)?;
                ResponseBody::LeaseRevoke
            }
            Request::LeaseKeepAlive { id } => {
                let ttl = self.leases.keep_alive(now, id).unwrap_or(0);
                ResponseBody::LeaseKeepAlive { id, ttl }
            }
            Request::LeaseTimeToLive { id, keys } => ResponseBody::LeaseTimeToLive(self.leases.status(now, id, keys)),
            Request::Leases => ResponseBody::Leases(self.leases.by_deadline().collect()),
            Request::Compact { revision, physical: _ } => {
                self.compact(revision)?;
                ResponseBody::Compact
            }
        };
        Ok(Response { header: self.header(), body })
    }

    /// Ends every lease whose time has come; the keys of each go as one revision.
    pub fn expire(&mut self, now: Mono) {
        while let Some((deadline, id)) = self.leases.first() {
            if deadline > now || self.end_lease(id).is_err() {
                return;
            }
        }
    }

    /// When the next lease runs out, if nobody renews it.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.leases.first().map(|(deadline, _)| deadline)
    }

    /// Opens a watch; its first item comes at once, the others by [`Memory::poll_watch`].
    pub fn watch(&mut self, request: WatchRequest) -> (WatcherId, WatchItem) {
        let id = self.watchers.add(&self.mvcc, request);
        (id, WatchItem::Created { header: self.header() })
    }

    /// The next item of a watch, or `None` when there is nothing (more) for now. After an error the watch is gone.
    pub fn poll_watch(&mut self, id: WatcherId) -> Option<Result<WatchItem, StoreError>> {
        let item = self.watchers.poll(&self.mvcc, id)?;
        Some(item.map(|(revision, events)| WatchItem::Events { header: Header { revision, ..self.header() }, events }))
    }

    /// Whether a watch has been given everything that there is.
    #[must_use]
    pub fn is_level(&self, id: WatcherId) -> bool {
        self.watchers.is_level(id)
    }

    /// Closes a watch.
    pub fn cancel_watch(&mut self, id: WatcherId) {
        self.watchers.remove(id);
    }

    /// The watches that have had something to read since this was last called.
    pub fn take_woken(&mut self) -> BTreeSet<WatcherId> {
        self.watchers.take_woken()
    }

    /// Deletes a key and takes it off its lease. Returns what was there.
    pub(super) fn delete_key(&mut self, key: &[u8]) -> Option<Version> {
        let previous = self.mvcc.delete(key)?;
        self.leases.move_key(key, previous.lease(), 0);
        Some(previous)
    }

    /// Ends the transaction under way: makes it the next revision and tells journal and watchers.
    pub(super) fn commit(&mut self) {
        let Some(changes) = self.mvcc.commit() else { return };
        if let Some(journal) = &mut self.journal {
            journal.extend(changes.iter().cloned().map(Change::Version));
        }
        self.watchers.notify(changes);
    }

    fn end_lease(&mut self, id: i64) -> Result<(), StoreError> {
        for key in self.leases.remove(id)? {
            self.mvcc.delete(&key);
        }
        self.commit();
        self.note(Change::Ended { id });
        Ok(())
    }

    fn compact(&mut self, revision: i64) -> Result<(), StoreError> {
        let dropped = self.mvcc.compact(revision)?;
        self.note(Change::Compacted { revision, dropped });
        let waited_for = self.watchers.oldest_unread().unwrap_or(revision);
        let cut = waited_for.max(revision.saturating_sub(LAG_REVISIONS)).min(revision);
        self.mvcc.trim_log(cut);
        self.watchers.fail_below(cut, revision);
        Ok(())
    }

    fn note(&mut self, change: Change) {
        if let Some(journal) = &mut self.journal {
            journal.push(change);
        }
    }
}
