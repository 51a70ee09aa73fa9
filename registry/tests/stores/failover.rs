//! The client when servers are dead, frozen, restarted, ask for a password, or speak TLS.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use etcd_client::{AuthClient, Client, ConnectOptions};
use fleet_registry::etcd::{Credentials, EtcdConfig, EtcdStore, TlsFiles};
use fleet_registry::store::{
    ErrorKind, Operation, PutRequest, RangeRequest, Request, Response, ResponseBody, Store, StoreError, TxnRequest,
    WatchItem, WatchRequest,
};
use futures::StreamExt;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::harness::{Etcd, free_port, until, within};
use crate::process::RegistryProcess;

fn config(endpoints: &[&str]) -> EtcdConfig {
    EtcdConfig {
        endpoints: endpoints.iter().map(ToString::to_string).collect(),
        keep_alive: Duration::from_millis(300),
        keep_alive_timeout: Duration::from_millis(300),
        ..EtcdConfig::default()
    }
}

fn client(endpoints: &[&str]) -> EtcdStore {
    EtcdStore::connect(config(endpoints)).expect("a client")
}

async fn get(store: &EtcdStore) -> Result<Response, StoreError> {
    within("an answer", store.call(Request::Range(RangeRequest::key("key")))).await
}

async fn put(store: &EtcdStore) -> Result<Response, StoreError> {
    let operation = Operation::Put(PutRequest::new("key", "value"));
    let request = TxnRequest { success: vec![operation], ..TxnRequest::default() };
    within("an answer", store.call(Request::Txn(request))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_endpoint_is_passed_over() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let alive = RegistryProcess::start(dir.path(), free_port()).await;
    let dead = format!("http://127.0.0.1:{}", free_port());
    let store = client(&[&dead, &alive.endpoint]);
    for _ in 0..20 {
        put(&store).await.expect("the other endpoint answers");
        get(&store).await.expect("the other endpoint answers");
    }
    let lost = client(&[&dead]);
    let error = put(&lost).await.expect_err("nobody is there");
    assert_eq!(error.kind, ErrorKind::Unavailable, "it was surely not done");
    assert!(error.message.contains(&dead) && error.message.contains("refused"), "{error}");
    let mut watch = lost.watch(WatchRequest::key("key", 0));
    let error = within("an item", watch.next()).await.expect("an item").expect_err("nobody is there");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(watch.next().await.is_none(), "an error is the last item");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_endpoint_is_left() {
    let (one, two) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let frozen = RegistryProcess::start(one.path(), free_port()).await;
    let other = RegistryProcess::start(two.path(), free_port()).await;
    let store = client(&[&frozen.endpoint, &other.endpoint]);
    let first = get(&store).await.expect("an answer").header.cluster_id;
    let mut watch = store.watch(WatchRequest::key("key", 0));
    within("a watch", watch.next()).await.expect("an item").expect("created");
    frozen.freeze(true);
    let asked = Instant::now();
    let error = put(&store).await.expect_err("no answer comes");
    assert_eq!(error.kind, ErrorKind::Unknown, "it may have been done: {error}");
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    let answer = put(&store).await.expect("the other endpoint answers");
    assert_ne!(answer.header.cluster_id, first);
    let error = within("the watch's end", watch.next()).await.expect("an item").expect_err("it is broken");
    assert!(error.is_outage(), "{error}");
    frozen.freeze(false);
    get(&store).await.expect("it stays where it is well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_is_survived() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let port = free_port();
    let mut process = RegistryProcess::start(dir.path(), port).await;
    let store = client(&[&process.endpoint]);
    let granted = store.call(Request::LeaseGrant { ttl: 60, id: 0 }).await.expect("a lease").body;
    let ResponseBody::LeaseGrant { id, .. } = granted else { panic!("not a lease: {granted:?}") };
    let keep_alive = || async { store.call(Request::LeaseKeepAlive { id }).await };
    keep_alive().await.expect("a keep-alive");
    let mut watch = store.watch(WatchRequest::key("key", 0));
    within("a watch", watch.next()).await.expect("an item").expect("created");
    process.kill();
    let error = within("the watch's end", watch.next()).await.expect("an item").expect_err("it is broken");
    assert!(error.is_outage(), "{error}");
    assert!(keep_alive().await.expect_err("nobody is there").is_outage());
    assert!(put(&store).await.expect_err("nobody is there").is_outage());
    let _process = RegistryProcess::start(dir.path(), port).await;
    until("writes are answered", || async { put(&store).await.is_ok() }).await;
    let renewed = keep_alive().await.expect("the same lease, over a new stream").body;
    assert_eq!(renewed, ResponseBody::LeaseKeepAlive { id, ttl: 60 });
    let mut watch = store.watch(WatchRequest::key("key", 1));
    within("a watch", watch.next()).await.expect("an item").expect("created");
    let item = within("an event", watch.next()).await.expect("an item").expect("no error");
    assert!(matches!(item, WatchItem::Events { .. }), "{item:?}");
}

async fn enable_auth(endpoint: &str) {
    let client = Client::connect([endpoint], None).await.expect("a client");
    let mut auth: AuthClient = client.auth_client();
    auth.user_add("root", "secret", None).await.expect("a user");
    auth.role_add("root").await.expect("a role");
    auth.user_grant_role("root", "root").await.expect("a grant");
    auth.auth_enable().await.expect("authentication");
}

fn with_password(endpoint: &str, password: &str) -> EtcdStore {
    let credentials = Credentials { user: "root".to_owned(), password: password.to_owned() };
    EtcdStore::connect(EtcdConfig { credentials: Some(credentials), ..config(&[endpoint]) }).expect("a client")
}

#[tokio::test]
async fn passwords_and_tokens() {
    // Tokens that nobody uses for a second are forgotten.
    let etcd = Etcd::spawn("http", &["--auth-token-ttl", "1"]);
    etcd.answers(&client(&[&etcd.endpoint])).await;
    let early = with_password(&etcd.endpoint, "secret");
    put(&early).await.expect("a password does no harm where none is asked for");
    enable_auth(&etcd.endpoint).await;

    let good = with_password(&etcd.endpoint, "secret");
    put(&good).await.expect("the password is right");
    put(&early).await.expect("it asks for a token once one is needed");
    let bad = with_password(&etcd.endpoint, "wrong");
    assert_eq!(put(&bad).await.expect_err("the password is wrong").kind, ErrorKind::PermissionDenied);
    let anonymous = client(&[&etcd.endpoint]);
    assert_eq!(put(&anonymous).await.expect_err("it has no password").kind, ErrorKind::PermissionDenied);

    // Another client sees that an unused token is not taken any more.
    let options = ConnectOptions::new().with_user("root", "secret");
    let mut witness = Client::connect([&etcd.endpoint], Some(options)).await.expect("a client");
    let started = Instant::now();
    until("an unused token has run out", || async { started.elapsed() > Duration::from_secs(4) }).await;
    witness.put("key", "value", None).await.expect_err("its token has run out");
    let mut watch = good.watch(WatchRequest::key("key", 0));
    let created = within("a watch", watch.next()).await.expect("an item");
    assert!(matches!(created, Ok(WatchItem::Created { .. })), "{created:?}");
    put(&early).await.expect("a new token is asked for");
    let item = within("an event", watch.next()).await.expect("an item");
    assert!(matches!(item, Ok(WatchItem::Events { .. })), "{item:?}");
}

#[tokio::test]
async fn an_idle_watch_is_not_taken_for_an_attack() {
    let etcd = Etcd::spawn("http", &["--grpc-keepalive-min-time", "1s"]);
    let store = client(&[&etcd.endpoint]);
    etcd.answers(&store).await;
    // etcd hangs up after a few probes that come too soon; with the default options they come a second later than it
    // asks for, as here.
    let margin = EtcdConfig::default().keep_alive - Duration::from_secs(5);
    assert_eq!(margin, Duration::from_secs(1));
    let watch_for = async |keep_alive| {
        let config = EtcdConfig { keep_alive, ..config(&[&etcd.endpoint]) };
        let store = EtcdStore::connect(config).expect("a client");
        let mut watch = store.watch(WatchRequest::key("key", 0));
        within("a watch", watch.next()).await.expect("an item").expect("created");
        tokio::time::timeout(Duration::from_secs(9), watch.next()).await
    };
    let (impatient, patient) =
        tokio::join!(watch_for(Duration::from_millis(300)), watch_for(Duration::from_secs(1) + margin));
    assert!(matches!(impatient, Ok(Some(Err(_)))), "it hangs up on the impatient: {impatient:?}");
    assert!(patient.is_err(), "and on nobody else: {patient:?}");
}

/// Certificates of an authority of our own, as files.
struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn make() -> Self {
        let files = Self { dir: tempfile::tempdir().expect("a temporary directory") };
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).expect("an authority");
        files.write("ca.pem", &ca.pem());
        let issuer = Issuer::new(params, key);
        for name in ["server", "client"] {
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
            let certificate = params.signed_by(&key, &issuer).expect("a certificate");
            files.write(&format!("{name}.pem"), &certificate.pem());
            files.write(&format!("{name}.key"), &key.serialize_pem());
        }
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn tls(&self) -> TlsFiles {
        TlsFiles {
            ca: Some(self.path("ca.pem")),
            certificate: Some(self.path("client.pem")),
            key: Some(self.path("client.key")),
            server_name: None,
        }
    }
}

#[tokio::test]
async fn certificates_are_checked_both_ways() {
    let files = Files::make();
    let path = |name: &str| files.path(name).display().to_string();
    let etcd = Etcd::spawn(
        "https",
        &[
            "--client-cert-auth",
            "--trusted-ca-file",
            &path("ca.pem"),
            "--cert-file",
            &path("server.pem"),
            "--key-file",
            &path("server.key"),
        ],
    );
    let with = |tls: TlsFiles| EtcdStore::connect(EtcdConfig { tls, ..config(&[&etcd.endpoint]) });
    let store = with(files.tls()).expect("a client");
    etcd.answers(&store).await;
    put(&store).await.expect("both certificates are good");

    let stranger = with(TlsFiles { certificate: None, key: None, ..files.tls() }).expect("a client");
    let error = put(&stranger).await.expect_err("it shows no certificate");
    assert!(error.is_outage(), "{error:?}");
    let elsewhere = Files::make();
    let store = with(TlsFiles { ca: Some(elsewhere.path("ca.pem")), ..files.tls() }).expect("a client");
    let error = put(&store).await.expect_err("it trusts another authority");
    assert!(error.message.to_lowercase().contains("certificate"), "{error}");
}

#[tokio::test]
async fn options_that_cannot_work_are_explained() {
    let files = Files::make();
    let refused = |config: EtcdConfig| EtcdStore::connect(config).expect_err("it cannot work").to_string();
    assert!(refused(config(&[])).contains("etcd_servers"));
    for endpoint in ["127.0.0.1:2379", "ftp://127.0.0.1:2379", "http://", "http://a b"] {
        let text = refused(config(&[endpoint]));
        assert!(text.contains(&format!("{endpoint:?}")) && text.contains("http://HOST:PORT"), "{text}");
    }
    let https = |tls: TlsFiles| refused(EtcdConfig { tls, ..config(&["https://127.0.0.1:2379"]) });
    let text = https(TlsFiles { ca: Some(Path::new("/no/such.pem").to_owned()), ..files.tls() });
    assert!(text.contains("/no/such.pem") && text.contains("etcd_cafile"), "{text}");
    let text = https(TlsFiles { key: None, ..files.tls() });
    assert!(text.contains("etcd_keyfile is missing"), "{text}");
    let text = https(TlsFiles { key: Some(files.path("ca.pem")), ..files.tls() });
    assert!(text.contains("https://127.0.0.1:2379"), "{text}");
}
