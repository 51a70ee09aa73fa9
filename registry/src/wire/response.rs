//! Answers.

use etcd_client::proto::{
    PbDeleteResponse, PbEvent, PbKeyValue, PbLeaseKeepAliveResponse, PbLeaseTimeToLiveResponse, PbPutResponse,
    PbRangeResponse, PbResponseHeader, PbResponseOp, PbTxnOpResponse, PbTxnResponse,
};

use crate::store::{
    DeleteResponse, Event, EventKind, Header, KeyValue, LeaseStatus, OperationResponse, PutResponse, RangeResponse,
    TxnResponse,
};

impl From<PbKeyValue> for KeyValue {
    fn from(kv: PbKeyValue) -> Self {
        Self {
            key: kv.key.into(),
            value: kv.value.into(),
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
            lease: kv.lease,
        }
    }
}

impl From<KeyValue> for PbKeyValue {
    fn from(kv: KeyValue) -> Self {
        Self {
            key: kv.key.into(),
            value: kv.value.into(),
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
            lease: kv.lease,
        }
    }
}

impl From<PbEvent> for Event {
    fn from(event: PbEvent) -> Self {
        Self {
            kind: if event.r#type == 1 { EventKind::Delete } else { EventKind::Put },
            kv: event.kv.unwrap_or_default().into(),
            prev_kv: event.prev_kv.map(Into::into),
        }
    }
}

impl From<Event> for PbEvent {
    fn from(event: Event) -> Self {
        Self {
            r#type: match event.kind {
                EventKind::Put => 0,
                EventKind::Delete => 1,
            },
            kv: Some(event.kv.into()),
            prev_kv: event.prev_kv.map(Into::into),
        }
    }
}

/// The header of an answer; an absent one is all zeroes.
pub(crate) fn header_from(header: Option<PbResponseHeader>) -> Header {
    let header = header.unwrap_or_default();
    Header {
        cluster_id: header.cluster_id,
        member_id: header.member_id,
        revision: header.revision,
        raft_term: header.raft_term,
    }
}

pub(crate) fn header(header: Header) -> PbResponseHeader {
    PbResponseHeader {
        cluster_id: header.cluster_id,
        member_id: header.member_id,
        revision: header.revision,
        raft_term: header.raft_term,
    }
}

impl From<PbRangeResponse> for RangeResponse {
    fn from(response: PbRangeResponse) -> Self {
        Self { kvs: response.kvs.into_iter().map(Into::into).collect(), more: response.more, count: response.count }
    }
}

pub(crate) fn range_response(header: PbResponseHeader, response: RangeResponse) -> PbRangeResponse {
    PbRangeResponse {
        header: Some(header),
        kvs: response.kvs.into_iter().map(Into::into).collect(),
        more: response.more,
        count: response.count,
    }
}

impl From<PbPutResponse> for PutResponse {
    fn from(response: PbPutResponse) -> Self {
        Self { prev_kv: response.prev_kv.map(Into::into) }
    }
}

pub(crate) fn put_response(header: PbResponseHeader, response: PutResponse) -> PbPutResponse {
    PbPutResponse { header: Some(header), prev_kv: response.prev_kv.map(Into::into) }
}

impl From<PbDeleteResponse> for DeleteResponse {
    fn from(response: PbDeleteResponse) -> Self {
        Self { deleted: response.deleted, prev_kvs: response.prev_kvs.into_iter().map(Into::into).collect() }
    }
}

pub(crate) fn delete_response(header: PbResponseHeader, response: DeleteResponse) -> PbDeleteResponse {
    PbDeleteResponse {
        header: Some(header),
        deleted: response.deleted,
        prev_kvs: response.prev_kvs.into_iter().map(Into::into).collect(),
    }
}

impl From<PbTxnResponse> for TxnResponse {
    fn from(response: PbTxnResponse) -> Self {
        let responses = response.responses.into_iter().filter_map(|op| op.response).map(|op| match op {
            PbTxnOpResponse::ResponseRange(r) => OperationResponse::Range(r.into()),
            PbTxnOpResponse::ResponsePut(r) => OperationResponse::Put(r.into()),
            PbTxnOpResponse::ResponseDeleteRange(r) => OperationResponse::Delete(r.into()),
            PbTxnOpResponse::ResponseTxn(r) => OperationResponse::Txn(r.into()),
        });
        Self { succeeded: response.succeeded, responses: responses.collect() }
    }
}

pub(crate) fn txn_response(header: PbResponseHeader, response: TxnResponse) -> PbTxnResponse {
    let before = header.revision - i64::from(response.changes());
    PbTxnResponse { header: Some(header), ..inner_txn(&mut Within { before, changed: false }, response) }
}

/// How far a transaction is, which the answers within it tell: etcd fills in that revision there, and no more.
struct Within {
    before: i64,
    changed: bool,
}

impl Within {
    fn header(&self) -> PbResponseHeader {
        PbResponseHeader { revision: self.before + i64::from(self.changed), ..PbResponseHeader::default() }
    }
}

fn inner_txn(within: &mut Within, response: TxnResponse) -> PbTxnResponse {
    let responses = response.responses.into_iter().map(|op| {
        within.changed |= !matches!(op, OperationResponse::Txn(_)) && op.changes();
        let response = match op {
            OperationResponse::Range(r) => PbTxnOpResponse::ResponseRange(range_response(within.header(), r)),
            OperationResponse::Put(r) => PbTxnOpResponse::ResponsePut(put_response(within.header(), r)),
            OperationResponse::Delete(r) => PbTxnOpResponse::ResponseDeleteRange(delete_response(within.header(), r)),
            OperationResponse::Txn(r) => PbTxnOpResponse::ResponseTxn(inner_txn(within, r)),
        };
        PbResponseOp { response: Some(response) }
    });
    let responses = responses.collect();
    // Of a transaction within a transaction the header is empty.
    PbTxnResponse { header: Some(PbResponseHeader::default()), succeeded: response.succeeded, responses }
}

impl From<PbLeaseTimeToLiveResponse> for LeaseStatus {
    fn from(response: PbLeaseTimeToLiveResponse) -> Self {
        let mut keys: Vec<bytes::Bytes> = response.keys.into_iter().map(Into::into).collect();
        keys.sort();
        Self { id: response.id, ttl: response.ttl, granted_ttl: response.granted_ttl, keys }
    }
}

pub(crate) fn lease_status(header: PbResponseHeader, status: LeaseStatus) -> PbLeaseTimeToLiveResponse {
    PbLeaseTimeToLiveResponse {
        header: Some(header),
        id: status.id,
        ttl: status.ttl,
        granted_ttl: status.granted_ttl,
        keys: status.keys.into_iter().map(Into::into).collect(),
    }
}

pub(crate) fn keep_alive_response(header: PbResponseHeader, id: i64, ttl: i64) -> PbLeaseKeepAliveResponse {
    PbLeaseKeepAliveResponse { header: Some(header), id, ttl }
}
