//! A registry that is full: what is refused and what is not, and how it comes out of it.

use fleet_registry::embedded::EmbeddedConfig;

use crate::durability::Served;
use crate::etcdctl::etcdctl;
use crate::harness::{Etcd, connect};

const QUOTA: u64 = 4 * 1024 * 1024;
/// Far more values of this size than there is room for: etcd finds out a tenth of a second later how large it is.
const VALUE_BYTES: usize = 100 * 1024;
const TOO_MANY: usize = 1000;

/// From a full store to one that takes writes again.
const CALLS: &[&[&str]] = &[
    &["put", "one-more", "1"],
    &["lease", "grant", "60"],
    &["alarm", "list"],
    &["get", "full/", "--prefix", "--count-only", "--write-out=fields"],
    &["del", "full/", "--prefix"],
    &["put", "one-more", "1"],
    &["alarm", "list"],
    &["defrag"],
    &["put", "one-more", "1"],
    &["alarm", "disarm"],
    &["alarm", "list"],
    &["put", "one-more", "1"],
    &["get", "one-more"],
];

/// Without what differs from run to run, or follows from how many keys there was room for.
fn told(endpoint: &str, call: &[&str]) -> String {
    let said = etcdctl(endpoint, call);
    let without_numbers = said.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty());
    without_numbers.collect::<Vec<_>>().join("N")
}

/// Fills a store until it refuses. Returns what it said.
async fn fill(endpoint: &str) -> String {
    let store = crate::harness::Subject::of(std::sync::Arc::new(connect(endpoint)));
    let value = "v".repeat(VALUE_BYTES);
    for n in 0..TOO_MANY {
        let put = fleet_registry::store::PutRequest::new(format!("full/{n}"), value.clone());
        if let Err(error) = store.put_request(put).await {
            return format!("{:?}: {}", error.kind, error.message);
        }
    }
    panic!("{TOO_MANY} values were taken");
}

/// Who keeps more in it than its disk was meant for would find the disk full, and everything else on that machine in
/// trouble; and who comes from etcd would not know how to get it going again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_quota_is_told_and_cleared_as_etcds() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = EmbeddedConfig { quota_bytes: QUOTA, ..EmbeddedConfig::default() };
    let served = Served::open(dir.path(), config).await;
    let etcd = Etcd::spawn("http", &["--quota-backend-bytes", &QUOTA.to_string()]);
    etcd.answers(&connect(&etcd.endpoint)).await;
    let ours = served.server.address().to_string();
    assert_eq!(fill(&ours).await, fill(&etcd.endpoint).await);
    for call in CALLS {
        let compact = |endpoint: &str| {
            let revision = etcdctl(endpoint, &["get", "x", "--write-out=json"]);
            let revision =
                revision.split("\"revision\":").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or("1");
            told(endpoint, &["compaction", "--physical", revision])
        };
        if *call == ["defrag"] {
            assert_eq!(compact(&ours), compact(&etcd.endpoint));
        }
        assert_eq!(told(&ours, call), told(&etcd.endpoint, call), "etcdctl {call:?}");
    }
    let status = etcdctl(&ours, &["endpoint", "status"]);
    assert!(!status.contains("NOSPACE"), "{status}");
    served.close().await;
}
