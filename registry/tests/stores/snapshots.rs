//! Leaving for etcd and coming back: each side takes the other's snapshot, and nothing differs afterwards.

use std::path::Path;
use std::sync::Arc;

use fleet_registry::embedded::{Embedded, EmbeddedConfig, EmbeddedError};
use fleet_registry::snapshot::{Loaded, load};
use fleet_registry::store::{
    KeyValue, Operation, PutRequest, RangeRequest, Request, ResponseBody, Store, TxnRequest, WatchRequest,
};

use futures::StreamExt;

use crate::durability::Served;
use crate::etcdctl::etcdctl;
use crate::harness::{Etcd, Subject, connect, story};

/// Enough keys for a tree of three levels.
const KEYS: usize = 2500;

/// A history: many keys, a large one, changes, deletions, leases, a compaction.
async fn live(s: &Subject) {
    for hundred in 0..KEYS / 100 {
        let put = |n: usize| {
            let key = format!("key/{hundred:03}/{n:02}");
            Operation::Put(PutRequest::new(key, vec![b'v'; 150 + n]))
        };
        s.all((0..100).map(put).collect()).await.expect("a transaction");
    }
    s.put("large", &"x".repeat(1_200_000)).await;
    s.put("changed", "1").await;
    for id in [7, 0x7fff_ffff_ffff_fff0] {
        s.call(Request::LeaseGrant { ttl: 600, id }).await.expect("a lease");
        let leased = PutRequest { lease: id, ..PutRequest::new(format!("leased/{id}"), "1") };
        s.put_request(leased).await.expect("a put");
    }
    s.put("gone/long", "1").await;
    s.delete_key("gone/long").await;
    let cut = s.put("changed", "2").await;
    s.put("changed", "3").await;
    s.put("gone", "1").await;
    s.delete_key("gone").await;
    s.compact(cut).await.expect("a compaction");
    s.put("empty", "").await;
}

async fn everything(s: &Subject) -> Vec<KeyValue> {
    s.range(RangeRequest { range_end: vec![0].into(), ..RangeRequest::key(vec![0]) }).await.expect("all keys").kvs
}

async fn leases(s: &Subject) -> Vec<(i64, i64, usize)> {
    let ResponseBody::Leases(ids) = s.call(Request::Leases).await.expect("leases").body else { panic!("no leases") };
    let mut leases = Vec::new();
    for id in ids {
        match s.call(Request::LeaseTimeToLive { id, keys: true }).await.expect("a lease").body {
            ResponseBody::LeaseTimeToLive(lease) => leases.push((id, lease.granted_ttl, lease.keys.len())),
            other => panic!("not a lease's status: {other:?}"),
        }
    }
    leases
}

/// Both hold the same, and go on alike.
async fn are_alike(one: (&Subject, &str), other: (&Subject, &str)) {
    assert!(everything(one.0).await == everything(other.0).await, "every key, with its revisions");
    assert_eq!(leases(one.0).await, leases(other.0).await);
    let headers =
        [one.0.call(Request::Leases).await, other.0.call(Request::Leases).await].map(|a| a.expect("a list").header);
    assert_eq!(headers[0].revision, headers[1].revision);
    assert_ne!(headers[0].cluster_id, headers[1].cluster_id, "clients notice that it is another store");
    let first = headers[0].revision - 3;
    for call in [
        vec!["endpoint", "hashkv"],
        vec!["endpoint", "hashkv", &format!("--rev={first}")],
        vec!["get", "changed", &format!("--rev={first}"), "-w", "fields"],
        vec!["get", "gone", &format!("--rev={first}")],
        vec!["get", "changed", "--rev=20"],
    ] {
        let answers = [one.1, other.1].map(|endpoint| {
            let said = etcdctl(endpoint, &call);
            said.lines()
                .filter(|line| !line.contains("ID\" :") && !line.contains("RaftTerm"))
                .collect::<Vec<_>>()
                .join("\n")
        });
        assert_eq!(answers[0], answers[1], "etcdctl {call:?}");
    }
    for s in [one.0, other.0] {
        assert_eq!(s.put("changed", "4").await, headers[0].revision + 1);
        s.compact(headers[0].revision).await.expect("a compaction");
        s.call(Request::LeaseRevoke { id: 7 }).await.expect("a revocation");
        assert_eq!(s.get("leased/7").await, None, "it hangs on its lease still");
    }
    assert_eq!(etcdctl(one.1, &["endpoint", "hashkv"]), etcdctl(other.1, &["endpoint", "hashkv"]));
}

fn loaded(path: &Path) -> Loaded {
    load(&std::fs::File::open(path).expect("the file")).expect("a snapshot")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_snapshot_makes_a_real_etcd() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = Served::open(&dir.path().join("registry"), EmbeddedConfig::default()).await;
    live(&served.subject).await;
    let endpoint = served.server.address().to_string();
    let file = dir.path().join("snapshot");
    let path = file.to_str().expect("a path");
    let said = etcdctl(&endpoint, &["snapshot", "save", path]);
    assert!(said.starts_with("exit status: 0"), "{said}");
    // etcd's tool walks every page of it, and looks for pages that nobody owns.
    let said = etcdctl(&endpoint, &["snapshot", "status", path]);
    let revision = served.subject.call(Request::Leases).await.expect("a list").header.revision;
    assert!(said.starts_with("exit status: 0") && said.contains(&format!(" {revision}, ")), "{said}");

    let etcd = Etcd::restored(&file).await;
    let subject = Subject::of(Arc::new(connect(&etcd.endpoint)));
    are_alike((&served.subject, &endpoint), (&subject, &etcd.endpoint)).await;
    // etcd works on with the file: rewrites it, and finds all of it after a restart.
    assert!(etcdctl(&etcd.endpoint, &["defrag"]).starts_with("exit status: 0"));
    let before = everything(&subject).await;
    let (_data, database) = etcd.stop();
    let again = loaded(&database);
    assert!(!again.verified);
    let registry = dir.path().join("again");
    Embedded::restore(&registry, again.saved, false).expect("a new registry");
    let again = Served::open(&registry, EmbeddedConfig::default()).await;
    assert!(everything(&again.subject).await == before, "and back again");
    again.close().await;
    served.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_a_real_etcd_makes_a_registry() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let etcd = Etcd::start().await;
    let subject = Subject::of(Arc::new(connect(&etcd.endpoint)));
    live(&subject).await;
    let file = dir.path().join("snapshot");
    let said = etcdctl(&etcd.endpoint, &["snapshot", "save", file.to_str().expect("a path")]);
    assert!(said.starts_with("exit status: 0"), "{said}");
    let snapshot = loaded(&file);
    assert!(snapshot.verified && !snapshot.users);

    let registry = dir.path().join("registry");
    let restored = Embedded::restore(&registry, snapshot.saved.clone(), false).expect("a new registry");
    assert_eq!(restored.kept, None);
    let served = Served::open(&registry, EmbeddedConfig::default()).await;
    let endpoint = served.server.address().to_string();
    are_alike((&subject, &etcd.endpoint), (&served.subject, &endpoint)).await;
    let after = everything(&served.subject).await;

    // One that is in use, or there already, is not overwritten; when that is wanted, it is kept.
    let refused = Embedded::restore(&registry, snapshot.saved.clone(), true).expect_err("it is open");
    assert!(matches!(refused, EmbeddedError::InUse { .. }), "{refused}");
    served.close().await;
    let refused = Embedded::restore(&registry, snapshot.saved.clone(), false).expect_err("it is there");
    assert!(matches!(refused, EmbeddedError::There { .. }), "{refused}");
    let restored = Embedded::restore(&registry, snapshot.saved, true).expect("a new registry");
    let kept = restored.kept.expect("the old one");
    let served = Served::open(&registry, EmbeddedConfig::default()).await;
    assert_eq!(served.subject.get("changed").await.expect("the key").value, "3");
    served.close().await;
    std::fs::rename(kept, restored.file).expect("a rename");
    let served = Served::open(&registry, EmbeddedConfig::default()).await;
    assert!(everything(&served.subject).await == after, "the old one is whole");
    served.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_of_one_moment_while_writes_go_on() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    let endpoint = served.server.address().to_string();
    let writer = tokio::spawn({
        let store = connect(&endpoint);
        async move {
            for n in 0..400 {
                let pair = ["x", "y"].map(|key| Operation::Put(PutRequest::new(key, vec![n as u8; 2000 + n])));
                let request = TxnRequest { success: pair.into(), ..TxnRequest::default() };
                store.call(Request::Txn(request)).await.expect("a transaction");
            }
        }
    });
    let mut revisions = Vec::new();
    while !writer.is_finished() {
        let parts: Vec<_> = connect(&endpoint).snapshot().await.expect("a snapshot").collect().await;
        let bytes: Vec<u8> = parts.into_iter().flat_map(|part| part.expect("a part")).collect();
        let saved = load(&bytes[..]).expect("it is whole").saved;
        let last: Vec<_> = saved.versions.iter().filter(|v| v.revision() == saved.revision).collect();
        assert!(last.is_empty() || last.len() == 2, "no transaction is half there");
        revisions.push(saved.revision);
    }
    writer.await.expect("the writer ends");
    assert!(revisions.is_sorted() && revisions.len() > 1, "{revisions:?}");
    served.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_is_replaced_while_it_is_served() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    let s = &served.subject;
    let backed_up = s.put("key", "old").await;
    let snapshot = served.registry.snapshot().await.expect("a snapshot");
    s.put("key", "new").await;
    s.put("later", "1").await;
    let before = s.call(Request::Leases).await.expect("a list").header;
    let mut watch = s.watch(WatchRequest::prefix("", 0)).await;
    let restored = served.registry.replace(snapshot).await.expect("it is replaced");
    watch.item().await.expect_err("its watches end");
    let after = s.call(Request::Leases).await.expect("a list").header;
    assert_eq!((after.cluster_id, after.revision), (restored.cluster_id, backed_up));
    assert_ne!(after.cluster_id, before.cluster_id);
    assert_eq!(everything(s).await.len(), 1, "what came later is gone");
    let mut watch = s.watch(WatchRequest::key("key", backed_up)).await;
    assert_eq!(story(&watch.events(1).await), ["put key=old"]);
    s.put("key", "newer").await;
    served.close().await;
    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    assert_eq!(served.subject.get("key").await.expect("the key").value, "newer");
    served.close().await;
    std::fs::rename(restored.kept.expect("the old one"), restored.file).expect("a rename");
    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    assert_eq!(served.subject.get("later").await.expect("the key").value, "1", "the old one is whole");
    served.close().await;
}
