//! Every key of the new registry against the old one's.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use fleet_registry::Store;
use fleet_registry::etcd::{EtcdConfig, EtcdStore, TlsFiles};
use fleet_registry::memory::{Memory, Saved};
use fleet_registry::store::{KeyValue, RangeRequest, RangeResponse, Request, Response, ResponseBody, StoreError};
use tokio::time::Instant;

/// Keys that are asked for at once: each may have a megabyte.
const PAGE: i64 = 100;
/// How long the new registry may take to answer for the first time.
const LIMIT: Duration = Duration::from_secs(60);
/// How often it is tried until then.
const PAUSE: Duration = Duration::from_millis(100);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Holds every key against what was saved: value, revisions, version, and lease. Returns how many there are.
pub(super) fn check(endpoint: &str, tls: TlsFiles, saved: &Saved) -> anyhow::Result<usize> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let endpoints = vec![endpoint.to_owned()];
        let config = EtcdConfig { endpoints, tls, request_timeout: PATIENCE, ..EtcdConfig::default() };
        let store = EtcdStore::connect(config)?;
        until_it_answers(&store).await.with_context(|| format!("no registry answers at {endpoint}"))?;
        compare(&store, saved).await
    })
}

async fn until_it_answers(store: &EtcdStore) -> Result<(), StoreError> {
    let end = Instant::now() + LIMIT;
    loop {
        match store.call(Request::Range(RangeRequest { limit: 1, ..everything_from(b"\0") })).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn compare(store: &EtcdStore, saved: &Saved) -> anyhow::Result<usize> {
    let revision = saved.revision;
    let mut memory = Memory::restore(Duration::ZERO, saved.clone(), 0);
    let expected = memory.apply(Duration::ZERO, Request::Range(everything_from(b"\0")));
    let expected = range(expected)?.kvs;
    let mut from = b"\0".to_vec();
    let mut left = expected.iter();
    loop {
        let request = RangeRequest { limit: PAGE, revision, ..everything_from(&from) };
        let page = range(store.call(Request::Range(request)).await)?;
        for found in &page.kvs {
            let wanted = left.next();
            ensure!(wanted == Some(found), "{} is not what it was", shown(wanted.unwrap_or(found)));
        }
        match page.kvs.last().filter(|_| page.more) {
            Some(last) => from = [&last.key[..], b"\0"].concat(),
            None => break,
        }
    }
    match left.next() {
        Some(missing) => bail!("{} is missing", shown(missing)),
        None => Ok(expected.len()),
    }
}

fn everything_from(key: &[u8]) -> RangeRequest {
    RangeRequest { range_end: vec![0].into(), ..RangeRequest::key(key.to_vec()) }
}

fn range(response: Result<Response, StoreError>) -> anyhow::Result<RangeResponse> {
    match response?.body {
        ResponseBody::Range(range) => Ok(range),
        other => bail!("the registry gave an answer of another kind: {other:?}"),
    }
}

fn shown(kv: &KeyValue) -> String {
    format!("the key {:?}", String::from_utf8_lossy(&kv.key))
}

#[cfg(test)]
mod tests {
    use fleet_registry::embedded::{Embedded, EmbeddedConfig};
    use fleet_registry::memory::{Numbers, Version};
    use fleet_registry::store::{Operation, PutRequest, TxnRequest};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_key_that_differs_or_is_missing_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let registry = Embedded::open(directory.path(), EmbeddedConfig::default()).unwrap();
        let server = registry.serve(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let endpoints = vec![server.address().to_string()];
        let store = EtcdStore::connect(EtcdConfig { endpoints, ..EtcdConfig::default() }).unwrap();
        for n in 0..2 * PAGE + 1 {
            let success = vec![Operation::Put(PutRequest::new(format!("key/{n}"), "value"))];
            store.call(Request::Txn(TxnRequest { success, ..TxnRequest::default() })).await.unwrap();
        }
        let saved = registry.snapshot().await.unwrap();
        until_it_answers(&store).await.unwrap();
        assert_eq!(compare(&store, &saved).await.unwrap(), saved.versions.len());
        let mut other = saved.clone();
        let version = &mut other.versions[7];
        let numbers = Numbers { create_revision: version.numbers().create_revision - 1, ..version.numbers() };
        *version = Version::new(numbers, version.key(), version.value());
        assert!(compare(&store, &other).await.unwrap_err().to_string().contains("key/7\" is not what it was"));
        let mut more = saved;
        let version = &more.versions[7];
        let version = Version::new(version.numbers(), b"zzz", version.value());
        more.versions.push(version);
        assert!(compare(&store, &more).await.unwrap_err().to_string().contains("zzz\" is missing"));
        registry.close().await;
        server.stop().await;
    }
}
