//! What is refused, with etcd's own words.

use fleet_registry::store::{
    Compare, DeleteRequest, ErrorKind, Operation, PutRequest, RangeRequest, Request, StoreError, TxnRequest, prefix_end,
};

use crate::harness::Subject;

fn puts(count: usize) -> Vec<Operation> {
    (0..count).map(|n| Operation::Put(PutRequest::new(format!("key/{n}"), "x"))).collect()
}

fn assert_refused<T: std::fmt::Debug>(result: Result<T, StoreError>, kind: ErrorKind, message: &str) {
    let error = result.expect_err(message);
    assert_eq!((error.kind, error.message.as_str()), (kind, message));
}

const TOO_MANY: &str = "etcdserver: too many operations in txn request";
const DUPLICATE: &str = "etcdserver: duplicate key given in txn request";
const EMPTY: &str = "etcdserver: key is not provided";

pub(crate) async fn operations(s: &Subject) {
    s.all(puts(128)).await.expect("as many as fit");
    assert_refused(s.all(puts(129)).await, ErrorKind::TooManyOperations, TOO_MANY);
    let failure = TxnRequest { failure: puts(129), ..TxnRequest::default() };
    assert_refused(s.txn(failure).await, ErrorKind::TooManyOperations, TOO_MANY);
    let both = TxnRequest { success: puts(128), failure: puts(128), ..TxnRequest::default() };
    s.txn(both).await.expect("each branch is counted alone");
}

pub(crate) async fn compares(s: &Subject) {
    let request = |count| TxnRequest {
        compare: (0..count).map(|n| Compare::absent(format!("key/{n}"))).collect(),
        ..TxnRequest::default()
    };
    s.txn(request(128)).await.expect("as many as fit");
    assert_refused(s.txn(request(129)).await, ErrorKind::TooManyOperations, TOO_MANY);
}

pub(crate) async fn nested_operations(s: &Subject) {
    let nested = |inner| Operation::Txn(TxnRequest { success: puts(inner), ..TxnRequest::default() });
    s.all(vec![nested(127)]).await.expect("what the outer one leaves");
    assert_refused(s.all(vec![nested(128)]).await, ErrorKind::TooManyOperations, TOO_MANY);
}

pub(crate) async fn duplicate_keys(s: &Subject) {
    let put = |key: &'static str| Operation::Put(PutRequest::new(key, "x"));
    let delete = |key: &'static str| Operation::Delete(DeleteRequest { key: key.into(), ..DeleteRequest::default() });
    let prefix = Operation::Delete(DeleteRequest { key: "a".into(), range_end: prefix_end(b"a"), prev_kv: false });
    let txn = |operations| Operation::Txn(TxnRequest { success: operations, ..TxnRequest::default() });
    for operations in [
        vec![put("a"), put("a")],
        vec![put("a"), delete("a")],
        vec![delete("a"), put("a")],
        vec![put("a/b"), prefix.clone()],
        vec![put("a"), txn(vec![put("a")])],
        vec![txn(vec![put("a")]), txn(vec![put("a")])],
        vec![txn(vec![delete("a")]), txn(vec![put("a")])],
    ] {
        assert_refused(s.all(operations).await, ErrorKind::DuplicateKey, DUPLICATE);
    }
    s.all(vec![delete("a"), prefix, put("b")]).await.expect("twice deleted is deleted");
    // A deletion without an end is overlooked, and done in its turn.
    let rest = Operation::Delete(DeleteRequest { key: "a".into(), range_end: [0].as_slice().into(), prev_kv: false });
    s.all(vec![put("c"), rest.clone(), put("d")]).await.expect("one after the other");
    assert_eq!(s.names("c").await, Vec::<String>::new());
    assert_eq!(s.names("d").await, ["d"]);
    let kv = s.get("d").await.expect("the key");
    assert_eq!((kv.version, kv.create_revision), (1, kv.mod_revision));
    s.all(vec![rest, put("d")]).await.expect("one after the other");
    let kv = s.get("d").await.expect("the key");
    assert_eq!((kv.version, kv.create_revision), (1, kv.mod_revision), "deleted and made anew");
}

pub(crate) async fn empty_keys(s: &Subject) {
    let range = RangeRequest { range_end: [0].as_slice().into(), ..RangeRequest::default() };
    assert_refused(s.range(range.clone()).await, ErrorKind::InvalidArgument, EMPTY);
    for operation in
        [Operation::Range(range), Operation::Put(PutRequest::new("", "x")), Operation::Delete(DeleteRequest::default())]
    {
        assert_refused(s.all(vec![operation]).await, ErrorKind::InvalidArgument, EMPTY);
    }
    let compare = TxnRequest { compare: vec![Compare::absent("")], ..TxnRequest::default() };
    assert_refused(s.txn(compare).await, ErrorKind::InvalidArgument, EMPTY);
}

pub(crate) async fn request_size(s: &Subject) {
    let put = |size| PutRequest::new("key", vec![b'x'; size]);
    s.put_request(put(1_500_000)).await.expect("a value below the limit");
    let error = s.put_request(put(1_600_000)).await;
    assert_refused(error, ErrorKind::RequestTooLarge, "etcdserver: request is too large");
    let halves = vec![
        Operation::Put(PutRequest::new("a", vec![b'x'; 800_000])),
        Operation::Put(PutRequest::new("b", vec![b'x'; 800_000])),
    ];
    assert_refused(s.all(halves).await, ErrorKind::RequestTooLarge, "etcdserver: request is too large");
    // Past what the connection takes the words differ, the kind does not.
    let error = s.put_request(put(8_000_000)).await.expect_err("far too large");
    assert_eq!(error.kind, ErrorKind::RequestTooLarge, "{error}");
}

pub(crate) async fn future_and_compacted(s: &Subject) {
    const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
    const FUTURE: &str = "etcdserver: mvcc: required revision is a future revision";
    let revision = s.put("key", "1").await;
    let at = |revision| Request::Range(RangeRequest { revision, ..RangeRequest::key("key") });
    assert_refused(s.call(at(revision + 1)).await, ErrorKind::FutureRevision, FUTURE);
    assert_refused(s.compact(revision + 1).await, ErrorKind::FutureRevision, FUTURE);
    let second = s.put("key", "2").await;
    s.compact(second).await.expect("a compaction");
    assert_refused(s.call(at(revision)).await, ErrorKind::Compacted, COMPACTED);
    assert_refused(s.compact(second).await, ErrorKind::Compacted, COMPACTED);
    assert_refused(s.compact(revision).await, ErrorKind::Compacted, COMPACTED);
}
