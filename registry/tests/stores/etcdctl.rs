//! etcd's own tool: what it prints of the embedded registry is what it prints of a real etcd.

use std::process::Command;

use fleet_registry::embedded::{EmbeddedConfig, Listen};

use crate::durability::Served;
use crate::harness::Etcd;

/// Calls in order, on a store that was empty.
const CALLS: &[&[&str]] = &[
    &["put", "a", "1"],
    &["put", "a", "2", "--prev-kv"],
    &["put", "b", "1"],
    &["put", "c", "--ignore-value"],
    &["get", "a"],
    &["get", "", "--prefix", "--keys-only"],
    &["get", "", "--from-key", "--limit=1"],
    &["get", "", "--prefix", "--sort-by=MODIFY", "--order=DESCEND"],
    &["get", "a", "--rev=2"],
    &["get", "a", "--rev=999"],
    &["get", "a", "--consistency=s"],
    &["endpoint", "hashkv"],
    &["endpoint", "hashkv", "--rev=3"],
    &["endpoint", "hashkv", "--rev=999"],
    &["del", "a", "--prev-kv"],
    &["put", "a", "again"],
    &["put", "gone", "1"],
    &["del", "gone"],
    &["endpoint", "hashkv"],
    &["compaction", "4"],
    &["compaction", "4"],
    &["compaction", "6", "--physical"],
    &["compaction", "999"],
    &["get", "a", "--rev=2"],
    &["watch", "a", "--rev=1"],
    &["endpoint", "hashkv"],
    &["endpoint", "hashkv", "--rev=6"],
    &["endpoint", "hashkv", "--rev=7"],
    &["lease", "list"],
    &["lease", "timetolive", "1234"],
    &["lease", "revoke", "1234"],
    &["lease", "keep-alive", "--once", "1234"],
    &["lock", "name", "echo", "held"],
    &["endpoint", "health", "--cluster"],
    &["defrag"],
    &["get", "", "--prefix"],
    &["alarm", "list"],
    &["alarm", "disarm"],
    &["move-leader", "1234"],
    &["auth", "disable"],
];

/// etcd 3.5 still has the hash of the very revision that it was compacted at; 3.4 and we have not.
const COMPACTED_HASH: &[&str] = &["endpoint", "hashkv", "--rev=6"];

fn etcd_is_3_4() -> bool {
    let output = Command::new("etcd").arg("--version").output().expect("etcd");
    String::from_utf8_lossy(&output.stdout).contains("3.4.")
}

/// Runs etcdctl; what it printed and how it ended, without what differs from run to run.
pub(crate) fn etcdctl(endpoint: &str, call: &[&str]) -> String {
    let output = Command::new("etcdctl")
        .arg(format!("--endpoints={endpoint}"))
        .args(call)
        .env("ETCDCTL_API", "3")
        .output()
        .unwrap_or_else(|e| panic!("no etcdctl: install Debian's package etcd-client ({e})"));
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let lines = said.iter().flat_map(|said| said.lines()).filter(|line| !line.starts_with("{\"level\""));
    let mut text = format!("{}", output.status);
    for line in lines {
        let line = line.replace(endpoint, "ENDPOINT");
        // How long it took.
        let line = line.split(" took = ").next().unwrap_or_default();
        let words = line.split(' ').map(|word| if is_id(word) { "ID" } else { word });
        text = format!("{text}\n{}", words.collect::<Vec<_>>().join(" "));
    }
    text
}

/// Ids of members and leases, in commas perhaps.
fn is_id(word: &str) -> bool {
    let word = word.trim_end_matches(',');
    word.len() >= 14 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_takes_it_for_etcd() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    let etcd = Etcd::start().await;
    let ours = served.server.address().to_string();
    let is_3_4 = etcd_is_3_4();
    for call in CALLS.iter().filter(|call| is_3_4 || **call != COMPACTED_HASH) {
        assert_eq!(etcdctl(&ours, call), etcdctl(&etcd.endpoint, call), "etcdctl {call:?}");
    }
    // The same fields, though not with the same in them.
    for call in [["endpoint", "status"], ["endpoint", "hashkv"], ["member", "list"]] {
        let fields = [&ours, &etcd.endpoint].map(|endpoint| etcdctl(endpoint, &call).split(", ").count());
        assert!(fields[0] > 1 && fields[0] == fields[1], "etcdctl {call:?}: {}", etcdctl(&ours, &call));
    }
    served.close().await;
}

/// A registry of one's own, in a socket that nobody else reaches: etcd's tool gives its path where a host belongs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_finds_it_at_a_unix_socket() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = Served::open(&dir.path().join("data"), EmbeddedConfig::default()).await;
    let address = Listen::Unix(dir.path().join("registry.sock"));
    let server = served.registry.serve(&address).await.expect("a socket");
    let endpoint = address.to_string();
    assert_eq!(etcdctl(&endpoint, &["put", "a", "1"]), "exit status: 0\nOK");
    assert_eq!(etcdctl(&endpoint, &["get", "a"]), "exit status: 0\na\n1");
    for call in [["endpoint", "status"].as_slice(), &["endpoint", "hashkv"], &["defrag"], &["auth", "disable"]] {
        let said = etcdctl(&endpoint, call);
        assert!(said.starts_with("exit status: 0"), "{call:?}: {said}");
    }
    server.stop().await;
    served.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_does_not_do_is_said_in_etcds_words() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    let endpoint = served.server.address().to_string();
    for call in [
        ["user", "delete", "u"].as_slice(),
        &["role", "add", "r"],
        &["auth", "enable"],
        &["member", "add", "second", "--peer-urls=http://127.0.0.1:1"],
        &["member", "remove", "1234"],
        &["member", "update", "1234", "--peer-urls=http://127.0.0.1:1"],
    ] {
        let said = etcdctl(&endpoint, call);
        assert!(!said.starts_with("exit status: 0") && said.contains("etcdserver: not capable"), "{call:?}: {said}");
    }
    served.close().await;
}
