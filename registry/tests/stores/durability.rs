//! What was acknowledged stays, whatever happens to the process.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleet_registry::embedded::{Embedded, EmbeddedConfig, ServeHandle};
use fleet_registry::etcd::EtcdStore;
use fleet_registry::store::{
    ErrorKind, LeaseStatus, Operation, PutRequest, RangeRequest, Request, ResponseBody, Store, TxnRequest, WatchItem,
    WatchRequest,
};
use futures::StreamExt;

use crate::harness::{Subject, connect, free_port, names, story, until, within};
use crate::process::RegistryProcess;

/// An embedded registry in this process, served.
pub(crate) struct Served {
    pub(crate) subject: Subject,
    pub(crate) registry: Embedded,
    pub(crate) server: ServeHandle,
}

impl Served {
    pub(crate) async fn open(dir: &Path, config: EmbeddedConfig) -> Self {
        let registry = Embedded::open(dir, config).expect("the registry opens");
        let address = "127.0.0.1:0".parse().expect("an address");
        let server = registry.serve(&address).await.expect("a free port");
        let store: Arc<dyn Store> = Arc::new(connect(&server.address().to_string()));
        Self { subject: Subject::of(store), registry, server }
    }

    pub(crate) async fn close(self) {
        self.registry.close().await;
        self.server.stop().await;
    }
}

async fn status(s: &Subject, id: i64) -> LeaseStatus {
    match s.call(Request::LeaseTimeToLive { id, keys: true }).await.expect("a lease's status").body {
        ResponseBody::LeaseTimeToLive(status) => status,
        other => panic!("not a lease's status: {other:?}"),
    }
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    let s = &served.subject;
    let before = s.call(Request::Leases).await.expect("a list").header;
    let first = s.put("a", "1").await;
    s.put("a", "2").await;
    s.put("gone", "1").await;
    s.delete_key("gone").await;
    let lease = s.grant(600).await;
    let leased = PutRequest { lease, ..PutRequest::new("leased", "1") };
    let (last, _) = s.put_request(leased).await.expect("a put");
    served.close().await;

    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    let s = &served.subject;
    let after = s.call(Request::Leases).await.expect("a list");
    assert_eq!((after.header.cluster_id, after.header.member_id), (before.cluster_id, before.member_id));
    assert_eq!(after.header.revision, last);
    assert_eq!(after.body, ResponseBody::Leases(vec![lease]));
    let kv = s.get("a").await.expect("the key");
    assert_eq!((kv.value.as_ref(), kv.create_revision, kv.version), (b"2".as_slice(), first, 2));
    assert_eq!(s.get("gone").await, None);
    let old = s.range(RangeRequest { revision: first, ..RangeRequest::key("a") }).await.expect("history");
    assert_eq!(old.kvs[0].value, "1");
    let status = status(s, lease).await;
    assert_eq!((status.granted_ttl, status.keys), (600, vec!["leased".into()]));
    assert_eq!(s.put("a", "3").await, last + 1);
    s.call(Request::LeaseRevoke { id: lease }).await.expect("a revocation");
    assert_eq!(s.get("leased").await, None, "it hangs on its lease still");
    served.close().await;
}

#[tokio::test]
async fn a_watch_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    let seen = served.subject.put("w/a", "1").await;
    served.subject.put("w/b", "1").await;
    served.subject.all(vec![Operation::Put(PutRequest::new("w/a", "2"))]).await.expect("a put");
    served.subject.delete_key("w/b").await;
    served.close().await;

    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    let request = WatchRequest { prev_kv: true, ..WatchRequest::prefix("w/", seen + 1) };
    let mut watch = served.subject.watch(request).await;
    served.subject.put("w/c", "1").await;
    let events = watch.events(4).await;
    assert_eq!(story(&events), ["put w/b=1", "put w/a=2", "delete w/b", "put w/c=1"]);
    assert_eq!(events[1].prev_kv.as_ref().map(|kv| kv.value.clone()), Some("1".into()));
    served.close().await;
}

#[tokio::test]
async fn a_lease_gets_its_whole_time_after_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    let lease = served.subject.grant(3).await;
    let granted = Instant::now();
    let request = PutRequest { lease, ..PutRequest::new("key", "1") };
    served.subject.put_request(request).await.expect("a put");
    until("most of the lease has passed", || async { granted.elapsed() > Duration::from_secs(2) }).await;
    served.close().await;
    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    let opened = Instant::now();
    let mut watch = served.subject.watch(WatchRequest::key("key", 0)).await;
    assert_eq!(story(&watch.events(1).await), ["delete key"]);
    assert!(opened.elapsed() >= Duration::from_millis(2500), "{:?}", opened.elapsed());
    served.close().await;
    // It stays gone.
    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    assert_eq!(status(&served.subject, lease).await.ttl, -1);
    served.close().await;
}

#[tokio::test]
async fn history_is_compacted_by_itself_and_stays_so() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = EmbeddedConfig {
        history_revisions: 100,
        compaction_interval: Duration::from_millis(50),
        ..EmbeddedConfig::default()
    };
    let served = Served::open(dir.path(), config.clone()).await;
    let s = &served.subject;
    let first = s.put("key", "first").await;
    for n in 0..300 {
        s.put("key", &n.to_string()).await;
    }
    let at_first = RangeRequest { revision: first, ..RangeRequest::key("key") };
    until("the first revision is forgotten", || async {
        matches!(s.range(at_first.clone()).await, Err(error) if error.kind == ErrorKind::Compacted)
    })
    .await;
    let recent = RangeRequest { revision: first + 250, ..RangeRequest::key("key") };
    assert_eq!(s.range(recent.clone()).await.expect("recent history").kvs[0].value, "249");
    served.close().await;
    let served = Served::open(dir.path(), config).await;
    let s = &served.subject;
    assert_eq!(s.range(at_first).await.expect_err("it stays forgotten").kind, ErrorKind::Compacted);
    assert_eq!(s.range(recent).await.expect("recent history").kvs[0].value, "249");
    assert_eq!(s.get("key").await.expect("the key").value, "299");
    served.close().await;
}

/// Writes numbered keys, two in each transaction, until the registry is gone; counts what was acknowledged.
async fn write(store: EtcdStore, writer: usize, from: usize) -> usize {
    let mut n = from;
    loop {
        let pair = ["x", "y"]
            .map(|half| Operation::Put(PutRequest::new(format!("load/{writer}/{n:06}/{half}"), vec![b'v'; 100])));
        let request = Request::Txn(TxnRequest { success: pair.into(), ..TxnRequest::default() });
        if store.call(request).await.is_err() {
            return n;
        }
        n += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_it_loses_nothing_acknowledged() {
    const WRITERS: usize = 4;
    const KILLS: usize = 100;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let port = free_port();
    let mut acknowledged = [0; WRITERS];
    // A new registry's revision; each transaction of the load makes the next.
    let mut watched = 1;
    for kill in 0..KILLS {
        let mut process = RegistryProcess::start(dir.path(), port).await;
        let subject = Subject::of(Arc::new(connect(&process.endpoint)));
        for (writer, count) in acknowledged.iter_mut().enumerate() {
            let found = names(
                &subject
                    .range(RangeRequest { keys_only: true, ..RangeRequest::prefix(format!("load/{writer}/")) })
                    .await
                    .expect("the keys"),
            );
            assert_eq!(found.len() % 2, 0, "no transaction is half there");
            let there = found.len() / 2;
            assert!(there >= *count, "writer {writer} had {count} acknowledged, and {there} are there");
            assert!(there <= *count + 1, "only what was under way may be there besides");
            *count = there;
        }
        // Each revision since the last look is seen once, in order.
        let revision = subject.call(Request::Leases).await.expect("a list").header.revision;
        let mut stream = subject.store.watch(WatchRequest::prefix("load/", watched + 1));
        let mut seen = watched;
        while seen < revision {
            match within("history", stream.next()).await.expect("an item").expect("events") {
                WatchItem::Events { events, .. } => {
                    for pair in events.chunks(2) {
                        assert_eq!(pair[0].kv.mod_revision, pair[1].kv.mod_revision);
                        assert_eq!(pair[0].kv.mod_revision, seen + 1);
                        seen = pair[0].kv.mod_revision;
                    }
                }
                WatchItem::Created { .. } | WatchItem::Progress { .. } => {}
            }
        }
        watched = seen;
        drop(stream);
        let load: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(connect(&process.endpoint), writer, acknowledged[writer])))
            .collect();
        let goal = watched + 5 + 37 * i64::try_from(kill).expect("few") % 61;
        until("enough was written", || async {
            subject.call(Request::Leases).await.is_ok_and(|response| response.header.revision >= goal)
        })
        .await;
        process.kill();
        for (writer, load) in load.into_iter().enumerate() {
            acknowledged[writer] = within("the writer's end", load).await.expect("a count");
        }
    }
    assert!(acknowledged.iter().sum::<usize>() > 200, "{acknowledged:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut process = RegistryProcess::start(dir.path(), free_port()).await;
    let s = Subject::of(Arc::new(connect(&process.endpoint)));
    let mut watch = s.watch(WatchRequest::prefix("key/", 0)).await;
    let lease = s.grant(600).await;
    s.put_request(PutRequest { lease, ..PutRequest::new("key/first", "1") }).await.expect("a put");
    let size = std::fs::metadata(dir.path().join("registry.redb")).expect("the file").len();
    process.limit_file(Some(size));
    let mut written = 1;
    let error = loop {
        let put = PutRequest::new(format!("key/{written:04}"), vec![b'x'; 100_000]);
        match s.put_request(put).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, ErrorKind::NoSpace, "{error}");
    assert_eq!(error.message, "etcdserver: mvcc: database space exceeded");
    // What was refused is not there, what was taken is, and the watch tells the same.
    assert_eq!(s.names("key/").await.len(), written);
    assert_eq!(s.names(&format!("key/{written:04}")).await, Vec::<String>::new());
    assert_eq!(watch.events(written).await.len(), written);
    assert_eq!(status(&s, lease).await.keys, ["key/first"]);
    let revision = s.call(Request::Leases).await.expect("a list").header.revision;

    process.limit_file(None);
    let put = PutRequest::new("key/room", vec![b'x'; 100_000]);
    let (next, _) = s.put_request(put).await.expect("there is room again");
    assert_eq!(next, revision + 1);
    assert_eq!(story(&watch.events(1).await)[0][..12], *"put key/room");
    process.kill();
    let process = RegistryProcess::start(dir.path(), free_port()).await;
    let s = Subject::of(Arc::new(connect(&process.endpoint)));
    assert_eq!(s.names("key/").await.len(), written + 1);
}
