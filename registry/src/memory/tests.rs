//! What the conformance suite cannot see from outside: time, journal, and watchers that lag.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::{Change, Memory, Saved, Version, WatcherId};
use crate::store::{
    DeleteRequest, ErrorKind, Event, LeaseStatus, Operation, PutRequest, RangeRequest, RangeResponse, Request,
    ResponseBody, StoreError, TxnRequest, WatchItem, WatchRequest,
};

const NOW: Duration = Duration::from_secs(1000);

fn all_of(operations: Vec<Operation>) -> Request {
    Request::Txn(TxnRequest { success: operations, ..TxnRequest::default() })
}

fn put(memory: &mut Memory, key: &str, value: &str) -> i64 {
    let put = Operation::Put(PutRequest::new(key.to_owned(), value.to_owned()));
    memory.apply(NOW, all_of(vec![put])).expect("a put").header.revision
}

fn put_leased(memory: &mut Memory, now: Duration, key: &str, lease: i64) {
    let put = PutRequest { lease, ..PutRequest::new(key.to_owned(), "") };
    memory.apply(now, all_of(vec![Operation::Put(put)])).expect("a put");
}

fn compact(memory: &mut Memory, revision: i64) {
    memory.apply(NOW, Request::Compact { revision, physical: true }).expect("a compaction");
}

fn everything() -> (Bytes, Bytes) {
    (Bytes::from_static(&[0]), Bytes::from_static(&[0]))
}

fn count(memory: &mut Memory, now: Duration) -> i64 {
    let (key, range_end) = everything();
    let request = RangeRequest { key, range_end, ..RangeRequest::default() };
    match memory.apply(now, Request::Range(request)).expect("a range").body {
        ResponseBody::Range(range) => range.count,
        other => panic!("not a range: {other:?}"),
    }
}

fn watch(memory: &mut Memory, key: &str, from: i64) -> WatcherId {
    memory.watch(WatchRequest::prefix(key.to_owned(), from)).0
}

/// All events that a watch has to give, or its error.
fn drain(memory: &mut Memory, id: WatcherId) -> Result<Vec<Event>, StoreError> {
    let mut all = Vec::new();
    while let Some(item) = memory.poll_watch(id) {
        if let WatchItem::Events { events, .. } = item? {
            all.extend(events);
        }
    }
    Ok(all)
}

#[test]
fn leases_run_out_to_the_moment() {
    let mut memory = Memory::new(1);
    for (id, ttl) in [(1, 10), (2, 5)] {
        memory.apply(NOW, Request::LeaseGrant { ttl, id }).expect("a lease");
        put_leased(&mut memory, NOW, &format!("key/{id}"), id);
    }
    let after = |seconds: f64| NOW + Duration::from_secs_f64(seconds);
    assert_eq!(memory.next_deadline(), Some(after(5.0)));
    assert_eq!(count(&mut memory, after(4.999)), 2);
    memory.apply(after(4.999), Request::LeaseKeepAlive { id: 2 }).expect("a keep-alive");
    assert_eq!(memory.next_deadline(), Some(after(9.999)));
    assert_eq!(count(&mut memory, after(9.999)), 1, "before the request is looked at");
    memory.expire(after(10.0));
    assert_eq!(memory.next_deadline(), None);
    assert_eq!(count(&mut memory, after(10.0)), 0);
    let late = memory.apply(after(10.0), Request::LeaseKeepAlive { id: 1 }).expect("an answer").body;
    assert_eq!(late, ResponseBody::LeaseKeepAlive { id: 1, ttl: 0 });
}

#[test]
fn a_seed_decides_every_id() {
    let ids = |seed| {
        let mut memory = Memory::new(seed);
        let mut grant = || match memory.apply(NOW, Request::LeaseGrant { ttl: 5, id: 0 }).expect("a lease").body {
            ResponseBody::LeaseGrant { id, .. } => id,
            other => panic!("not a lease: {other:?}"),
        };
        let leases = [grant(), grant(), grant()];
        (memory.header().cluster_id, memory.header().member_id, leases)
    };
    assert_eq!(ids(1), ids(1));
    assert_ne!(ids(1), ids(2));
    assert!(ids(1).2.iter().all(|id| *id > 0));
}

#[test]
fn only_watchers_that_are_concerned_wake() {
    let mut memory = Memory::new(1);
    let (a, b) = (watch(&mut memory, "a/", 0), watch(&mut memory, "b/", 0));
    let (one, _) = memory.watch(WatchRequest::key("a/1", 0));
    assert!(memory.take_woken().is_empty());
    put(&mut memory, "a/2", "x");
    assert_eq!(memory.take_woken().into_iter().collect::<Vec<_>>(), [a]);
    put(&mut memory, "b/1", "x");
    assert_eq!(memory.take_woken().into_iter().collect::<Vec<_>>(), [b]);
    put(&mut memory, "a/1", "x");
    assert!(memory.take_woken().contains(&one));
    assert!(!memory.is_level(one));
    assert_eq!(drain(&mut memory, one).expect("events").len(), 1);
    assert!(memory.is_level(one));
    memory.cancel_watch(a);
    put(&mut memory, "a/1", "y");
    assert!(!memory.take_woken().contains(&a));
}

#[test]
fn a_lagging_watcher_is_waited_for_but_not_for_ever() {
    let mut memory = Memory::new(1);
    let quiet = watch(&mut memory, "quiet", 0);
    let lagging = watch(&mut memory, "a", 0);
    for n in 0..5_000 {
        put(&mut memory, "a", &n.to_string());
    }
    let revision = memory.header().revision;
    compact(&mut memory, revision);
    assert_eq!(drain(&mut memory, lagging).expect("all of it").len(), 5_000);

    for n in 0..15_000 {
        put(&mut memory, "a", &n.to_string());
    }
    let revision = memory.header().revision;
    compact(&mut memory, revision);
    let error = drain(&mut memory, lagging).expect_err("too far behind");
    assert_eq!((error.kind, error.compact_revision), (ErrorKind::Compacted, revision));
    assert!(memory.poll_watch(lagging).is_none(), "it is gone");
    put(&mut memory, "quiet", "now");
    assert_eq!(drain(&mut memory, quiet).expect("one event").len(), 1, "who has had everything lags behind nothing");
}

#[test]
fn a_long_history_comes_in_parts() {
    let mut memory = Memory::new(1);
    let value = "x".repeat(100_000);
    for n in 0..50 {
        put(&mut memory, &format!("a/{n}"), &value);
    }
    let id = watch(&mut memory, "a/", 1);
    let mut seen = 1;
    let mut items = 0;
    while let Some(item) = memory.poll_watch(id) {
        let Ok(WatchItem::Events { header, events }) = item else { panic!("{item:?}") };
        assert!(events.len() < 15);
        for event in events {
            assert_eq!(event.kv.mod_revision, seen + 1);
            seen += 1;
        }
        assert_eq!(header.revision, seen, "the header covers what was given, and no more");
        items += 1;
    }
    assert_eq!((seen, items > 3), (51, true));
}

/// What a disk would hold.
#[derive(Default)]
struct Journal {
    versions: BTreeMap<(i64, u32), Version>,
    leases: BTreeMap<i64, i64>,
    compacted: i64,
}

impl Journal {
    fn take(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Version(version) => {
                    let replaced = self.versions.insert(version.place(), version);
                    assert_eq!(replaced, None, "each place is written once");
                }
                Change::Granted { id, ttl } => assert_eq!(self.leases.insert(id, ttl), None),
                Change::Ended { id } => assert!(self.leases.remove(&id).is_some()),
                Change::Compacted { revision, dropped } => {
                    self.compacted = revision;
                    for place in dropped {
                        assert!(self.versions.remove(&place).is_some(), "only what is there is dropped");
                    }
                }
            }
        }
    }

    fn saved(&self, memory: &Memory) -> Saved {
        Saved {
            cluster_id: memory.header().cluster_id,
            member_id: memory.header().member_id,
            revision: memory.header().revision,
            compacted: self.compacted,
            versions: self.versions.values().cloned().collect(),
            leases: self.leases.iter().map(|(id, ttl)| (*id, *ttl)).collect(),
        }
    }
}

/// Everything that can be asked of a store.
#[derive(Debug, PartialEq)]
struct Seen {
    revision: i64,
    ranges: Vec<(i64, Result<RangeResponse, StoreError>)>,
    leases: Vec<LeaseStatus>,
    history: Result<Vec<Event>, StoreError>,
}

fn look(memory: &mut Memory) -> Seen {
    let (key, range_end) = everything();
    let revision = memory.header().revision;
    let mut ranges = Vec::new();
    for at in 0..=revision {
        let request =
            RangeRequest { revision: at, key: key.clone(), range_end: range_end.clone(), ..RangeRequest::default() };
        let result = memory.apply(NOW, Request::Range(request)).map(|response| match response.body {
            ResponseBody::Range(range) => range,
            other => panic!("not a range: {other:?}"),
        });
        ranges.push((at, result));
    }
    let leases = (1..4)
        .map(|id| match memory.apply(NOW, Request::LeaseTimeToLive { id, keys: true }).expect("a status").body {
            ResponseBody::LeaseTimeToLive(status) => status,
            other => panic!("not a status: {other:?}"),
        })
        .collect();
    let start_revision = memory.compact_revision().max(1);
    let request = WatchRequest { key, range_end, start_revision, prev_kv: true, ..WatchRequest::default() };
    let (id, _) = memory.watch(request);
    let history = drain(memory, id);
    memory.cancel_watch(id);
    Seen { revision, ranges, leases, history }
}

fn request() -> impl Strategy<Value = Request> {
    let key = || prop::sample::select(vec!["a", "b", "c"]).prop_map(Bytes::from);
    let put =
        (key(), 0_i64..4).prop_map(|(key, lease)| Operation::Put(PutRequest { lease, ..PutRequest::new(key, "v") }));
    let delete = (key(), any::<bool>()).prop_map(|(key, rest)| {
        let range_end = if rest { Bytes::from_static(&[0]) } else { Bytes::new() };
        Operation::Delete(DeleteRequest { key, range_end, prev_kv: false })
    });
    prop_oneof![
        8 => prop::collection::vec(prop_oneof![3 => put, 1 => delete], 1..4).prop_map(all_of),
        2 => (1_i64..4).prop_map(|id| Request::LeaseGrant { ttl: 60, id }),
        1 => (1_i64..4).prop_map(|id| Request::LeaseRevoke { id }),
        1 => (1_i64..40).prop_map(|revision| Request::Compact { revision, physical: false }),
    ]
}

proptest! {
    #[test]
    fn what_was_journalled_restores_the_same_store(requests in prop::collection::vec(request(), 0..80)) {
        let mut memory = Memory::new(1);
        memory.keep_journal();
        let mut journal = Journal { compacted: -1, ..Journal::default() };
        for request in requests {
            let before = memory.header().revision;
            if memory.apply(NOW, request).is_err() {
                prop_assert_eq!(memory.header().revision, before, "a refused request changes nothing");
            }
            journal.take(memory.take_journal());
        }
        let mut restored = Memory::restore(NOW, journal.saved(&memory), 2);
        prop_assert_eq!(look(&mut restored), look(&mut memory));
    }
}
