//! Single keys.

use fleet_registry::store::{DeleteRequest, ErrorKind, KeyValue, PutRequest, RangeRequest, Request};

use crate::harness::Subject;

pub(crate) async fn put_and_get(s: &Subject) {
    let first = s.put("key", "one").await;
    let second = s.put("key", "two").await;
    assert_eq!(second, first + 1);
    let expected = KeyValue {
        key: "key".into(),
        value: "two".into(),
        create_revision: first,
        mod_revision: second,
        version: 2,
        lease: 0,
    };
    assert_eq!(s.get("key").await, Some(expected));
    assert_eq!(s.get("kez").await, None);
    assert_eq!(s.get("ke").await, None);
}

pub(crate) async fn delete(s: &Subject) {
    s.put("a", "1").await;
    s.put("b", "1").await;
    assert_eq!(s.delete_key("a").await, 1);
    assert_eq!(s.delete_key("a").await, 0);
    assert_eq!(s.get("a").await, None);
    let again = s.put("a", "2").await;
    let kv = s.get("a").await.expect("the key is back");
    assert_eq!((kv.create_revision, kv.version), (again, 1), "it is another key than before");
}

pub(crate) async fn previous_values(s: &Subject) {
    let put = |value: &'static str| PutRequest { prev_kv: true, ..PutRequest::new("key", value) };
    assert_eq!(s.put_request(put("one")).await.expect("a put").1, None);
    let before = s.get("key").await;
    assert_eq!(s.put_request(put("two")).await.expect("a put").1, before);
    let before = s.get("key").await.expect("the key");
    let request = DeleteRequest { key: "key".into(), prev_kv: true, ..DeleteRequest::default() };
    let response = s.delete(request).await.expect("a deletion");
    assert_eq!((response.deleted, response.prev_kvs), (1, vec![before]));
}

pub(crate) async fn kept_value_and_lease(s: &Subject) {
    let lease = s.grant(60).await;
    s.put_request(PutRequest { lease, ..PutRequest::new("key", "one") }).await.expect("a put");
    s.put_request(PutRequest { ignore_lease: true, ..PutRequest::new("key", "two") }).await.expect("a put");
    let kv = s.get("key").await.expect("the key");
    assert_eq!((kv.value.as_ref(), kv.lease), (b"two".as_slice(), lease));
    s.put_request(PutRequest { ignore_value: true, ..PutRequest::new("key", "") }).await.expect("a put");
    let kv = s.get("key").await.expect("the key");
    assert_eq!((kv.value.as_ref(), kv.lease, kv.version), (b"two".as_slice(), 0, 3));

    let both = PutRequest { ignore_value: true, ..PutRequest::new("key", "three") };
    let error = s.put_request(both).await.expect_err("a value to ignore");
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::InvalidArgument, "etcdserver: value is provided"));
    let both = PutRequest { ignore_lease: true, lease, ..PutRequest::new("key", "three") };
    let error = s.put_request(both).await.expect_err("a lease to ignore");
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::InvalidArgument, "etcdserver: lease is provided"));
}

pub(crate) async fn absent_key_cannot_be_kept(s: &Subject) {
    for request in [
        PutRequest { ignore_value: true, ..PutRequest::new("key", "") },
        PutRequest { ignore_lease: true, ..PutRequest::new("key", "one") },
    ] {
        let error = s.put_request(request).await.expect_err("nothing to keep");
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::InvalidArgument, "etcdserver: key not found"));
    }
}

pub(crate) async fn big_values(s: &Subject) {
    let big = vec![b'x'; 1_000_000];
    for key in ["big/1", "big/2", "big/3", "big/4", "big/5", "big/6", "big/7", "big/8"] {
        s.put_request(PutRequest::new(key, big.clone())).await.expect("a megabyte fits");
    }
    let range = s.range(RangeRequest::prefix("big/")).await.expect("eight megabytes in one answer");
    assert_eq!(range.kvs.len(), 8);
    assert!(range.kvs.iter().all(|kv| kv.value == big));
}

pub(crate) async fn revisions_count_changes_only(s: &Subject) {
    let revision = s.put("a", "1").await;
    s.get("a").await;
    s.delete_key("b").await;
    s.grant(60).await;
    s.all(Vec::new()).await.expect("an empty transaction");
    let header = s.call(Request::Range(RangeRequest::key("a"))).await.expect("a read").header;
    assert_eq!(header.revision, revision);
    assert_ne!(header.cluster_id, 0);
    assert_ne!(header.member_id, 0);
    assert_eq!(s.put("a", "2").await, revision + 1);
}
