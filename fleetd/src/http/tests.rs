//! The API over real HTTP on a unix socket, with a memory store behind it: real handlers, real store semantics.

mod bad_input;
mod circles;
mod explain;
mod join;
mod journal;
mod load;
mod operate;
mod plan;
mod rebalance;
mod token;
mod unreadable;
mod v1;
mod v2;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use fleet_agent::{AgentStatus, Standing};
use fleet_api::v2::UnitChange;
use fleet_registry::memory::MemoryStore;
use fleet_registry::record::{
    AppliedRecord, Assignment, ClusterId, ContentKey, Extra, FORMAT, MachineRecord, PeerEndpoint, Record,
    ScheduleRecord, StateRecord, Target,
};
use fleet_registry::store::{
    Answer, DeleteRequest, ErrorKind, Operation, PutRequest, Request, StoreError, TxnRequest, WatchRequest, WatchStream,
};
use fleet_registry::{Key, Layout, Store};
use fleet_units::{DesiredState, MachineId, UnitName};
use futures::future::BoxFuture;
use futures::stream::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::{Api, ApiSocket, Door, Inviter, Limits, open, router, serve};
use crate::cluster::{Cluster, ClusterConfig};
use crate::config::ListenAddress;
use crate::counts::{Counted, Counts, StoreCounts};
use crate::local::{JournalRequest, JournalStream, Local, UnitTools};
use crate::peers::{Identity, Peers};

/// A store that can be taken away.
#[derive(Clone)]
struct Switched {
    store: MemoryStore,
    up: watch::Sender<bool>,
}

impl Store for Switched {
    fn call(&self, request: Request) -> Answer<'_> {
        if *self.up.borrow() {
            return self.store.call(request);
        }
        Box::pin(async { Err(StoreError::new(ErrorKind::Unavailable, "connection refused")) })
    }

    fn watch(&self, request: WatchRequest) -> WatchStream {
        let down = || Err(StoreError::new(ErrorKind::Unavailable, "connection refused"));
        if !*self.up.borrow() {
            return Box::pin(futures::stream::once(async move { down() }));
        }
        let mut up = self.up.subscribe();
        let gone = async move {
            // The sender lives as long as the store.
            _ = up.wait_for(|up| !*up).await;
        };
        let broken = futures::stream::once(async move { down() });
        Box::pin(self.store.watch(request).take_until(gone).chain(broken))
    }
}

/// Stands for journalctl and systemctl, by processes that print as they do.
struct Shell;

impl UnitTools for Shell {
    fn journal(&self, name: &UnitName, request: &JournalRequest) -> JournalStream {
        let lines = (0..request.lines).map(|n| Ok(Bytes::from(format!("{name} line {n}\n")))).collect::<Vec<_>>();
        let past = futures::stream::iter(lines);
        if request.follow { past.chain(futures::stream::pending()).boxed() } else { past.boxed() }
    }

    fn status<'a>(&'a self, name: &'a UnitName) -> BoxFuture<'a, io::Result<(String, i32)>> {
        Box::pin(async move { Ok((format!("* {name}\n"), 3)) })
    }
}

/// A registry that says nothing of itself.
struct Unasked;

impl super::Health for Unasked {
    fn view(&self) -> BoxFuture<'_, fleet_api::v2::RegistryView> {
        Box::pin(async { fleet_api::v2::RegistryView::default() })
    }
}

/// Stands for the agent, with what it was asked.
#[derive(Clone)]
struct Member {
    status: watch::Sender<AgentStatus>,
    asked: watch::Sender<Vec<String>>,
}

impl Member {
    fn new() -> Self {
        let status = AgentStatus {
            adopted: true,
            standing: Standing::Present,
            cluster: Some(ClusterId("ours".into())),
            generation: None,
            acknowledged: 0,
            systemd: true,
            trouble: None,
            foreign: None,
        };
        Self { status: watch::Sender::new(status), asked: watch::Sender::new(Vec::new()) }
    }
}

impl crate::local::Member for Member {
    fn status(&self) -> watch::Receiver<AgentStatus> {
        self.status.subscribe()
    }

    /// It does as it is told.
    fn accept(&self, found: Option<ClusterId>) {
        self.status.send_modify(|status| {
            (status.cluster, status.foreign) = (found.or_else(|| Some(ClusterId("new".into()))), None);
        });
    }

    fn stop_orphan(&self, unit: UnitName) {
        self.asked.send_modify(|asked| asked.push(unit.to_string()));
    }
}

/// A served API and the store behind it.
struct Served {
    store: Switched,
    layout: Layout,
    path: PathBuf,
    door: Door,
    agent: Member,
    _directory: tempfile::TempDir,
    _stop: watch::Sender<bool>,
}

/// An answer, read whole.
struct Answered {
    status: u16,
    headers: hyper::HeaderMap,
    body: String,
}

impl Answered {
    /// The message of an error.
    fn message(&self) -> String {
        let entity: fleet_api::ErrorEntity =
            serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("no error entity: {e}: {}", self.body));
        assert_eq!(entity.error.code, self.status);
        entity.error.message
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("no JSON: {e}: {}", self.body))
    }
}

impl Served {
    async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        Self::serve(limits, Inviter::Elsewhere).await
    }

    async fn serve(limits: Limits, inviter: Inviter) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fleet.sock");
        let store = Switched { store: MemoryStore::new(1), up: watch::Sender::new(true) };
        let layout = Layout::default();
        let config = ClusterConfig {
            layout: layout.clone(),
            timeout: Duration::from_secs(1),
            seed: 1,
            advice: Some("set etcd_servers".to_owned()),
        };
        let agent = Member::new();
        let identity = Identity::load_or_make(directory.path()).unwrap();
        let local = Local::new(machine("m1"), "192.0.2.1".into(), Arc::new(agent.clone()), Arc::new(Shell));
        let counts = Arc::new(StoreCounts::default());
        let api = Api {
            cluster: Cluster::new(
                Arc::new(Counted::new(Arc::new(store.clone()), Arc::clone(&counts))),
                config,
                Arc::new(|| true),
            ),
            peers: Peers::new(Arc::new(identity)),
            local,
            registry: Arc::new(Unasked),
            inviter,
            token_limit: 3,
            counts: Arc::new(Counts::new(counts, None)),
        };
        let socket: ApiSocket = open(&ListenAddress::Unix(path.clone())).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let door = Door::new(limits.clone());
        tokio::spawn(serve(socket, router(api, &limits), door.clone(), stopped));
        Self { store, layout, path, door, agent, _directory: directory, _stop: stop }
    }

    fn client(&self) -> fleet_api::Client {
        fleet_api::Client::new(format!("unix://{}", self.path.display()).parse().unwrap())
    }

    /// One request on a connection of its own.
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answered {
        let stream = UnixStream::connect(&self.path).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = hyper::Request::builder().method(method).uri(path).header("Host", "fleet");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answered { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Answered {
        self.ask("GET", path, &[], "").await
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> Answered {
        self.ask(method, path, &[("Content-Type", "application/json")], body.to_owned()).await
    }

    /// Puts a unit through version 1.
    async fn put_unit(&self, name: &str, exec: &str, desired: &str) -> Answered {
        let body = serde_json::json!({
            "desiredState": desired,
            "options": [{"section": "Service", "name": "ExecStart", "value": exec}],
        });
        self.send("PUT", &format!("/fleet/v1/units/{name}"), &body.to_string()).await
    }

    /// Writes a record, as the agent or the engine of a real cluster would.
    async fn write<R: Record>(&self, key: Key, record: &R) -> i64 {
        let put = Operation::Put(PutRequest::new(self.layout.encode(&key), record.encode()));
        self.commit(put).await
    }

    async fn delete(&self, key: Key) -> i64 {
        let key = self.layout.encode(&key);
        self.commit(Operation::Delete(DeleteRequest { key, ..DeleteRequest::default() })).await
    }

    async fn commit(&self, operation: Operation) -> i64 {
        let request = TxnRequest { success: vec![operation], ..TxnRequest::default() };
        self.store.store.call(Request::Txn(request)).await.unwrap().header.revision
    }

    async fn add_machine(&self, id: &str, metadata: &[(&str, &str)]) {
        let metadata = metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.write(Key::Machine(machine(id)), &Self::machine_record(id, metadata, None)).await;
    }

    /// A machine with a peer port.
    async fn add_machine_at(&self, id: &str, address: &str) {
        let peer = PeerEndpoint { address: address.to_owned(), fingerprint: "0".repeat(64), extra: Default::default() };
        self.write(Key::Machine(machine(id)), &Self::machine_record(id, BTreeMap::new(), Some(peer))).await;
    }

    fn machine_record(id: &str, metadata: BTreeMap<String, String>, peer: Option<PeerEndpoint>) -> MachineRecord {
        MachineRecord {
            hostname: format!("host-{id}"),
            address: Some("192.0.2.9".into()),
            peer,
            metadata,
            ..MachineRecord::new(machine(id))
        }
    }

    /// Schedules units on a machine as the engine would: all that it is to run.
    async fn schedule(&self, id: &str, units: &[(&str, i64, &ContentKey)], leaving: &[(&str, u64)], generation: u64) {
        let assignment = |uid: i64, content: &ContentKey| Assignment {
            uid,
            content: content.clone(),
            target: Target::Launched,
            restarts: 0,
            extra: Default::default(),
        };
        let record = ScheduleRecord {
            v: FORMAT,
            generation,
            units: units.iter().map(|(name, uid, content)| (unit(name), assignment(*uid, content))).collect(),
            leaving: leaving.iter().map(|(name, generation)| (unit(name), *generation)).collect(),
            extra: Extra::new(),
        };
        self.write(Key::Schedule(machine(id)), &record).await;
    }

    /// Reports a unit as an agent would.
    async fn report(&self, id: &str, name: &str, uid: i64, content: &ContentKey, reached: Option<Target>) {
        let record = StateRecord {
            v: FORMAT,
            uid,
            content: content.clone(),
            restarts: 0,
            reached,
            load: "loaded".into(),
            active: "active".into(),
            sub: "running".into(),
            result: "success".into(),
            since: 5,
            n_restarts: 0,
            main_pid: 42,
            stop_bound_ms: None,
            error: String::new(),
            extra: Extra::new(),
        };
        self.write(Key::State(machine(id), unit(name)), &record).await;
    }

    async fn applied(&self, id: &str, generation: u64) {
        let record = AppliedRecord {
            v: FORMAT,
            generation,
            stopping: Default::default(),
            boot_id: "b".into(),
            extra: Extra::new(),
        };
        self.write(Key::Applied(machine(id)), &record).await;
    }

    /// Asks until the answer is as expected: the mirror follows the store's writes within a moment.
    async fn until(&self, path: &str, expected: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let limit = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            let answer = self.get(path).await;
            let json = answer.json();
            if answer.status == 200 && expected(&json) {
                return json;
            }
            assert!(tokio::time::Instant::now() < limit, "{path} stays {json}");
            tokio::task::yield_now().await;
        }
    }
}

fn machine(id: &str) -> MachineId {
    MachineId::parse(id).unwrap()
}

fn unit(name: &str) -> UnitName {
    UnitName::parse(name).unwrap()
}

/// A unit that is to run, with these options in its section `[X-Fleet]`.
fn wanted(name: &str, options: &str) -> UnitChange {
    let text = format!("[Service]\nExecStart=/bin/true\n[X-Fleet]\n{options}\n");
    let launched = Some(DesiredState::Launched);
    UnitChange { name: name.to_owned(), text: Some(text), desired_state: launched, ..UnitChange::default() }
}

/// The key of the text of such a change.
fn text_key(change: &UnitChange) -> ContentKey {
    ContentKey::of(change.text.as_deref().unwrap_or_default(), &change.drop_ins)
}

/// The key of the text that [`Served::put_unit`] stores.
fn content(exec: &str) -> ContentKey {
    ContentKey::of(&format!("[Service]\nExecStart={exec}\n"), &BTreeMap::new())
}
