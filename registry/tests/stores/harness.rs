//! Stores to test, and short ways to call them.

use std::future::Future;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fleet_registry::embedded::{Embedded, EmbeddedConfig};
use fleet_registry::etcd::{EtcdConfig, EtcdStore};
use fleet_registry::memory::MemoryStore;
use fleet_registry::store::{
    Compare, DeleteRequest, DeleteResponse, Event, KeyValue, Operation, OperationResponse, PutRequest, RangeRequest,
    RangeResponse, Request, Response, ResponseBody, Store, StoreError, TxnRequest, TxnResponse, WatchItem,
    WatchRequest, WatchStream,
};
use futures::StreamExt;
use tempfile::TempDir;

/// Nothing in these tests takes longer, on any machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A fresh store, and what keeps it alive.
pub(crate) struct Subject {
    pub(crate) store: Arc<dyn Store>,
    _keep: Box<dyn Send>,
}

impl Subject {
    pub(crate) fn of(store: Arc<dyn Store>) -> Self {
        Self { store, _keep: Box::new(()) }
    }

    pub(crate) async fn memory() -> Self {
        Self { store: Arc::new(MemoryStore::new(7)), _keep: Box::new(()) }
    }

    pub(crate) async fn embedded() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let registry = Embedded::open(dir.path(), EmbeddedConfig::default()).expect("a new registry");
        let address = "127.0.0.1:0".parse().expect("an address");
        let server = registry.serve(&address).await.expect("a free port");
        Self { store: Arc::new(connect(&server.address().to_string())), _keep: Box::new((server, registry, dir)) }
    }

    pub(crate) async fn etcd() -> Self {
        let etcd = Etcd::start().await;
        Self { store: Arc::new(connect(&etcd.endpoint)), _keep: Box::new(etcd) }
    }
}

pub(crate) fn connect(endpoint: &str) -> EtcdStore {
    let config = EtcdConfig {
        endpoints: vec![endpoint.to_owned()],
        request_timeout: Duration::from_secs(10),
        ..EtcdConfig::default()
    };
    EtcdStore::connect(config).expect("the endpoint is good")
}

/// A real etcd of Debian's package `etcd-server`, ended with this value.
pub(crate) struct Etcd {
    pub(crate) endpoint: String,
    child: Child,
    dir: TempDir,
}

impl Etcd {
    /// Starts one and waits until it answers.
    pub(crate) async fn start() -> Self {
        let etcd = Self::spawn("http", &[]);
        etcd.answers(&connect(&etcd.endpoint)).await;
        etcd
    }

    /// Starts one with more options.
    pub(crate) fn spawn(scheme: &str, options: &[&str]) -> Self {
        Self::spawn_in(tempfile::tempdir().expect("a temporary directory"), scheme, free_port(), options)
    }

    /// Restores a snapshot as people do, starts an etcd from it, and waits until it answers.
    pub(crate) async fn restored(snapshot: &Path) -> Self {
        let (dir, peer) = (tempfile::tempdir().expect("a temporary directory"), free_port());
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["snapshot", "restore"])
            .arg(snapshot)
            .args(["--name", "test", "--data-dir"])
            .arg(dir.path().join("data"))
            .args(["--initial-advertise-peer-urls", &peer_url(peer), "--initial-cluster"])
            .arg(format!("test={}", peer_url(peer)))
            .output()
            .expect("etcdctl");
        assert!(output.status.success(), "{output:?}");
        let etcd = Self::spawn_in(dir, "http", peer, &[]);
        etcd.answers(&connect(&etcd.endpoint)).await;
        etcd
    }

    fn spawn_in(dir: TempDir, scheme: &str, peer: u16, options: &[&str]) -> Self {
        let endpoint = format!("{scheme}://127.0.0.1:{}", free_port());
        let peer = peer_url(peer);
        let child = Command::new("etcd")
            .args(["--name", "test", "--data-dir"])
            .arg(dir.path().join("data"))
            .args(["--listen-client-urls", &endpoint, "--advertise-client-urls", &endpoint])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("test={peer}"), "--log-level", "error"])
            .args(options)
            .env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("no etcd to compare with: install Debian's package etcd-server ({e})"));
        Self { endpoint, child, dir }
    }

    /// Stops it as systemd does; its database is left behind.
    pub(crate) fn stop(mut self) -> (TempDir, PathBuf) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "kill");
        self.child.wait().expect("it ends");
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().expect("a temporary directory"));
        let database = dir.path().join("data/member/snap/db");
        (dir, database)
    }

    /// Waits until it answers.
    pub(crate) async fn answers(&self, store: &EtcdStore) {
        until("etcd answers", || async { store.call(Request::Range(RangeRequest::key("a"))).await.is_ok() }).await;
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn peer_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its number").port()
}

/// Waits for a condition, looking now and then.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(what, wait).await;
}

/// Waits for something that has to happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {LIMIT:?}: {what}"),
    }
}

impl Subject {
    pub(crate) async fn call(&self, request: Request) -> Result<Response, StoreError> {
        within("an answer", self.store.call(request)).await
    }

    pub(crate) async fn range(&self, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        match self.call(Request::Range(request)).await?.body {
            ResponseBody::Range(range) => Ok(range),
            other => panic!("not a range: {other:?}"),
        }
    }

    /// A transaction, with the revision it left.
    pub(crate) async fn txn_at(&self, request: TxnRequest) -> Result<(i64, TxnResponse), StoreError> {
        let response = self.call(Request::Txn(request)).await?;
        match response.body {
            ResponseBody::Txn(txn) => Ok((response.header.revision, txn)),
            other => panic!("not a transaction: {other:?}"),
        }
    }

    pub(crate) async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, StoreError> {
        Ok(self.txn_at(request).await?.1)
    }

    /// Operations without a condition.
    pub(crate) async fn all(&self, operations: Vec<Operation>) -> Result<TxnResponse, StoreError> {
        self.txn(TxnRequest { success: operations, ..TxnRequest::default() }).await
    }

    pub(crate) async fn holds(&self, compare: Compare) -> bool {
        let request = TxnRequest { compare: vec![compare], ..TxnRequest::default() };
        self.txn(request).await.expect("a compare").succeeded
    }

    /// Writes a key; returns the revision.
    pub(crate) async fn put(&self, key: &str, value: &str) -> i64 {
        self.put_request(PutRequest::new(key.to_owned(), value.to_owned())).await.expect("a put").0
    }

    pub(crate) async fn put_request(&self, request: PutRequest) -> Result<(i64, Option<KeyValue>), StoreError> {
        let request = TxnRequest { success: vec![Operation::Put(request)], ..TxnRequest::default() };
        let (revision, mut response) = self.txn_at(request).await?;
        match response.responses.pop() {
            Some(OperationResponse::Put(put)) => Ok((revision, put.prev_kv)),
            other => panic!("not a put: {other:?}"),
        }
    }

    pub(crate) async fn delete(&self, request: DeleteRequest) -> Result<DeleteResponse, StoreError> {
        match self.all(vec![Operation::Delete(request)]).await?.responses.pop() {
            Some(OperationResponse::Delete(delete)) => Ok(delete),
            other => panic!("not a deletion: {other:?}"),
        }
    }

    pub(crate) async fn delete_key(&self, key: &str) -> i64 {
        self.delete(DeleteRequest { key: key.to_owned().into(), ..DeleteRequest::default() })
            .await
            .expect("a deletion")
            .deleted
    }

    pub(crate) async fn get(&self, key: &str) -> Option<KeyValue> {
        self.range(RangeRequest::key(key.to_owned())).await.expect("a key").kvs.pop()
    }

    /// The names of all keys with a prefix.
    pub(crate) async fn names(&self, prefix: &str) -> Vec<String> {
        names(&self.range(RangeRequest::prefix(prefix.to_owned())).await.expect("a range"))
    }

    pub(crate) async fn grant(&self, ttl: i64) -> i64 {
        match self.call(Request::LeaseGrant { ttl, id: 0 }).await.expect("a lease").body {
            ResponseBody::LeaseGrant { id, .. } => id,
            other => panic!("not a lease: {other:?}"),
        }
    }

    pub(crate) async fn compact(&self, revision: i64) -> Result<(), StoreError> {
        self.call(Request::Compact { revision, physical: true }).await.map(|_| ())
    }

    pub(crate) async fn watch(&self, request: WatchRequest) -> Follower {
        let mut stream = self.store.watch(request);
        match within("a watch", stream.next()).await {
            Some(Ok(WatchItem::Created { .. })) => Follower { stream },
            other => panic!("a watch's first item is its creation, not {other:?}"),
        }
    }
}

/// The names in an answer, in its order.
pub(crate) fn names(range: &RangeResponse) -> Vec<String> {
    range.kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect()
}

/// An open watch.
pub(crate) struct Follower {
    stream: WatchStream,
}

impl Follower {
    /// The next item that is no mere progress.
    pub(crate) async fn item(&mut self) -> Result<Vec<Event>, StoreError> {
        loop {
            match within("an item of a watch", self.stream.next()).await {
                Some(Ok(WatchItem::Events { header, events })) => {
                    let last = events.last().map(|event| event.kv.mod_revision);
                    assert!(last.is_some_and(|last| last <= header.revision), "the header covers every event");
                    return Ok(events);
                }
                Some(Ok(WatchItem::Progress { .. })) => {}
                Some(Ok(WatchItem::Created { .. })) => panic!("a watch is created once"),
                Some(Err(error)) => return Err(error),
                None => panic!("a watch ended without an error"),
            }
        }
    }

    /// This many events, over as many items as it takes.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            events.extend(self.item().await.expect("events"));
        }
        events
    }
}

/// Events in short: `put a=1@3`, `delete a@4`.
pub(crate) fn story(events: &[Event]) -> Vec<String> {
    use fleet_registry::store::EventKind;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let tell = |event: &Event| match event.kind {
        EventKind::Put => format!("put {}={}", text(&event.kv.key), text(&event.kv.value)),
        EventKind::Delete => format!("delete {}", text(&event.kv.key)),
    };
    events.iter().map(tell).collect()
}
