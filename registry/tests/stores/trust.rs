//! A registry that is served beyond its machine: who joins it, who is turned away, and what a machine may do there.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fleet_registry::embedded::{Embedded, EmbeddedConfig, Secure, ServeHandle};
use fleet_registry::etcd::{EtcdConfig, EtcdStore, TlsFiles};
use fleet_registry::store::{
    ErrorKind, Operation, PutRequest, RangeRequest, Request, ResponseBody, Store, StoreError, TxnRequest, WatchItem,
    WatchRequest,
};
use fleet_registry::trust::{
    Authority, CertificateRequest, Invitation, JoinError, Lifetimes, Papers, TokenRequest, join, keep_current,
};
use fleet_registry::{Key, Layout};
use fleet_units::MachineId;
use futures::StreamExt;

use crate::harness::{LIMIT, until, within};

const LONG: Duration = Duration::from_secs(90 * 24 * 3600);

/// A registry that is served with certificates.
struct Trusted {
    dir: tempfile::TempDir,
    authority: Arc<Authority>,
    server: ServeHandle,
    _registry: Embedded,
}

impl Trusted {
    async fn start(lifetimes: Lifetimes) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let registry = Embedded::open(dir.path(), EmbeddedConfig::default()).expect("a new registry");
        let authority = Arc::new(Authority::open(dir.path(), lifetimes).expect("an authority"));
        let secure = Secure {
            authority: Arc::clone(&authority),
            names: Arc::new(|| vec!["localhost".to_owned()]),
            root: Layout::default().root().to_owned(),
        };
        let address = "127.0.0.1:0".parse().expect("an address");
        let server = registry.serve_secure(address, secure).await.expect("a free port");
        Self { dir, authority, server, _registry: registry }
    }

    fn address(&self) -> String {
        self.server.address().to_string().trim_start_matches("http://").to_owned()
    }

    fn invite(&self) -> Invitation {
        self.authority.make_token(&self.address(), TokenRequest::default()).expect("a token").invitation
    }

    /// A machine joins with a token, and keeps its papers below a directory.
    async fn admit(&self, name: &str) -> Papers {
        let directory = self.dir.path().join(name);
        enter(&self.invite(), name, &directory).await.expect("it joins")
    }

    fn config(&self, tls: TlsFiles) -> EtcdConfig {
        EtcdConfig {
            endpoints: vec![format!("https://{}", self.address())],
            tls,
            request_timeout: Duration::from_secs(10),
            ..EtcdConfig::default()
        }
    }

    fn client(&self, tls: TlsFiles) -> EtcdStore {
        EtcdStore::connect(self.config(tls)).expect("the files are good")
    }

    fn administrator(&self) -> TlsFiles {
        let file = Some(self.authority.administrator_file());
        TlsFiles { ca: Some(self.authority.ca_file()), certificate: file.clone(), key: file, server_name: None }
    }
}

fn machine(name: &str) -> MachineId {
    MachineId::parse(name).expect("an id")
}

async fn enter(invitation: &Invitation, name: &str, directory: &Path) -> Result<Papers, JoinError> {
    let request = CertificateRequest::first(directory, &machine(name)).expect("a request");
    let (certificate, authority) = join(invitation, &machine(name), &request, LIMIT).await?;
    Ok(Papers::keep(directory, &invitation.address, &authority, &request, &certificate).expect("they are kept"))
}

async fn put(store: &EtcdStore, request: PutRequest) -> Result<i64, StoreError> {
    let request = TxnRequest { success: vec![Operation::Put(request)], ..TxnRequest::default() };
    Ok(within("a put", store.call(Request::Txn(request))).await?.header.revision)
}

async fn write(store: &EtcdStore, key: &Key) -> Result<i64, StoreError> {
    put(store, PutRequest::new(Layout::default().encode(key), "1")).await
}

async fn read(store: &EtcdStore) -> Result<(), StoreError> {
    within("an answer", store.call(Request::Range(RangeRequest::key("a")))).await.map(drop)
}

async fn grant(store: &EtcdStore) -> i64 {
    match within("a lease", store.call(Request::LeaseGrant { ttl: 600, id: 0 })).await.expect("a lease").body {
        ResponseBody::LeaseGrant { id, .. } => id,
        other => panic!("not a lease: {other:?}"),
    }
}

/// Refused by the registry, which says this.
fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>, words: &str) {
    let error = result.expect_err(words);
    assert_eq!(error.kind, ErrorKind::PermissionDenied, "{error:?}");
    assert!(error.message.contains(words), "{words}: {error}");
}

/// Who may reach the registry could do everything as root everywhere: nobody does without a certificate, and each who is
/// turned away hears why, or would look for the reason in the wrong place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_join_with_a_token_and_others_hear_why_they_may_not() {
    let registry = Trusted::start(Lifetimes::default()).await;
    let elsewhere = Trusted::start(Lifetimes::default()).await;
    let directory = |name: &str| registry.dir.path().join(name);
    let denied = |outcome: Result<Papers, JoinError>, words: &str| {
        let error = outcome.expect_err(words);
        assert!(!error.may_pass() && error.to_string().contains(words), "{words}: {error}");
    };

    // Nobody without a certificate.
    let stranger = TlsFiles { certificate: None, key: None, ..registry.administrator() };
    refused(read(&registry.client(stranger)).await, "for those who have a certificate");

    // One joins, and what it is given is good.
    let token = registry.invite();
    let papers = enter(&token, "m1", &directory("m1")).await.expect("it joins");
    let store = registry.client(papers.files());
    write(&store, &Key::Machine(machine("m1"))).await.expect("its own record");
    let mode = |path: PathBuf| std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).expect("a file")) & 0o777;
    for file in ["m1/machine.pem", "m1/ca.crt", "m1/registry.json", "trust/authority.pem", "trust/administrator.pem"] {
        assert_eq!(mode(directory(file)), 0o600, "{file}");
    }
    assert!(!directory("m1/asking.pem").exists(), "the key is kept once");

    // The token was stolen, and comes too late; another is old, another of another registry, another for nobody.
    denied(enter(&token, "thief", &directory("thief")).await, "used up, the last time by machine m1");
    let short = TokenRequest { ttl: Duration::ZERO, uses: 1 };
    let old = registry.authority.make_token(&registry.address(), short).expect("a token").invitation;
    let made = seconds();
    until("its time is over by the clock", || async { seconds() > made }).await;
    denied(enter(&old, "m2", &directory("m2")).await, "was good until");
    let misled = Invitation { address: registry.address(), ..elsewhere.invite() };
    denied(enter(&misled, "m2", &directory("m2")).await, "somebody stands in between");
    let unknown = Invitation { authority: registry.authority.fingerprint(), ..misled };
    denied(enter(&unknown, "m2", &directory("m2")).await, "knows no such token");
    let guessed = Invitation { secret: "00".repeat(16), ..registry.invite() };
    denied(enter(&guessed, "m2", &directory("m2")).await, "knows no such token");

    // Nor does anybody take the place of a machine that is there.
    denied(enter(&registry.invite(), "m1", &directory("clone")).await, "the same /etc/machine-id");

    // A certificate of another registry, and this one's under the name of another's.
    let foreign = elsewhere.admit("m1").await.files();
    let foreign = TlsFiles { ca: Some(registry.authority.ca_file()), ..foreign };
    refused(read(&registry.client(foreign)).await, "was not signed by this registry's authority");
    let deceived = TlsFiles { ca: Some(elsewhere.authority.ca_file()), ..papers.files() };
    let error = read(&registry.client(deceived)).await.expect_err("it is not that registry");
    assert!(error.message.contains("UnknownIssuer") && error.kind == ErrorKind::Unavailable, "{error:?}");
}

/// A machine that was broken into could pass for others: hide that they are gone, acknowledge in their name what they
/// still run, or make them lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_writes_its_own_records_alone() {
    let registry = Trusted::start(Lifetimes::default()).await;
    let (one, two) = (registry.admit("m1").await.files(), registry.admit("m2").await.files());
    let (one, two) = (registry.client(one), registry.client(two));
    let lease = grant(&one).await;
    let presence = Layout::default().encode(&Key::Machine(machine("m1")));
    put(&one, PutRequest { lease, ..PutRequest::new(presence, "1") }).await.expect("its own record");
    for key in [Key::Machine(machine("m1")), Key::Applied(machine("m1")), Key::State(machine("m1"), unit())] {
        refused(write(&two, &key).await, "machine m2 may not write the records of machine m1");
    }
    write(&two, &Key::Schedule(machine("m1"))).await.expect("any machine may lead");
    refused(put(&two, PutRequest::new("elsewhere", "1")).await, "may write below /_coreos.com/fleet/v3/");
    let call = |request: Request| within("an answer", two.call(request));
    refused(call(Request::LeaseRevoke { id: lease }).await, "may not end or renew the lease of machine m1");
    refused(call(Request::LeaseKeepAlive { id: lease }).await, "may not end or renew the lease of machine m1");
    refused(call(Request::Compact { revision: 1, physical: false }).await, "not good for Compact");
    within("a keep-alive", one.call(Request::LeaseKeepAlive { id: lease })).await.expect("its own lease");

    // Administrators may do everything.
    let administrator = registry.client(registry.administrator());
    put(&administrator, PutRequest::new("elsewhere", "1")).await.expect("anywhere");
    write(&administrator, &Key::Applied(machine("m1"))).await.expect("anything");
    within("an answer", administrator.call(Request::LeaseRevoke { id: lease })).await.expect("any lease");
}

/// A lease outlives the registry's process, and so must its being one machine's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_leases_are_whose_they_were() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut first = None;
    for _ in 0..2 {
        let registry = Embedded::open(dir.path(), EmbeddedConfig::default()).expect("the registry opens");
        let authority = Arc::new(Authority::open(dir.path(), Lifetimes::default()).expect("an authority"));
        let (names, root) = (Arc::new(Vec::new), Layout::default().root().to_owned());
        let secure = Secure { authority: Arc::clone(&authority), names, root };
        let server = registry.serve_secure("127.0.0.1:0".parse().expect("an address"), secure).await.expect("a port");
        let client = |name: &str| {
            let request = CertificateRequest::new(&machine(name)).expect("a request");
            let certificate = authority.certify(&machine(name), request.der()).expect("a certificate");
            let address = server.address().to_string().trim_start_matches("http://").to_owned();
            let directory = dir.path().join(name);
            let kept = Papers::keep(&directory, &address, authority.certificate_pem(), &request, &certificate);
            let papers = kept.expect("they are kept");
            let config =
                EtcdConfig { endpoints: vec![papers.endpoint()], tls: papers.files(), ..EtcdConfig::default() };
            EtcdStore::connect(config).expect("a client")
        };
        match first {
            None => {
                let one = client("m1");
                let lease = grant(&one).await;
                let presence = Layout::default().encode(&Key::Machine(machine("m1")));
                put(&one, PutRequest { lease, ..PutRequest::new(presence, "1") }).await.expect("its own record");
                first = Some(lease);
            }
            Some(id) => {
                let outcome = within("an answer", client("m2").call(Request::LeaseRevoke { id })).await;
                refused(outcome, "may not end or renew the lease of machine m1");
                within("an answer", client("m1").call(Request::LeaseRevoke { id })).await.expect("its own lease");
            }
        }
        server.stop().await;
        registry.close().await;
    }
}

/// A clock that is wrong by more than certificates allow for shuts a machine out; it has to be told that it is the clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_clock_is_named() {
    let registry = Trusted::start(Lifetimes::default()).await;
    // The same authority, on a machine whose clock is a day ahead: what it signs counts from tomorrow.
    let ahead = Lifetimes { offset: 24 * 3600, ..Lifetimes::default() };
    let early = Authority::open(registry.dir.path(), ahead).expect("the authority");
    let request = CertificateRequest::new(&machine("m1")).expect("a request");
    let certificate = early.certify(&machine("m1"), request.der()).expect("a certificate");
    let directory = registry.dir.path().join("m1");
    let address = registry.address();
    let papers = Papers::keep(&directory, &address, early.certificate_pem(), &request, &certificate).expect("papers");
    refused(read(&registry.client(papers.files())).await, "the certificate of machine m1 is not valid yet");
    refused(read(&registry.client(papers.files())).await, "clocks is wrong");

    let tomorrow = Trusted::start(ahead).await;
    let error = enter(&tomorrow.invite(), "m1", &tomorrow.dir.path().join("m1")).await.expect_err("it counts tomorrow");
    assert!(error.to_string().contains("not valid yet") && error.to_string().contains("clocks is wrong"), "{error}");
    let error = read(&tomorrow.client(tomorrow.administrator())).await.expect_err("it counts tomorrow");
    assert!(error.message.contains("not valid yet") && error.message.contains("clocks is wrong"), "{error}");
}

/// Seconds by the clock.
fn seconds() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970").as_secs()
}

/// A cluster that stands for months would fall apart on the day when certificates run out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_renewed_while_everything_runs() {
    let short = Lifetimes { authority: LONG, others: Duration::from_secs(6), offset: 0 };
    let registry = Trusted::start(short).await;
    let papers = registry.admit("m1").await;
    let (first, files) = (papers.not_after(), papers.files());
    let store = registry.client(files.clone());
    let renewing = tokio::spawn(keep_current(papers, store.clone(), registry.config(TlsFiles::default())));
    let prefix = Layout::default().root().to_owned();
    let mut watch = store.watch(WatchRequest::prefix(prefix, 0));
    assert!(matches!(within("a watch", watch.next()).await, Some(Ok(WatchItem::Created { .. }))));
    let lease = grant(&store).await;
    // Another one's is not renewed.
    let neglected = registry.admit("m2").await.files();
    let idle = registry.client(neglected.clone());
    read(&idle).await.expect("it counts still");

    // Until both ends' first certificates have run out; nothing that runs notices.
    let directory = registry.dir.path().join("m1");
    let current = || Papers::load(&directory).expect("papers").expect("papers").not_after();
    let written = Cell::new(0);
    until("the first certificates have run out by the clock", || async {
        write(&store, &Key::Machine(machine("m1"))).await.expect("a write is never refused");
        within("a keep-alive", store.call(Request::LeaseKeepAlive { id: lease })).await.expect("nor is a keep-alive");
        written.set(written.get() + 1);
        seconds() > first
    })
    .await;
    assert!(current() > first + 3, "{} after {first}", current());
    let mut seen = 0;
    while seen < written.get() {
        match within("an event", watch.next()).await {
            Some(Ok(WatchItem::Events { events, .. })) => seen += events.len(),
            other => panic!("the watch was dropped: {other:?}"),
        }
    }
    // A new connection, both ways.
    read(&registry.client(files.clone())).await.expect("the new certificate");
    read(&registry.client(registry.administrator())).await.expect("the administrators' new certificate");

    // One that is not renewed counts no more, on a connection that is open either.
    refused(read(&idle).await, "the certificate of machine m2 ran out at");
    refused(read(&registry.client(neglected)).await, "the certificate of machine m2 ran out at");
    renewing.abort();
}

/// Who administers the registry uses etcd's own tools; without the files they are turned away in words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_uses_the_same_files() {
    let registry = Trusted::start(Lifetimes::default()).await;
    let papers = registry.admit("m1").await.files();
    let etcdctl = |files: Option<&TlsFiles>, call: &[&str]| {
        let mut command = Command::new("etcdctl");
        command.arg(format!("--endpoints=https://{}", registry.address())).arg("--dial-timeout=20s");
        command.arg("--cacert").arg(registry.authority.ca_file());
        if let Some((certificate, key)) = files.and_then(|files| files.certificate.as_ref().zip(files.key.as_ref())) {
            command.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        let output = command.args(call).env("ETCDCTL_API", "3").stdin(Stdio::null()).output().expect("etcdctl runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
    };
    let administrator = registry.administrator();
    let root = Layout::default().root().to_owned();
    assert_eq!(etcdctl(Some(&administrator), &["put", "a", "1"]), (true, "OK\n".to_owned()));
    assert_eq!(etcdctl(Some(&administrator), &["get", "a"]), (true, "a\n1\n".to_owned()));
    assert_eq!(etcdctl(Some(&papers), &["get", "a"]), (true, "a\n1\n".to_owned()));
    let (_, said) = etcdctl(Some(&administrator), &["member", "list"]);
    assert!(said.contains("https://127.0.0.1:"), "{said}");
    let (done, said) = etcdctl(Some(&papers), &["del", &format!("{root}machines/"), "--prefix"]);
    assert!(!done && said.contains("other machines' records"), "{said}");
    let (done, said) = etcdctl(Some(&papers), &["defrag"]);
    assert!(!done && said.contains("administrators' certificate"), "{said}");
    let (done, said) = etcdctl(None, &["get", "a"]);
    assert!(!done && said.contains("for those who have a certificate"), "{said}");
}

fn unit() -> fleet_units::UnitName {
    "hello.service".parse().expect("a name")
}
