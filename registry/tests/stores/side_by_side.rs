//! Random requests to the memory store and to a real etcd: every answer is the same.

use std::time::Duration;

use bytes::Bytes;
use fleet_registry::memory::Memory;
use fleet_registry::store::{
    Compare, CompareOp, CompareTarget, DeleteRequest, Event, KeyValue, Operation, OperationResponse, PutRequest,
    RangeRequest, RangeResponse, Request, Response, ResponseBody, SortOrder, SortTarget, Store, StoreError, TxnRequest,
    TxnResponse, WatchItem, WatchRequest,
};
use futures::StreamExt;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::harness::{Etcd, connect, within};

/// Requests in a sequence, and sequences; each sequence has an etcd of its own.
const STEPS: usize = 60;
const SEQUENCES: u32 = 12;

fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        20 => prop::sample::select(vec!["a", "a/1", "a/2", "b", "b/1", "c"]).prop_map(Bytes::from),
        1 => Just(Bytes::new()),
    ]
}

fn range_end() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        5 => Just(Bytes::new()),
        4 => prop::sample::select(vec!["a/3", "b", "b0", "d", "a"]).prop_map(Bytes::from),
        1 => Just(Bytes::from_static(&[0])),
    ]
}

fn value() -> impl Strategy<Value = Bytes> {
    prop::sample::select(vec!["", "1", "2", "3"]).prop_map(Bytes::from)
}

/// Leases are named, so that sequences meet them again; 9 is never granted.
fn lease() -> impl Strategy<Value = i64> {
    prop_oneof![6 => Just(0), 3 => 1_i64..4, 1 => Just(9)]
}

/// Revisions around those that a sequence reaches; 0 is now.
fn revision() -> impl Strategy<Value = i64> {
    prop_oneof![4 => Just(0), 3 => 1_i64..30]
}

fn range() -> impl Strategy<Value = RangeRequest> {
    use SortOrder::{Ascend, Descend, None};
    let sorting = prop_oneof![
        6 => (Just(None), Just(SortTarget::Key), 0_i64..4),
        2 => (prop::sample::select(vec![Ascend, Descend]), Just(SortTarget::Key), 0_i64..4),
        // Ties come in any order, so that a limit would cut anywhere.
        2 => (
            prop::sample::select(vec![None, Ascend, Descend]),
            prop::sample::select(vec![SortTarget::Version, SortTarget::Create, SortTarget::Mod, SortTarget::Value]),
            Just(0),
        ),
    ];
    let bound = || prop_oneof![6 => Just(0), 1 => 1_i64..20];
    (key(), range_end(), revision(), sorting, any::<[bool; 2]>(), [bound(), bound(), bound(), bound()]).prop_map(
        |(key, range_end, revision, (sort_order, sort_target, limit), [keys_only, count_only], bounds)| RangeRequest {
            key,
            range_end,
            revision,
            limit,
            keys_only,
            count_only,
            serializable: false,
            sort_order,
            sort_target,
            min_mod_revision: bounds[0],
            max_mod_revision: bounds[1],
            min_create_revision: bounds[2],
            max_create_revision: bounds[3],
        },
    )
}

fn put() -> impl Strategy<Value = PutRequest> {
    (key(), value(), lease(), any::<bool>(), 0..10, 0..10).prop_map(
        |(key, value, lease, prev_kv, ignore_value, ignore_lease)| PutRequest {
            key,
            value,
            lease,
            prev_kv,
            ignore_value: ignore_value == 0,
            ignore_lease: ignore_lease == 0,
        },
    )
}

fn delete() -> impl Strategy<Value = DeleteRequest> {
    (key(), range_end(), any::<bool>()).prop_map(|(key, range_end, prev_kv)| DeleteRequest { key, range_end, prev_kv })
}

fn compare() -> impl Strategy<Value = Compare> {
    use CompareOp::{Equal, Greater, Less, NotEqual};
    let target = prop_oneof![
        (0_i64..3).prop_map(CompareTarget::Version),
        (0_i64..20).prop_map(CompareTarget::Create),
        (0_i64..20).prop_map(CompareTarget::Mod),
        value().prop_map(CompareTarget::Value),
        lease().prop_map(CompareTarget::Lease),
    ];
    (key(), range_end(), prop::sample::select(vec![Equal, Greater, Less, NotEqual]), target)
        .prop_map(|(key, range_end, op, target)| Compare { key, range_end, op, target })
}

fn txn() -> impl Strategy<Value = TxnRequest> {
    let operation = prop_oneof![
        2 => range().prop_map(Operation::Range),
        4 => put().prop_map(Operation::Put),
        2 => delete().prop_map(Operation::Delete),
    ];
    let flat = |operation: BoxedStrategy<Operation>| {
        (
            prop::collection::vec(compare(), 0..3),
            prop::collection::vec(operation.clone(), 0..4),
            prop::collection::vec(operation, 0..3),
        )
            .prop_map(|(compare, success, failure)| TxnRequest { compare, success, failure })
    };
    let inner = flat(operation.clone().boxed());
    flat(prop_oneof![5 => operation, 1 => inner.prop_map(Operation::Txn)].boxed())
}

fn request() -> impl Strategy<Value = Request> {
    let single = |operation| Request::Txn(TxnRequest { success: vec![operation], ..TxnRequest::default() });
    prop_oneof![
        8 => put().prop_map(move |put| single(Operation::Put(put))),
        3 => delete().prop_map(move |delete| single(Operation::Delete(delete))),
        4 => range().prop_map(Request::Range),
        6 => txn().prop_map(Request::Txn),
        2 => (1_i64..4).prop_map(|id| Request::LeaseGrant { ttl: 600, id }),
        1 => (1_i64..4).prop_map(|id| Request::LeaseRevoke { id }),
        1 => (1_i64..4).prop_map(|id| Request::LeaseKeepAlive { id }),
        1 => (1_i64..4).prop_map(|id| Request::LeaseTimeToLive { id, keys: true }),
        1 => Just(Request::Leases),
        1 => (1_i64..30).prop_map(|revision| Request::Compact { revision, physical: true }),
    ]
}

/// Puts what may differ into one shape: times left, and the order of ties.
fn settle(request: &Request, response: Response) -> (i64, ResponseBody) {
    let body = match (request, response.body) {
        (Request::Range(request), ResponseBody::Range(range)) => ResponseBody::Range(settle_range(request, range)),
        (Request::Txn(request), ResponseBody::Txn(txn)) => ResponseBody::Txn(settle_txn(request, txn)),
        (_, ResponseBody::LeaseTimeToLive(mut status)) => {
            status.ttl = status.ttl.clamp(-1, 0);
            ResponseBody::LeaseTimeToLive(status)
        }
        (_, body) => body,
    };
    (response.header.revision, body)
}

fn settle_range(request: &RangeRequest, mut range: RangeResponse) -> RangeResponse {
    if request.sort_target != SortTarget::Key {
        range.kvs.sort_by(|a, b| a.key.cmp(&b.key));
    }
    range
}

fn settle_txn(request: &TxnRequest, txn: TxnResponse) -> TxnResponse {
    let branch = if txn.succeeded { &request.success } else { &request.failure };
    let settled = branch.iter().zip(txn.responses).map(|(operation, response)| match (operation, response) {
        (Operation::Range(request), OperationResponse::Range(range)) => {
            OperationResponse::Range(settle_range(request, range))
        }
        (Operation::Txn(request), OperationResponse::Txn(txn)) => OperationResponse::Txn(settle_txn(request, txn)),
        (_, response) => response,
    });
    TxnResponse { succeeded: txn.succeeded, responses: settled.collect() }
}

type Outcome = Result<(i64, ResponseBody), (fleet_registry::store::ErrorKind, String)>;

fn outcome(request: &Request, result: Result<Response, StoreError>) -> Outcome {
    result.map(|response| settle(request, response)).map_err(|error| (error.kind, error.message))
}

/// All history of a real etcd from a revision to the last, as one list.
async fn history(store: &dyn Store, from: i64, last: i64) -> Vec<Event> {
    let everything = WatchRequest { prev_kv: true, ..all(from) };
    let mut stream = store.watch(everything);
    let mut events: Vec<Event> = Vec::new();
    while events.last().map_or(from - 1, |event| event.kv.mod_revision) < last {
        match within("history", stream.next()).await.expect("an item").expect("no error") {
            WatchItem::Events { events: more, .. } => events.extend(more),
            WatchItem::Created { .. } | WatchItem::Progress { .. } => {}
        }
    }
    events
}

fn all(from: i64) -> WatchRequest {
    let zero = Bytes::from_static(&[0]);
    WatchRequest { key: zero.clone(), range_end: zero, start_revision: from, prev_kv: true, ..Default::default() }
}

async fn compare_sequence(requests: Vec<Request>) {
    let etcd = Etcd::start().await;
    let store = connect(&etcd.endpoint);
    let mut memory = Memory::new(1);
    let mut told: Vec<String> = Vec::new();
    for (step, request) in requests.into_iter().enumerate() {
        let theirs = outcome(&request, within("an answer", store.call(request.clone())).await);
        let ours = outcome(&request, memory.apply(Duration::ZERO, request.clone()));
        told.push(format!("{request:?}"));
        assert_eq!(ours, theirs, "ours and etcd's, step {step}, after:\n{}", told.join("\n"));
    }
    // etcd 3.4 drops a deletion at the compacted revision itself.
    let (from, last) = (memory.compact_revision().max(1) + 1, memory.header().revision);
    let theirs = history(&store, from, last).await;
    let (id, _) = memory.watch(all(from));
    let mut ours = Vec::new();
    while let Some(item) = memory.poll_watch(id) {
        let WatchItem::Events { events, .. } = item.expect("no error") else { continue };
        ours.extend(events);
    }
    let told_event = |event: &Event| (event.kind, event.kv.clone(), event.prev_kv.clone());
    let (ours, theirs): (Vec<_>, Vec<(_, KeyValue, Option<KeyValue>)>) =
        (ours.iter().map(told_event).collect(), theirs.iter().map(told_event).collect());
    assert_eq!(ours, theirs, "our history and etcd's, after:\n{}", told.join("\n"));
}

#[test]
fn memory_answers_as_etcd_does() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = Config { cases: SEQUENCES, max_shrink_iters: 40, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let sequences = prop::collection::vec(request(), STEPS);
    let result = runner.run(&sequences, |requests| {
        runtime.block_on(compare_sequence(requests));
        Ok(())
    });
    // The message names the step and all before it.
    result.unwrap_or_else(|error| panic!("{error}"));
}
