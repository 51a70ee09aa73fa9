//! Answers, in etcd v3's terms.

use bytes::Bytes;

/// A key, its value, and what the store knows of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
    /// Revision of its creation.
    pub create_revision: i64,
    /// Revision of its last write.
    pub mod_revision: i64,
    /// How often it was written since its creation.
    pub version: i64,
    /// The lease that it hangs on, or 0.
    pub lease: i64,
}

/// Comes with every answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Header {
    /// The store's own cluster id: another one means another store.
    pub cluster_id: u64,
    /// The member that answered.
    pub member_id: u64,
    /// The store's revision: one lower than seen before means a restored store.
    pub revision: i64,
    /// Term of its consensus.
    pub raft_term: u64,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The header.
    pub header: Header,
    /// The rest.
    pub body: ResponseBody,
}

/// What an answer holds beside its header, one a request.
#[derive(Debug, Clone, PartialEq)]
pub enum ResponseBody {
    /// Of a range.
    Range(RangeResponse),
    /// Of a transaction.
    Txn(TxnResponse),
    /// Of a grant.
    LeaseGrant {
        /// The lease.
        id: i64,
        /// Granted time to live, in seconds; may be more than was asked for.
        ttl: i64,
    },
    /// Of a revocation.
    LeaseRevoke,
    /// Of a keep-alive.
    LeaseKeepAlive {
        /// The lease.
        id: i64,
        /// Its time to live from now, in seconds; 0 or less: it is gone.
        ttl: i64,
    },
    /// Of a question for a lease.
    LeaseTimeToLive(LeaseStatus),
    /// All leases, as they run out.
    Leases(Vec<i64>),
    /// Of a compaction.
    Compact,
}

/// What a store knows of a lease.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseStatus {
    /// The lease.
    pub id: i64,
    /// Seconds left; -1 when there is no such lease.
    pub ttl: i64,
    /// Seconds granted.
    pub granted_ttl: i64,
    /// Keys that hang on it, if asked for.
    pub keys: Vec<Bytes>,
}

/// Keys read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RangeResponse {
    /// The keys.
    pub kvs: Vec<KeyValue>,
    /// More than the limit are there.
    pub more: bool,
    /// How many are there in all.
    pub count: i64,
}

/// A transaction's outcome.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TxnResponse {
    /// Whether the compares held.
    pub succeeded: bool,
    /// One for each operation done.
    pub responses: Vec<OperationResponse>,
}

/// The outcome of one operation of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum OperationResponse {
    /// Of a range.
    Range(RangeResponse),
    /// Of a put.
    Put(PutResponse),
    /// Of a deletion.
    Delete(DeleteResponse),
    /// Of a transaction within.
    Txn(TxnResponse),
}

/// A put's outcome.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PutResponse {
    /// What was there before, if asked for.
    pub prev_kv: Option<KeyValue>,
}

/// A deletion's outcome.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeleteResponse {
    /// How many keys were deleted.
    pub deleted: i64,
    /// What was there before, if asked for.
    pub prev_kvs: Vec<KeyValue>,
}

/// What a watch delivers.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchItem {
    /// The watch is there; events from its start revision on follow.
    Created {
        /// The store's header.
        header: Header,
    },
    /// The events of one or several revisions, in order. All events of one revision come in one item.
    Events {
        /// The store's header; its revision is the last that is covered.
        header: Header,
        /// The events.
        events: Vec<Event>,
    },
    /// Nothing happened up to the header's revision.
    Progress {
        /// The store's header.
        header: Header,
    },
}

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It was written.
    Put,
    /// It was deleted, by a request or with its lease.
    Delete,
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The key as it is now; of a deleted one, key and mod revision alone.
    pub kv: KeyValue,
    /// The key as it was, if asked for and there was one.
    pub prev_kv: Option<KeyValue>,
}

impl TxnResponse {
    /// Whether it made a revision.
    pub(crate) fn changes(&self) -> bool {
        self.responses.iter().any(OperationResponse::changes)
    }
}

impl OperationResponse {
    /// Whether it changed anything.
    pub(crate) fn changes(&self) -> bool {
        match self {
            Self::Range(_) => false,
            Self::Put(_) => true,
            Self::Delete(delete) => delete.deleted > 0,
            Self::Txn(txn) => txn.changes(),
        }
    }
}
