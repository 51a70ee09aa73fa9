//! What comes in over a connection: to the API, and to the peer port before and after who knocks there is known.

use std::io;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Method, StatusCode, header};
use axum::middleware;
use axum::response::Response;
use fleet_agent::{AgentStatus, Standing};
use fleet_api::ErrorEntity;
use fleet_api::v2::{RegistryView, UnitChange};
use fleet_registry::memory::MemoryStore;
use fleet_registry::record::{ClusterId, MachineRecord, PeerEndpoint, Record};
use fleet_registry::store::{Operation, PutRequest, Request, TxnRequest};
use fleet_registry::{Key, Layout, Store};
use fleet_units::{MachineId, UnitName};
use fleetd::cluster::{Change, Cluster, ClusterConfig};
use fleetd::counts::Counts;
use fleetd::http::{Api, Caller, Health, Inviter, Limits, attend, router};
use fleetd::local::{JournalRequest, JournalStream, Local, Member, UnitTools};
use fleetd::peers::{Identity, Members, Peers, Porter, ask};
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use tokio::sync::watch;
use tokio::time::timeout;

/// No connection outlives the other end's going for so long.
const LIMIT: Duration = Duration::from_secs(8);
/// What either end may say before the other one listens.
const BUFFER: usize = 1 << 20;
/// Turns in which everything that only waits for this process is done.
const TURNS: usize = 200;

/// The machine whose fleetd is asked.
const HERE: &str = "0123456789abcdef0123456789abcdef";

/// Whatever is sent to the API, it answers in HTTP, has no bug to confess, and says of each refusal why; and its
/// connection ends with the other end's.
pub(crate) fn api(data: &[u8]) {
    run(async {
        let store = Arc::new(MemoryStore::new(1));
        let layout = Layout::default();
        let config = ClusterConfig { layout: layout.clone(), timeout: LIMIT, seed: 1, advice: None };
        let cluster = Cluster::new(Arc::<MemoryStore>::clone(&store), config, Arc::new(|| true));
        register(&store, "0").await;
        let text = Some("[Service]\nExecStart=/bin/true\n".to_owned());
        let unit = Change::check(UnitChange { name: "a.service".to_owned(), text, ..UnitChange::default() });
        cluster.writer().change(vec![unit.expect("a unit")], 0, "fuzz").await.expect("the store takes it");
        let api = Api {
            cluster,
            peers: Peers::new(Arc::clone(identity())),
            local: local(),
            registry: Arc::new(Silent),
            inviter: Inviter::Elsewhere,
            token_limit: 3,
            counts: Arc::new(Counts::new(Arc::default(), None)),
        };
        let (near, far) = duplex(BUFFER);
        let routes = router(api, &Limits::default()).layer(middleware::map_response(check));
        converse(near, far, routes, data).await;
    });
}

/// The peer port. The first byte says who is there: a stranger, who is not let in whatever it says; a machine of the
/// cluster, which is answered as people are; or one that is asked, and answers as it likes.
pub(crate) fn peers(data: &[u8]) {
    let [who, said @ ..] = data else { return };
    run(async {
        let store = Arc::new(MemoryStore::new(1));
        let me = identity();
        register(&store, &me.fingerprint).await;
        let porter = Porter::new(me, Members::new(store, Layout::default(), LIMIT)).expect("TLS is set up");
        let (mut near, far) = duplex(BUFFER);
        if who % 3 == 0 {
            let knock = async {
                say(&mut near, said).await;
                // The door may be shut before all was said.
                _ = near.shutdown().await;
                _ = near.read_to_end(&mut Vec::new()).await;
            };
            let admitted = async { porter.admit(far).await.is_ok() };
            let (admitted, ()) = within(async { tokio::join!(admitted, knock) }).await;
            assert!(!admitted, "a stranger was let in");
            return;
        }
        let peers = Peers::new(Arc::clone(me));
        let (there, here) =
            within(async { tokio::join!(porter.admit(far), peers.secure(near, &me.fingerprint)) }).await;
        let (mut there, here) = (there.expect("it is known"), here.expect("it is the one"));
        if who % 3 == 1 {
            let routes = local().peer_routes().layer(middleware::map_response(check));
            return converse(here, there, routes, said).await;
        }
        let answer = async {
            say(&mut there, said).await;
            _ = there.shutdown().await;
            _ = there.read_to_end(&mut Vec::new()).await;
        };
        let asked = async {
            match ask(here, Method::GET, "192.0.2.1:1", "/peer/v1/units/a.service/status").await {
                // It may be cut off in the middle.
                Ok(response) => _ = to_bytes(Body::new(response.into_body()), BUFFER).await,
                Err(error) => assert!(error.to_string().contains("192.0.2.1:1"), "{error}"),
            }
        };
        within(async { tokio::join!(answer, asked) }).await;
    });
}

/// Says these bytes to the routes, waits for what they have to say, and goes away. Their end goes too, unless it is in the
/// middle of a stream: who said more behind the request of one is not listened to until there is news.
async fn converse<N, F>(mut near: N, far: F, routes: Router, said: &[u8])
where
    N: AsyncRead + AsyncWrite + Unpin,
    F: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (_stop, stopped) = watch::channel(false);
    let served = attend(far, Caller::Unknown, routes, Limits::default(), stopped);
    let talk = async {
        say(&mut near, said).await;
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        // The other end may be gone by now.
        _ = near.shutdown().await;
        let mut heard = Vec::new();
        while matches!(near.read_buf(&mut heard).await, Ok(1..)) {
            if is_stream(&heard) {
                break;
            }
        }
        heard
    };
    let mut served = pin!(served);
    let heard = within(async {
        let mut talk = pin!(talk);
        tokio::select! {
            biased;
            () = &mut served => talk.await,
            heard = &mut talk => {
                if !is_stream(&heard) {
                    served.await;
                }
                heard
            }
        }
    })
    .await;
    let status = heard.strip_prefix(b"HTTP/1.1 ").or_else(|| heard.strip_prefix(b"HTTP/1.0 "));
    let answered = status.is_some_and(|rest| rest.len() > 3 && rest[..3].iter().all(u8::is_ascii_digit));
    assert!(heard.is_empty() || answered, "{}", String::from_utf8_lossy(&heard));
}

/// Whether this ends in the middle of a body without a length.
fn is_stream(heard: &[u8]) -> bool {
    String::from_utf8_lossy(heard).contains("transfer-encoding: chunked") && !heard.ends_with(b"0\r\n\r\n")
}

/// Says what the other end wants to hear of it.
async fn say(end: &mut (impl AsyncWrite + Unpin), said: &[u8]) {
    if end.write_all(said).await.is_ok() {
        _ = end.flush().await;
    }
}

/// What every answer to people is.
async fn check(response: Response) -> Response {
    let status = response.status();
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{response:?}");
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        assert!(response.headers().contains_key(header::RETRY_AFTER), "{response:?}");
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, BUFFER).await.expect("a refusal is short");
    if !body.is_empty() {
        let entity: ErrorEntity = serde_json::from_slice(&body).expect("a refusal says why");
        assert_eq!(entity.error.code, status.as_u16());
    }
    Response::from_parts(parts, Body::from(body))
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(LIMIT, work).await.expect("a connection ends with its other end")
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(work);
}

/// One key for all: making one takes longer than everything else.
fn identity() -> &'static Arc<Identity> {
    static IDENTITY: OnceLock<Arc<Identity>> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        Arc::new(Identity::load_or_make(directory.path()).expect("a key"))
    })
}

/// Puts a machine whose key has this fingerprint into the store.
async fn register(store: &MemoryStore, fingerprint: &str) {
    let id = MachineId::parse(HERE).expect("an id");
    let peer =
        PeerEndpoint { address: "192.0.2.1:1".into(), fingerprint: fingerprint.into(), extra: Default::default() };
    let record = MachineRecord {
        hostname: "here".into(),
        address: Some("192.0.2.1".into()),
        peer: Some(peer),
        ..MachineRecord::new(id.clone())
    };
    let put = Operation::Put(PutRequest::new(Layout::default().encode(&Key::Machine(id)), record.encode()));
    let request = TxnRequest { success: vec![put], ..TxnRequest::default() };
    store.call(Request::Txn(request)).await.expect("the store takes it");
}

fn local() -> Local {
    let id = MachineId::parse(HERE).expect("an id");
    Local::new(id, "192.0.2.1".into(), Arc::new(Alone::new()), Arc::new(Silent))
}

/// Where no systemd is to be asked, and no registry has anything to say of itself.
struct Silent;

impl UnitTools for Silent {
    fn journal(&self, _: &UnitName, request: &JournalRequest) -> JournalStream {
        let lines = (0..request.lines.min(3)).map(|_| Ok(Bytes::from_static(b"line\n")));
        Box::pin(futures::stream::iter(lines.collect::<Vec<_>>()))
    }

    fn status<'a>(&'a self, name: &'a UnitName) -> BoxFuture<'a, io::Result<(String, i32)>> {
        Box::pin(async move { Ok((format!("* {name}\n"), 3)) })
    }
}

impl Health for Silent {
    fn view(&self) -> BoxFuture<'_, RegistryView> {
        Box::pin(async { RegistryView::default() })
    }
}

/// A machine that is in its cluster.
struct Alone(watch::Sender<AgentStatus>);

impl Alone {
    fn new() -> Self {
        Self(watch::Sender::new(AgentStatus {
            adopted: true,
            standing: Standing::Present,
            cluster: Some(ClusterId("ours".into())),
            generation: None,
            acknowledged: 0,
            systemd: true,
            trouble: None,
            foreign: None,
        }))
    }
}

impl Member for Alone {
    fn status(&self) -> watch::Receiver<AgentStatus> {
        self.0.subscribe()
    }

    fn accept(&self, found: Option<ClusterId>) {
        self.0.send_modify(|status| status.cluster = found);
    }

    fn stop_orphan(&self, _: UnitName) {}
}
