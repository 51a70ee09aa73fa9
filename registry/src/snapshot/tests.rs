//! What was saved loads again, and whatever else is called a snapshot is refused without harm.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::memory::{Memory, Saved};
use crate::store::{DeleteRequest, Operation, PutRequest, Request, TxnRequest};

/// Puts and deletions of few keys, leases, compactions.
fn request() -> impl Strategy<Value = Request> {
    let all = |success| Request::Txn(TxnRequest { success, ..TxnRequest::default() });
    let key = |n: u8| format!("key/{n}");
    prop_oneof![
        6 => (0..9_u8, prop_oneof![0..300_usize, 3900..9000_usize], 0..3_i64).prop_map(move |(n, size, lease)| {
            let put = |key| Operation::Put(PutRequest { lease, ..PutRequest::new(key, vec![n; size]) });
            all(vec![put(key(n)), put("every".to_owned())])
        }),
        3 => (0..9_u8).prop_map(move |n| {
            all(vec![Operation::Delete(DeleteRequest { key: key(n).into(), ..DeleteRequest::default() })])
        }),
        1 => (1..3_i64).prop_map(|id| Request::LeaseGrant { ttl: 600 + id, id }),
        1 => (1..3_i64).prop_map(|id| Request::LeaseRevoke { id }),
        2 => (1..60_i64).prop_map(|revision| Request::Compact { revision, physical: true }),
    ]
}

fn store(requests: Vec<Request>) -> Memory {
    let mut memory = Memory::new(1);
    for request in requests {
        // What is refused changes nothing.
        let _ = memory.apply(Duration::ZERO, request);
    }
    memory
}

fn file(saved: Saved) -> Vec<u8> {
    let file = SnapshotFile::new(saved);
    let length = file.remaining();
    let bytes = file.flatten().collect::<Vec<u8>>();
    assert_eq!(bytes.len() as u64, length);
    bytes
}

/// A store with some of everything.
fn example() -> Vec<u8> {
    let put = |n: usize| Operation::Put(PutRequest::new(format!("key/{n:03}"), vec![b'v'; n * 7 % 300]));
    let mut requests: Vec<Request> =
        (0..80).map(|n| Request::Txn(TxnRequest { success: vec![put(n)], ..TxnRequest::default() })).collect();
    requests.push(Request::LeaseGrant { ttl: 600, id: 7 });
    requests.push(Request::Compact { revision: 20, physical: true });
    file(store(requests).saved())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_was_saved_loads_again(requests in prop::collection::vec(request(), 0..60)) {
        let memory = store(requests);
        let loaded = load(&file(memory.saved())[..]).unwrap();
        prop_assert!(loaded.verified && !loaded.users);
        prop_assert_eq!(&loaded.saved, &Saved { cluster_id: 0, member_id: 0, ..memory.saved() });
        // It reads as the one that it was taken from, at each revision that can be read.
        let copy = Memory::restore(Duration::ZERO, loaded.saved, 2);
        for revision in memory.compact_revision().max(0)..=memory.header().revision {
            prop_assert_eq!(copy.hash(revision).ok(), memory.hash(revision).ok());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    /// Without its checksum, so that what is wrong within is looked at.
    #[test]
    fn a_hostile_file_does_no_harm(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..48_usize, prop_oneof![
            any::<u8>(), Just(0), Just(1), Just(255),
        ]), 1..12),
        cut in prop_oneof![4 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)],
    ) {
        let mut bytes = EXAMPLE.with(Clone::clone);
        bytes.truncate(bytes.len() - 32);
        let pages = bytes.len() / bolt::PAGE_BYTES;
        for (page, at, byte) in edits {
            // Heads and elements are at the beginning of pages.
            bytes[page.index(pages) * bolt::PAGE_BYTES + at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(loaded) = load(&bytes[..]) {
            // What is taken makes a store that works.
            let mut memory = Memory::restore(Duration::ZERO, loaded.saved, 2);
            let put = Operation::Put(PutRequest::new("key/001", "new"));
            let request = Request::Txn(TxnRequest { success: vec![put], ..TxnRequest::default() });
            memory.apply(Duration::ZERO, request).unwrap();
            let _ = load(&file(memory.saved())[..]).unwrap();
        }
    }
}

thread_local! {
    static EXAMPLE: Vec<u8> = example();
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let bytes = example();
    for at in (0..bytes.len()).step_by(97) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(matches!(load(&flipped[..]), Err(SnapshotError::Checksum)), "at {at}");
    }
}

#[test]
fn what_is_no_snapshot_is_called_so() {
    assert!(matches!(load(&[][..]), Err(SnapshotError::NotBolt)));
    assert!(matches!(load(&vec![b'x'; 100_000][..]), Err(SnapshotError::NotBolt)));
    let other: Vec<u8> = bolt::Pages::new(vec![("other", Box::new(Vec::new()))]).flatten().collect();
    assert!(matches!(load(&other[..]), Err(SnapshotError::NotEtcd("key"))));
}

#[test]
fn a_lost_revision_is_missed() {
    let mut saved = store(vec![
        Request::Txn(TxnRequest {
            success: vec![Operation::Put(PutRequest::new("a", "1"))],
            ..TxnRequest::default()
        });
        3
    ])
    .saved();
    saved.versions.remove(1);
    let said = load(&file(saved)[..]).unwrap_err().to_string();
    assert!(said.contains("revision 3 is missing"), "{said}");
}
