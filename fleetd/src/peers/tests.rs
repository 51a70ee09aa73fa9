//! Two fleetds that know each other by the registry, and strangers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use fleet_registry::memory::MemoryStore;
use fleet_registry::record::{MachineRecord, PeerEndpoint, Record};
use fleet_registry::store::{Operation, PutRequest, Request, TxnRequest};
use fleet_registry::{Key, Layout, Store};
use fleet_units::MachineId;
use futures::StreamExt;
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::{Identity, Members, Peers, serve, tls};

/// Tells when it is dropped, as a journalctl would end.
struct Ends(mpsc::UnboundedSender<()>);

impl Drop for Ends {
    fn drop(&mut self) {
        _ = self.0.send(());
    }
}

struct Pair {
    here: Arc<Identity>,
    endpoint: PeerEndpoint,
    ended: mpsc::UnboundedReceiver<()>,
    store: MemoryStore,
    _stop: watch::Sender<bool>,
    _directory: tempfile::TempDir,
}

/// A served fleetd, and another in the registry if `known`.
async fn pair(known: bool) -> Pair {
    let directory = tempfile::tempdir().unwrap();
    let here = Arc::new(Identity::load_or_make(&directory.path().join("here")).unwrap());
    let there = Identity::load_or_make(&directory.path().join("there")).unwrap();
    let store = MemoryStore::new(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = PeerEndpoint {
        address: listener.local_addr().unwrap().to_string(),
        fingerprint: there.fingerprint.clone(),
        extra: Default::default(),
    };
    if known {
        register(&store, &here.fingerprint).await;
    }
    let (ends, ended) = mpsc::unbounded_channel();
    let follow = move || {
        let ends = Ends(ends.clone());
        async move {
            let lines = futures::stream::once(async { Ok::<_, std::io::Error>(Bytes::from("first\n")) });
            Body::from_stream(lines.chain(futures::stream::pending()).map(move |line| {
                let _held = &ends;
                line
            }))
        }
    };
    let router = Router::new().route("/hello", get(|| async { "hello" })).route("/follow", get(follow));
    let members = Members::new(Arc::new(store.clone()), Layout::default(), Duration::from_secs(1));
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move { serve(listener, &there, members, router, stopped).await });
    Pair { here, endpoint, ended, store, _stop: stop, _directory: directory }
}

async fn register(store: &MemoryStore, fingerprint: &str) {
    let id = MachineId::parse("here").unwrap();
    let record = MachineRecord {
        peer: Some(PeerEndpoint {
            address: "127.0.0.1:1".into(),
            fingerprint: fingerprint.to_owned(),
            extra: Default::default(),
        }),
        ..MachineRecord::new(id.clone())
    };
    let put = PutRequest::new(Layout::default().encode(&Key::Machine(id)), record.encode());
    let request = TxnRequest { success: vec![Operation::Put(put)], ..TxnRequest::default() };
    store.call(Request::Txn(request)).await.unwrap();
}

#[tokio::test]
async fn two_that_the_registry_knows_talk() {
    let pair = pair(true).await;
    let answer = Peers::new(pair.here).get(&pair.endpoint, "/hello").await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
}

#[tokio::test]
async fn a_stranger_is_turned_away_until_the_registry_knows_it() {
    let pair = pair(false).await;
    let peers = Peers::new(Arc::clone(&pair.here));
    let error = peers.get(&pair.endpoint, "/hello").await.unwrap_err().to_string();
    assert!(error.contains("did not answer"), "{error}");
    register(&pair.store, &pair.here.fingerprint).await;
    // Strangers make the server look no more than once a second.
    let limit = tokio::time::Instant::now() + Duration::from_secs(10);
    while let Err(error) = peers.get(&pair.endpoint, "/hello").await {
        assert!(tokio::time::Instant::now() < limit, "{error}");
    }
}

#[tokio::test]
async fn a_server_with_another_key_than_the_registrys_is_not_spoken_to() {
    let mut pair = pair(true).await;
    pair.endpoint.fingerprint = pair.here.fingerprint.clone();
    let error = Peers::new(pair.here).get(&pair.endpoint, "/hello").await.unwrap_err().to_string();
    assert!(error.contains("failed to connect"), "{error}");
}

/// What comes back when HTTP is spoken over this stream; a reset is as good an answer as an end.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Vec<u8> {
    let mut answer = Vec::new();
    let ask = async {
        stream.write_all(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n").await?;
        stream.read_to_end(&mut answer).await
    };
    _ = tokio::time::timeout(Duration::from_secs(10), ask).await.expect("the connection is closed");
    answer
}

#[tokio::test]
async fn who_speaks_no_tls_gets_no_byte_of_http() {
    let pair = pair(true).await;
    let stream = TcpStream::connect(&pair.endpoint.address).await.unwrap();
    let answer = answer(stream).await;
    assert!(!answer.windows(4).any(|bytes| bytes == b"HTTP"), "{answer:?}");
}

#[tokio::test]
async fn who_shows_no_certificate_gets_no_byte_of_http() {
    let pair = pair(true).await;
    let verifier = tls::pinned_server(tls::provider(), &pair.endpoint.fingerprint);
    let config = rustls::ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let stream = TcpStream::connect(&pair.endpoint.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    // Under TLS 1.3 the refusal may come only after the handshake.
    if let Ok(stream) = connector.connect("fleetd".try_into().unwrap(), stream).await {
        assert_eq!(answer(stream).await, b"");
    }
}

#[tokio::test]
async fn a_stream_comes_as_it_is_sent_and_ends_when_the_reader_leaves() {
    let mut pair = pair(true).await;
    let answer = Peers::new(pair.here).get(&pair.endpoint, "/follow").await.unwrap();
    let mut body = answer.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "first\n");
    assert!(pair.ended.try_recv().is_err(), "it goes on");
    drop(body);
    tokio::time::timeout(Duration::from_secs(10), pair.ended.recv()).await.expect("the other end stops");
}

#[tokio::test]
async fn an_identity_is_kept_and_private_and_a_damaged_one_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let first = Identity::load_or_make(directory.path()).unwrap();
    let again = Identity::load_or_make(directory.path()).unwrap();
    assert_eq!(first.fingerprint, again.fingerprint);
    for file in ["peer.key", "peer.crt"] {
        let mode = std::fs::metadata(directory.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    std::fs::write(directory.path().join("peer.key"), "garbage").unwrap();
    let other = Identity::load_or_make(directory.path()).unwrap();
    assert_ne!(first.fingerprint, other.fingerprint);
    assert_eq!(other.fingerprint, Identity::load_or_make(directory.path()).unwrap().fingerprint);
}
