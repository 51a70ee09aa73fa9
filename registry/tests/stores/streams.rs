//! The embedded server's streams, as other clients use them.

use std::time::Duration;

use etcd_client::{Client, WatchOptions, WatchResponse, WatchStream};
use fleet_registry::embedded::{EmbeddedConfig, Listen};
use fleet_registry::store::{Operation, PutRequest, RangeRequest, Request, Store, WatchItem, WatchRequest};
use futures::StreamExt;

use crate::durability::Served;
use crate::harness::{connect, within};

async fn client(served: &Served) -> Client {
    Client::connect([served.server.address().to_string()], None).await.expect("a client")
}

async fn message(stream: &mut WatchStream) -> WatchResponse {
    within("a message", stream.message()).await.expect("no error").expect("a message")
}

fn keys(response: &WatchResponse) -> Vec<String> {
    let key = |event: &etcd_client::Event| event.kv().and_then(|kv| kv.key_str().ok()).unwrap_or_default().to_owned();
    response.events().iter().map(key).collect()
}

#[tokio::test]
async fn many_watches_share_a_stream() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    let mut client = client(&served).await;
    let mut stream = client.watch("a", None).await.expect("a stream");
    assert!(message(&mut stream).await.created());
    stream.watch("b", Some(WatchOptions::new().with_watch_id(7))).await.expect("a request");
    let second = message(&mut stream).await;
    assert_eq!((second.created(), second.watch_id()), (true, 7));

    client.put("a", "1", None).await.expect("a put");
    client.put("b", "1", None).await.expect("a put");
    let (first, second) = (message(&mut stream).await, message(&mut stream).await);
    assert_eq!((first.watch_id(), keys(&first)), (0, vec!["a".to_owned()]));
    assert_eq!((second.watch_id(), keys(&second)), (7, vec!["b".to_owned()]));

    stream.request_progress().await.expect("a request");
    let progress = message(&mut stream).await;
    let revision = |response: &WatchResponse| response.header().map(|header| header.revision());
    assert_eq!((progress.events().len(), revision(&progress)), (0, revision(&second)));

    stream.cancel(0).await.expect("a request");
    let canceled = message(&mut stream).await;
    assert_eq!((canceled.canceled(), canceled.watch_id()), (true, 0));
    client.put("a", "2", None).await.expect("a put");
    client.put("b", "2", None).await.expect("a put");
    assert_eq!(keys(&message(&mut stream).await), ["b"], "the other goes on");
    served.close().await;
}

#[tokio::test]
async fn idle_watches_hear_of_progress() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = EmbeddedConfig { progress_interval: Duration::from_millis(50), ..EmbeddedConfig::default() };
    let served = Served::open(dir.path(), config).await;
    let request = WatchRequest { progress_notify: true, ..WatchRequest::key("quiet", 0) };
    let mut watch = served.subject.store.watch(request);
    let revision = served.subject.put("other", "1").await;
    loop {
        match within("progress", watch.next()).await.expect("an item").expect("no error") {
            WatchItem::Progress { header } if header.revision == revision => break,
            WatchItem::Progress { .. } | WatchItem::Created { .. } => {}
            WatchItem::Events { .. } => panic!("nothing happened to it"),
        }
    }
    served.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_watcher_costs_no_memory_and_misses_nothing() {
    const WRITES: usize = 300;
    const VALUE: usize = 200_000;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    let s = &served.subject;
    let mut watches = Vec::new();
    for _ in 0..20 {
        let mut watch = s.store.watch(WatchRequest::prefix("big/", 0));
        within("a watch", watch.next()).await.expect("an item").expect("created");
        watches.push(watch);
    }
    for n in 0..WRITES {
        let put = PutRequest::new(format!("big/{}", n % 4), vec![b'x'; VALUE]);
        s.all(vec![Operation::Put(put)]).await.expect("a put");
    }
    // Sixty megabytes were written. History holds them once; a queue for each watcher would hold them twenty times.
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line").to_owned();
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
    };
    assert!(resident() < 10 * WRITES * VALUE, "{} bytes resident", resident());
    // A client that never reads stops nobody else.
    let mut last = watches.pop().expect("a watch");
    let mut revisions = Vec::new();
    while revisions.len() < WRITES {
        if let WatchItem::Events { events, .. } =
            within("an event", last.next()).await.expect("an item").expect("no error")
        {
            revisions.extend(events.iter().map(|event| event.kv.mod_revision));
        }
    }
    assert!(revisions.windows(2).all(|pair| pair[1] == pair[0] + 1), "each once, in order");
    served.close().await;
}

#[tokio::test]
async fn a_unix_socket_serves_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = Served::open(&dir.path().join("data"), EmbeddedConfig::default()).await;
    let path = dir.path().join("registry.sock");
    let address = Listen::Unix(path.clone());
    let server = served.registry.serve(&address).await.expect("a socket");
    let mode = std::fs::metadata(&path).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let store = connect(&address.to_string());
    store.call(Request::Range(RangeRequest::key("a"))).await.expect("an answer");
    let error = served.registry.serve(&address).await.expect_err("it is taken").to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
    server.stop().await;
    assert!(!path.exists(), "it is taken away");
    // What a crash left behind is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    let server = served.registry.serve(&address).await.expect("nobody listens there");
    store.call(Request::Range(RangeRequest::key("a"))).await.expect("an answer");
    server.stop().await;
    served.close().await;
}

#[tokio::test]
async fn a_password_is_not_needed_and_does_no_harm() {
    use fleet_registry::etcd::{Credentials, EtcdConfig, EtcdStore};
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    let credentials = Credentials { user: "root".to_owned(), password: "secret".to_owned() };
    let config = EtcdConfig {
        endpoints: vec![served.server.address().to_string()],
        credentials: Some(credentials),
        ..EtcdConfig::default()
    };
    let store = EtcdStore::connect(config).expect("a client");
    store.call(Request::Range(RangeRequest::key("a"))).await.expect("an answer");
    let mut client = client(&served).await;
    let error = client.user_list().await.expect_err("there are no users").to_string();
    assert!(error.contains("etcdserver: not capable"), "{error}");
    served.close().await;
}
