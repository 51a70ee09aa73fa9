//! Requests.

use bytes::Bytes;
use etcd_client::proto::{
    PbCompare, PbDeleteRequest, PbPutRequest, PbRangeRequest, PbTargetUnion, PbTxnOpRequest, PbTxnRequest,
    PbTxnRequestOp, PbWatchRequest, PbWatchRequestUnion,
};

use crate::store::{
    Compare, CompareOp, CompareTarget, DeleteRequest, ErrorKind, EventFilter, Operation, PutRequest, RangeRequest,
    SortOrder, SortTarget, StoreError, TxnRequest, WatchRequest,
};

impl From<RangeRequest> for PbRangeRequest {
    fn from(request: RangeRequest) -> Self {
        Self {
            key: request.key.into(),
            range_end: request.range_end.into(),
            limit: request.limit,
            revision: request.revision,
            sort_order: match request.sort_order {
                SortOrder::None => 0,
                SortOrder::Ascend => 1,
                SortOrder::Descend => 2,
            },
            sort_target: match request.sort_target {
                SortTarget::Key => 0,
                SortTarget::Version => 1,
                SortTarget::Create => 2,
                SortTarget::Mod => 3,
                SortTarget::Value => 4,
            },
            serializable: request.serializable,
            keys_only: request.keys_only,
            count_only: request.count_only,
            min_mod_revision: request.min_mod_revision,
            max_mod_revision: request.max_mod_revision,
            min_create_revision: request.min_create_revision,
            max_create_revision: request.max_create_revision,
        }
    }
}

impl TryFrom<PbRangeRequest> for RangeRequest {
    type Error = StoreError;

    fn try_from(request: PbRangeRequest) -> Result<Self, StoreError> {
        let invalid = || StoreError::new(ErrorKind::InvalidArgument, "etcdserver: invalid sort option");
        Ok(Self {
            key: request.key.into(),
            range_end: request.range_end.into(),
            revision: request.revision,
            limit: request.limit,
            keys_only: request.keys_only,
            count_only: request.count_only,
            serializable: request.serializable,
            sort_order: match request.sort_order {
                0 => SortOrder::None,
                1 => SortOrder::Ascend,
                2 => SortOrder::Descend,
                _ => return Err(invalid()),
            },
            sort_target: match request.sort_target {
                0 => SortTarget::Key,
                1 => SortTarget::Version,
                2 => SortTarget::Create,
                3 => SortTarget::Mod,
                4 => SortTarget::Value,
                _ => return Err(invalid()),
            },
            min_mod_revision: request.min_mod_revision,
            max_mod_revision: request.max_mod_revision,
            min_create_revision: request.min_create_revision,
            max_create_revision: request.max_create_revision,
        })
    }
}

impl From<PutRequest> for PbPutRequest {
    fn from(request: PutRequest) -> Self {
        Self {
            key: request.key.into(),
            value: request.value.into(),
            lease: request.lease,
            prev_kv: request.prev_kv,
            ignore_value: request.ignore_value,
            ignore_lease: request.ignore_lease,
        }
    }
}

impl From<PbPutRequest> for PutRequest {
    fn from(request: PbPutRequest) -> Self {
        Self {
            key: request.key.into(),
            value: request.value.into(),
            lease: request.lease,
            prev_kv: request.prev_kv,
            ignore_value: request.ignore_value,
            ignore_lease: request.ignore_lease,
        }
    }
}

impl From<DeleteRequest> for PbDeleteRequest {
    fn from(request: DeleteRequest) -> Self {
        Self { key: request.key.into(), range_end: request.range_end.into(), prev_kv: request.prev_kv }
    }
}

impl From<PbDeleteRequest> for DeleteRequest {
    fn from(request: PbDeleteRequest) -> Self {
        Self { key: request.key.into(), range_end: request.range_end.into(), prev_kv: request.prev_kv }
    }
}

impl From<TxnRequest> for PbTxnRequest {
    fn from(request: TxnRequest) -> Self {
        Self {
            compare: request.compare.into_iter().map(Into::into).collect(),
            success: request.success.into_iter().map(Into::into).collect(),
            failure: request.failure.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<PbTxnRequest> for TxnRequest {
    type Error = StoreError;

    fn try_from(request: PbTxnRequest) -> Result<Self, StoreError> {
        Ok(Self {
            compare: request.compare.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            success: request.success.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            failure: request.failure.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<Operation> for PbTxnRequestOp {
    fn from(operation: Operation) -> Self {
        let request = match operation {
            Operation::Range(r) => PbTxnOpRequest::RequestRange(r.into()),
            Operation::Put(r) => PbTxnOpRequest::RequestPut(r.into()),
            Operation::Delete(r) => PbTxnOpRequest::RequestDeleteRange(r.into()),
            Operation::Txn(r) => PbTxnOpRequest::RequestTxn(r.into()),
        };
        Self { request: Some(request) }
    }
}

impl TryFrom<PbTxnRequestOp> for Operation {
    type Error = StoreError;

    fn try_from(operation: PbTxnRequestOp) -> Result<Self, StoreError> {
        Ok(match operation.request {
            Some(PbTxnOpRequest::RequestRange(r)) => Self::Range(r.try_into()?),
            Some(PbTxnOpRequest::RequestPut(r)) => Self::Put(r.into()),
            Some(PbTxnOpRequest::RequestDeleteRange(r)) => Self::Delete(r.into()),
            Some(PbTxnOpRequest::RequestTxn(r)) => Self::Txn(r.try_into()?),
            // etcd's answer to an operation without a request.
            None => return Err(StoreError::new(ErrorKind::InvalidArgument, "etcdserver: key not found")),
        })
    }
}

impl From<Compare> for PbCompare {
    fn from(compare: Compare) -> Self {
        let (target, union) = match compare.target {
            CompareTarget::Version(v) => (0, PbTargetUnion::Version(v)),
            CompareTarget::Create(v) => (1, PbTargetUnion::CreateRevision(v)),
            CompareTarget::Mod(v) => (2, PbTargetUnion::ModRevision(v)),
            CompareTarget::Value(v) => (3, PbTargetUnion::Value(v.into())),
            CompareTarget::Lease(v) => (4, PbTargetUnion::Lease(v)),
        };
        Self {
            result: match compare.op {
                CompareOp::Equal => 0,
                CompareOp::Greater => 1,
                CompareOp::Less => 2,
                CompareOp::NotEqual => 3,
            },
            target,
            key: compare.key.into(),
            range_end: compare.range_end.into(),
            target_union: Some(union),
        }
    }
}

impl TryFrom<PbCompare> for Compare {
    type Error = StoreError;

    fn try_from(compare: PbCompare) -> Result<Self, StoreError> {
        let invalid =
            |what: &str| StoreError::new(ErrorKind::InvalidArgument, format!("etcdserver: unknown compare {what}"));
        let number = match &compare.target_union {
            Some(
                PbTargetUnion::Version(v)
                | PbTargetUnion::CreateRevision(v)
                | PbTargetUnion::ModRevision(v)
                | PbTargetUnion::Lease(v),
            ) => *v,
            // An absent number is zero, as everywhere in the protocol.
            Some(PbTargetUnion::Value(_)) | None => 0,
        };
        let target = match (compare.target, compare.target_union) {
            (0, _) => CompareTarget::Version(number),
            (1, _) => CompareTarget::Create(number),
            (2, _) => CompareTarget::Mod(number),
            (3, Some(PbTargetUnion::Value(v))) => CompareTarget::Value(v.into()),
            (3, _) => CompareTarget::Value(Bytes::new()),
            (4, _) => CompareTarget::Lease(number),
            _ => return Err(invalid("target")),
        };
        let op = match compare.result {
            0 => CompareOp::Equal,
            1 => CompareOp::Greater,
            2 => CompareOp::Less,
            3 => CompareOp::NotEqual,
            _ => return Err(invalid("result")),
        };
        Ok(Self { key: compare.key.into(), range_end: compare.range_end.into(), op, target })
    }
}

/// The message that opens a watch. Big revisions may come in fragments.
pub(crate) fn watch_create(request: WatchRequest) -> PbWatchRequest {
    let union = built(PbWatchRequestUnion::CreateRequest, |create| {
        create.key = request.key.into();
        create.range_end = request.range_end.into();
        create.start_revision = request.start_revision;
        create.progress_notify = request.progress_notify;
        create.prev_kv = request.prev_kv;
        create.filters = request
            .filters
            .iter()
            .map(|filter| match filter {
                EventFilter::NoPut => 0,
                EventFilter::NoDelete => 1,
            })
            .collect();
        create.fragment = true;
    });
    PbWatchRequest { request_union: Some(union) }
}

/// Fills in a message whose type has no public name.
fn built<T: Default, U>(wrap: fn(T) -> U, fill: impl FnOnce(&mut T)) -> U {
    let mut message = T::default();
    fill(&mut message);
    wrap(message)
}
