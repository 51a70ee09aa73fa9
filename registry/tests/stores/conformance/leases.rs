//! Leases.

use std::time::{Duration, Instant};

use fleet_registry::store::{
    ErrorKind, LeaseStatus, Operation, PutRequest, Request, ResponseBody, StoreError, WatchRequest,
};

use crate::harness::{Subject, story, until, within};

async fn status(s: &Subject, id: i64) -> LeaseStatus {
    match s.call(Request::LeaseTimeToLive { id, keys: true }).await.expect("a lease's status").body {
        ResponseBody::LeaseTimeToLive(status) => status,
        other => panic!("not a lease's status: {other:?}"),
    }
}

async fn keep_alive(s: &Subject, id: i64) -> i64 {
    match s.call(Request::LeaseKeepAlive { id }).await.expect("a keep-alive").body {
        ResponseBody::LeaseKeepAlive { id: same, ttl } => {
            assert_eq!(same, id);
            ttl
        }
        other => panic!("not a keep-alive: {other:?}"),
    }
}

async fn attach(s: &Subject, key: &str, lease: i64) -> Result<i64, StoreError> {
    let request = PutRequest { lease, ..PutRequest::new(key.to_owned(), "x") };
    Ok(s.put_request(request).await?.0)
}

pub(crate) async fn grant_and_revoke(s: &Subject) {
    let id = s.grant(60).await;
    assert!(id > 0);
    attach(s, "b", id).await.expect("a put");
    let last = attach(s, "a", id).await.expect("a put");
    let before = status(s, id).await;
    assert_eq!((before.granted_ttl, before.keys), (60, vec!["a".into(), "b".into()]));
    assert!((55..=60).contains(&before.ttl), "{}", before.ttl);
    let mut all = s.watch(WatchRequest { key: "a".into(), range_end: "c".into(), ..WatchRequest::default() }).await;
    let revoked = s.call(Request::LeaseRevoke { id }).await.expect("a revocation");
    assert_eq!(revoked.body, ResponseBody::LeaseRevoke);
    let events = all.item().await.expect("both deletions in one item");
    assert_eq!(story(&events), ["delete a", "delete b"]);
    assert!(events.iter().all(|event| event.kv.mod_revision == last + 1), "as one revision");
    assert_eq!(s.get("a").await, None);
    assert_eq!(status(s, id).await.ttl, -1);
}

pub(crate) async fn expiry_deletes_keys(s: &Subject) {
    let started = Instant::now();
    let id = s.grant(2).await;
    attach(s, "key", id).await.expect("a put");
    until("the lease runs out", || async { s.get("key").await.is_none() }).await;
    assert!(started.elapsed() >= Duration::from_secs(2), "not before its time");
    assert!(started.elapsed() <= Duration::from_secs(8), "soon after its time");
    assert_eq!(keep_alive(s, id).await, 0);
    assert_eq!(attach(s, "key", id).await.expect_err("it is gone").kind, ErrorKind::LeaseNotFound);
}

pub(crate) async fn keep_alive_holds(s: &Subject) {
    let id = s.grant(2).await;
    attach(s, "key", id).await.expect("a put");
    let started = Instant::now();
    within("three times its time", async {
        while started.elapsed() < Duration::from_secs(5) {
            assert_eq!(keep_alive(s, id).await, 2);
            assert!(s.get("key").await.is_some(), "it is kept alive");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    })
    .await;
}

pub(crate) async fn keys_change_leases(s: &Subject) {
    let (one, two) = (s.grant(60).await, s.grant(60).await);
    attach(s, "key", one).await.expect("a put");
    attach(s, "key", two).await.expect("a put");
    assert_eq!(status(s, one).await.keys, Vec::<bytes::Bytes>::new());
    s.call(Request::LeaseRevoke { id: one }).await.expect("a revocation");
    assert!(s.get("key").await.is_some(), "it hangs on the other");
    s.put("key", "free").await;
    s.call(Request::LeaseRevoke { id: two }).await.expect("a revocation");
    assert!(s.get("key").await.is_some(), "it hangs on none");
    let three = s.grant(60).await;
    attach(s, "key", three).await.expect("a put");
    s.delete_key("key").await;
    s.put("key", "new").await;
    s.call(Request::LeaseRevoke { id: three }).await.expect("a revocation");
    assert!(s.get("key").await.is_some(), "a new key of the same name hangs on none");
}

pub(crate) async fn unknown_leases(s: &Subject) {
    let error = s.call(Request::LeaseRevoke { id: 4711 }).await.expect_err("no such lease");
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::LeaseNotFound, "etcdserver: requested lease not found")
    );
    assert!(keep_alive(s, 4711).await <= 0);
    let absent = status(s, 4711).await;
    assert_eq!((absent.id, absent.ttl, absent.granted_ttl), (4711, -1, 0));
    let error = attach(s, "key", 4711).await.expect_err("no such lease");
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::LeaseNotFound, "etcdserver: requested lease not found")
    );
    // A lease that is not there does not stop the next question.
    let id = s.grant(60).await;
    assert_eq!(keep_alive(s, id).await, 60);
}

pub(crate) async fn listing(s: &Subject) {
    let ids = vec![s.grant(60).await, s.grant(60).await, s.grant(60).await];
    let list = s.call(Request::Leases).await.expect("a list").body;
    assert_eq!(list, ResponseBody::Leases(ids), "as they run out");
}

pub(crate) async fn limits_of_ttl(s: &Subject) {
    let granted = s.call(Request::LeaseGrant { ttl: 1, id: 77 }).await.expect("a lease").body;
    assert_eq!(granted, ResponseBody::LeaseGrant { id: 77, ttl: 2 }, "never shorter than two seconds");
    let error = s.call(Request::LeaseGrant { ttl: 60, id: 77 }).await.expect_err("it is taken");
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::LeaseExists, "etcdserver: lease already exists"));
    let error = s.call(Request::LeaseGrant { ttl: 9_000_000_001, id: 0 }).await.expect_err("for ever");
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::LeaseTtlTooLarge, "etcdserver: too large lease TTL"));
}

pub(crate) async fn txn_with_unknown_lease(s: &Subject) {
    let revision = s.put("a", "1").await;
    let bad = PutRequest { lease: 4711, ..PutRequest::new("b", "1") };
    let error = s.all(vec![Operation::Put(PutRequest::new("a", "2")), Operation::Put(bad)]).await;
    assert_eq!(error.expect_err("no such lease").kind, ErrorKind::LeaseNotFound);
    assert_eq!(s.get("a").await.map(|kv| kv.mod_revision), Some(revision));
}
