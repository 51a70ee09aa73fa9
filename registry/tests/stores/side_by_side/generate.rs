//! Sequences of steps, as chance has them.
//!
//! Revisions are told by how long ago they were (see [`at`]), so that a sequence can begin anywhere.

use std::ops::RangeInclusive;

use bytes::Bytes;
use fleet_registry::store::{
    Compare, CompareOp, CompareTarget, DeleteRequest, EventFilter, Operation, PutRequest, RangeRequest, SortOrder,
    SortTarget, TxnRequest,
};
use proptest::prelude::*;

use super::sides::at;

/// What is done on both servers.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Range(RangeRequest),
    Put(PutRequest),
    Delete(DeleteRequest),
    Txn(TxnRequest),
    Compact {
        ago: i64,
        physical: bool,
    },
    Grant(i64, i64),
    Revoke(i64),
    KeepAlive(i64),
    TimeToLive(i64, bool),
    Leases,
    Hash(i64),
    /// A watch that begins now or later.
    Watch(WatchStep),
    /// Watches that begin in the past.
    Past(Vec<WatchStep>),
    /// Ends the watch of this number; there may be none.
    Cancel(i64),
    Progress,
}

/// A watch to be opened.
#[derive(Debug, Clone, Default)]
pub(super) struct WatchStep {
    /// Its number; 0 lets the server choose one.
    pub(super) id: i64,
    pub(super) key: Bytes,
    pub(super) range_end: Bytes,
    pub(super) start_ago: i64,
    pub(super) prev_kv: bool,
    pub(super) progress_notify: bool,
    pub(super) fragment: bool,
    pub(super) filters: Vec<EventFilter>,
}

/// Leases are numbered, so that sequences meet them again.
pub(super) const LEASES: RangeInclusive<i64> = 1..=4;
/// A lease that is never granted.
const NO_LEASE: i64 = 9;
/// The time to live of those that are granted: none runs out meanwhile.
const TTL: RangeInclusive<i64> = 600..=1200;

/// Everything.
pub(super) fn anything() -> DeleteRequest {
    let zero = Bytes::from_static(&[0]);
    DeleteRequest { key: zero.clone(), range_end: zero, prev_kv: true }
}

/// Few keys, so that they meet: no more than six, since etcd sorts more in an order of its own where they tie.
fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        30 => prop::sample::select(vec!["a", "a/1", "a/2", "b", "b/1"]).prop_map(Bytes::from),
        1 => Just(Bytes::from_static(&[0])),
        1 => Just(Bytes::new()),
    ]
}

fn written_key() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        40 => prop::sample::select(vec!["a", "a/1", "a/2", "b", "b/1"]).prop_map(Bytes::from),
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

fn lease() -> impl Strategy<Value = i64> {
    prop_oneof![12 => Just(0), 6 => LEASES, 1 => Just(NO_LEASE)]
}

/// Around now, for the most part; 0 is now, or none.
fn ago() -> impl Strategy<Value = i64> {
    prop_oneof![8 => Just(0), 6 => 3_i64..20, 2 => 1_i64..120]
}

fn range() -> impl Strategy<Value = RangeRequest> {
    use SortOrder::{Ascend, Descend, None};
    use SortTarget::{Create, Key, Mod, Value, Version};
    let order = prop::sample::select(vec![None, None, Ascend, Descend]);
    let target = prop::sample::select(vec![Key, Key, Version, Create, Mod, Value]);
    let bound = || prop_oneof![6 => Just(0), 1 => 3_i64..20];
    let limit = prop_oneof![3 => Just(0), 3 => 1_i64..4, 1 => Just(-1)];
    let bounds = [bound(), bound(), bound(), bound()];
    (key(), range_end(), ago(), limit, order, target, any::<[bool; 3]>(), bounds).prop_map(
        |(key, range_end, revision, limit, sort_order, sort_target, flags, bounds)| RangeRequest {
            key,
            range_end,
            revision,
            limit,
            keys_only: flags[0],
            count_only: flags[1] && flags[2],
            serializable: flags[2],
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
    (written_key(), value(), lease(), any::<bool>(), 0..10, 0..10).prop_map(
        |(key, value, lease, prev_kv, ignore_value, ignore_lease)| PutRequest {
            key,
            // Mostly as it has to be: there is no value, and no lease, where one is to be kept.
            value: if ignore_value == 0 { Bytes::new() } else { value },
            lease: if ignore_lease == 0 { 0 } else { lease },
            prev_kv,
            ignore_value: ignore_value < 2,
            ignore_lease: ignore_lease < 2,
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
        ago().prop_map(CompareTarget::Create),
        ago().prop_map(CompareTarget::Mod),
        value().prop_map(CompareTarget::Value),
        lease().prop_map(CompareTarget::Lease),
    ];
    (key(), range_end(), prop::sample::select(vec![Equal, Greater, Less, NotEqual]), target)
        .prop_map(|(key, range_end, op, target)| Compare { key, range_end, op, target })
}

/// Etcd ends, for good, at a transaction that deletes a key by a range without an end and then puts it with the value or
/// the lease that it has: so a transaction has either.
fn txn() -> impl Strategy<Value = TxnRequest> {
    let closed = delete().prop_map(|delete| match &delete.range_end[..] {
        [0] => DeleteRequest { range_end: Bytes::new(), ..delete },
        _ => delete,
    });
    let new = put().prop_map(|put| PutRequest { ignore_value: false, ignore_lease: false, ..put });
    prop_oneof![txn_of(put().boxed(), closed.boxed()), txn_of(new.boxed(), delete().boxed())]
}

fn txn_of(put: BoxedStrategy<PutRequest>, delete: BoxedStrategy<DeleteRequest>) -> BoxedStrategy<TxnRequest> {
    let operation = prop_oneof![
        2 => range().prop_map(Operation::Range),
        4 => put.prop_map(Operation::Put),
        2 => delete.prop_map(Operation::Delete),
    ];
    let around = |operation: BoxedStrategy<Operation>| {
        (
            prop::collection::vec(compare(), 0..3),
            prop::collection::vec(operation.clone(), 0..4),
            prop::collection::vec(operation, 0..3),
        )
            .prop_map(|(compare, success, failure)| TxnRequest { compare, success, failure })
    };
    let operation = operation.boxed();
    let innermost = around(operation.clone()).prop_map(Operation::Txn);
    let inner = around(prop_oneof![5 => operation.clone(), 1 => innermost].boxed()).prop_map(Operation::Txn);
    around(prop_oneof![5 => operation, 1 => inner].boxed()).boxed()
}

fn watch(start_ago: impl Strategy<Value = i64>) -> impl Strategy<Value = WatchStep> {
    let filter = prop::sample::select(vec![EventFilter::NoPut, EventFilter::NoDelete]);
    let filters = prop_oneof![3 => Just(Vec::new()), 2 => prop::collection::vec(filter, 1..3)];
    let id = prop_oneof![4 => Just(0), 1 => 1_i64..12];
    (id, key(), range_end(), start_ago, any::<[bool; 3]>(), filters).prop_map(
        |(id, key, range_end, start_ago, flags, filters)| WatchStep {
            id,
            key,
            range_end,
            start_ago,
            prev_kv: flags[0],
            progress_notify: flags[1],
            fragment: flags[2],
            filters,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let ttl = prop_oneof![8 => TTL, 1 => Just(9_000_000_001)];
    let now_or_later = prop_oneof![4 => Just(0), 1 => 1_i64..3];
    prop_oneof![
        60 => put().prop_map(Step::Put),
        24 => delete().prop_map(Step::Delete),
        40 => range().prop_map(Step::Range),
        60 => txn().prop_map(Step::Txn),
        14 => (LEASES, ttl).prop_map(|(id, ttl)| Step::Grant(id, ttl)),
        8 => LEASES.prop_map(Step::Revoke),
        8 => LEASES.prop_map(Step::KeepAlive),
        8 => (LEASES, any::<bool>()).prop_map(|(id, keys)| Step::TimeToLive(id, keys)),
        6 => Just(Step::Leases),
        8 => ago().prop_map(Step::Hash),
        6 => (ago(), 0..4).prop_map(|(ago, one)| Step::Compact { ago, physical: one > 0 }),
        10 => watch(now_or_later).prop_map(Step::Watch),
        1 => prop::collection::vec(watch(1_i64..60), 1..8).prop_map(Step::Past),
        4 => (1_i64..12).prop_map(Step::Cancel),
        2 => Just(Step::Progress),
    ]
}

pub(super) fn sequence(steps: RangeInclusive<usize>) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), steps)
}

/// Revisions as the servers count them.
pub(super) trait Counted {
    fn counted(self, now: i64) -> Self;
}

impl Counted for RangeRequest {
    fn counted(self, now: i64) -> Self {
        Self {
            revision: at(self.revision, now),
            min_mod_revision: at(self.min_mod_revision, now),
            max_mod_revision: at(self.max_mod_revision, now),
            min_create_revision: at(self.min_create_revision, now),
            max_create_revision: at(self.max_create_revision, now),
            ..self
        }
    }
}

impl Counted for TxnRequest {
    fn counted(self, now: i64) -> Self {
        let all = |operations: Vec<Operation>| operations.into_iter().map(|operation| operation.counted(now)).collect();
        Self {
            compare: self.compare.into_iter().map(|compare| compare.counted(now)).collect(),
            success: all(self.success),
            failure: all(self.failure),
        }
    }
}

impl Counted for Operation {
    fn counted(self, now: i64) -> Self {
        match self {
            Self::Range(request) => Self::Range(request.counted(now)),
            Self::Txn(request) => Self::Txn(request.counted(now)),
            other => other,
        }
    }
}

impl Counted for Compare {
    fn counted(self, now: i64) -> Self {
        let target = match self.target {
            CompareTarget::Create(ago) => CompareTarget::Create(at(ago, now)),
            CompareTarget::Mod(ago) => CompareTarget::Mod(at(ago, now)),
            other => other,
        };
        Self { target, ..self }
    }
}
