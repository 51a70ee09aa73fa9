//! Transactions.

use fleet_registry::store::{
    Compare, CompareOp, CompareTarget, DeleteRequest, ErrorKind, Operation, OperationResponse, PutRequest,
    RangeRequest, TxnRequest, prefix_end,
};

use crate::harness::{Subject, names};

fn put(key: &str, value: &str) -> Operation {
    Operation::Put(PutRequest::new(key.to_owned(), value.to_owned()))
}

fn get(key: &str) -> Operation {
    Operation::Range(RangeRequest::key(key.to_owned()))
}

fn delete(key: &str) -> Operation {
    Operation::Delete(DeleteRequest { key: key.to_owned().into(), ..DeleteRequest::default() })
}

fn compare(key: &str, op: CompareOp, target: CompareTarget) -> Compare {
    Compare { op, ..Compare::equal(key.to_owned(), target) }
}

pub(crate) async fn compares(s: &Subject) {
    let created = s.put("key", "b").await;
    let modified = s.put("key", "b").await;
    let lease = s.grant(60).await;
    s.put_request(PutRequest { lease, ..PutRequest::new("leased", "") }).await.expect("a put");
    use CompareOp::{Equal, Greater, Less, NotEqual};
    use CompareTarget::{Create, Lease, Mod, Value, Version};
    for (low, same, high) in [
        (Version(1), Version(2), Version(3)),
        (Create(created - 1), Create(created), Create(created + 1)),
        (Mod(modified - 1), Mod(modified), Mod(modified + 1)),
        (Value("a".into()), Value("b".into()), Value("c".into())),
        (Lease(-1), Lease(0), Lease(1)),
    ] {
        assert!(s.holds(compare("key", Equal, same.clone())).await, "{same:?}");
        assert!(!s.holds(compare("key", NotEqual, same.clone())).await, "{same:?}");
        assert!(!s.holds(compare("key", Greater, same.clone())).await, "{same:?}");
        assert!(s.holds(compare("key", Greater, low.clone())).await, "{low:?}");
        assert!(s.holds(compare("key", Less, high.clone())).await, "{high:?}");
        assert!(!s.holds(compare("key", Less, low)).await);
        assert!(s.holds(compare("key", NotEqual, high)).await);
    }
    assert!(s.holds(compare("leased", Equal, Lease(lease))).await);
}

pub(crate) async fn compares_over_ranges(s: &Subject) {
    s.put("r/1", "x").await;
    s.put("r/2", "x").await;
    let all = |target| Compare { range_end: prefix_end(b"r/"), ..Compare::equal("r/", target) };
    assert!(s.holds(all(CompareTarget::Value("x".into()))).await);
    assert!(!s.holds(all(CompareTarget::Create(0))).await);
    s.put("r/3", "y").await;
    assert!(!s.holds(all(CompareTarget::Value("x".into()))).await);
    let nobody = |target| Compare { range_end: prefix_end(b"q/"), ..Compare::equal("q/", target) };
    assert!(s.holds(nobody(CompareTarget::Create(0))).await);
    assert!(!s.holds(nobody(CompareTarget::Value("x".into()))).await);
}

pub(crate) async fn absent_keys_in_compares(s: &Subject) {
    assert!(s.holds(Compare::absent("key")).await);
    assert!(s.holds(Compare::modified_at("key", 0)).await);
    assert!(s.holds(Compare::equal("key", CompareTarget::Version(0))).await);
    assert!(s.holds(Compare::equal("key", CompareTarget::Lease(0))).await);
    assert!(s.holds(compare("key", CompareOp::Less, CompareTarget::Create(1))).await);
    for op in [CompareOp::Equal, CompareOp::NotEqual, CompareOp::Less, CompareOp::Greater] {
        assert!(!s.holds(compare("key", op, CompareTarget::Value("".into()))).await, "no value, nothing to compare");
    }
}

pub(crate) async fn branches_are_one_revision(s: &Subject) {
    let before = s.put("old", "1").await;
    let request = TxnRequest {
        compare: vec![Compare::absent("new")],
        success: vec![put("new", "1"), put("newer", "2"), delete("old")],
        failure: vec![get("new")],
    };
    let (revision, first) = s.txn_at(request.clone()).await.expect("a transaction");
    assert!(first.succeeded);
    assert_eq!(revision, before + 1);
    for key in ["new", "newer"] {
        assert_eq!(s.get(key).await.map(|kv| kv.mod_revision), Some(revision));
    }
    assert_eq!(s.get("old").await, None);
    let (unchanged, second) = s.txn_at(request).await.expect("a transaction");
    assert!(!second.succeeded);
    assert_eq!(unchanged, revision);
    let [OperationResponse::Range(range)] = second.responses.as_slice() else { panic!("{second:?}") };
    assert_eq!(names(range), ["new"]);
}

pub(crate) async fn reads_see_own_writes(s: &Subject) {
    s.put("gone", "1").await;
    let response = s.all(vec![get("key"), put("key", "1"), get("key"), delete("gone"), get("gone")]).await;
    let responses = response.expect("a transaction").responses;
    let found: Vec<usize> = responses
        .iter()
        .filter_map(|response| match response {
            OperationResponse::Range(range) => Some(range.kvs.len()),
            _ => None,
        })
        .collect();
    assert_eq!(found, [0, 1, 0]);
}

pub(crate) async fn nested_txns(s: &Subject) {
    s.put("a", "1").await;
    // The inner compare sees the keys as they were before the whole transaction.
    let inner = TxnRequest {
        compare: vec![Compare::absent("b")],
        success: vec![put("inner", "absent")],
        failure: vec![put("inner", "present")],
    };
    let response = s.all(vec![put("b", "1"), Operation::Txn(inner), put("c", "1")]).await.expect("a transaction");
    let [OperationResponse::Put(_), OperationResponse::Txn(inner), OperationResponse::Put(_)] =
        response.responses.as_slice()
    else {
        panic!("{response:?}")
    };
    assert!(inner.succeeded);
    assert_eq!(s.get("inner").await.map(|kv| kv.value), Some("absent".into()));
    // Both branches may name the same key: only one of them is done.
    let both =
        TxnRequest { compare: vec![Compare::absent("a")], success: vec![put("x", "1")], failure: vec![put("x", "2")] };
    s.all(vec![Operation::Txn(both)]).await.expect("a transaction");
    assert_eq!(s.get("x").await.map(|kv| kv.value), Some("2".into()));
}

pub(crate) async fn failed_txn_changes_nothing(s: &Subject) {
    let revision = s.put("a", "1").await;
    let keep = PutRequest { ignore_value: true, ..PutRequest::new("absent", "") };
    let error = s.all(vec![put("a", "2"), Operation::Put(keep)]).await.expect_err("nothing to keep");
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
    let late = RangeRequest { revision: revision + 5, ..RangeRequest::key("a") };
    let error = s.all(vec![put("a", "2"), Operation::Range(late)]).await.expect_err("the future");
    assert_eq!(error.kind, ErrorKind::FutureRevision);
    let kv = s.get("a").await.expect("the key");
    assert_eq!((kv.value.as_ref(), kv.mod_revision), (b"1".as_slice(), revision));
    assert_eq!(s.put("a", "3").await, revision + 1);
}

pub(crate) async fn old_revisions_within(s: &Subject) {
    let one = s.put("a", "1").await;
    s.put("a", "2").await;
    let old = Operation::Range(RangeRequest { revision: one, ..RangeRequest::key("a") });
    let response = s.all(vec![put("b", "1"), old.clone()]).await.expect("a transaction");
    let Some(OperationResponse::Range(range)) = response.responses.last() else { panic!("{response:?}") };
    assert_eq!(range.kvs[0].value, "1");
    s.compact(one + 1).await.expect("a compaction");
    let error = s.all(vec![put("b", "2"), old]).await.expect_err("it is gone");
    assert_eq!(error.kind, ErrorKind::Compacted);
    assert_eq!(s.get("b").await.map(|kv| kv.value), Some("1".into()));
}
