//! Requests, in etcd v3's terms.

use bytes::Bytes;

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Read keys.
    Range(RangeRequest),
    /// Compare, then act. Single puts and deletes are transactions without a compare.
    Txn(TxnRequest),
    /// Make a lease.
    LeaseGrant {
        /// Time to live, in seconds.
        ttl: i64,
        /// Its id, or 0 for one of the store's choice.
        id: i64,
    },
    /// End a lease, and every key that hangs on it.
    LeaseRevoke {
        /// Which.
        id: i64,
    },
    /// Renew a lease once.
    LeaseKeepAlive {
        /// Which.
        id: i64,
    },
    /// Ask how long a lease has left.
    LeaseTimeToLive {
        /// Which.
        id: i64,
        /// Whether to list the keys that hang on it.
        keys: bool,
    },
    /// List all leases.
    Leases,
    /// Forget the history below a revision.
    Compact {
        /// The oldest revision that stays readable.
        revision: i64,
        /// Answer only once space was given back.
        physical: bool,
    },
}

/// The range end that selects every key with this prefix (etcd's convention: empty selects one key, a single zero byte
/// everything from the key on).
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Bytes::from(end);
        }
    }
    Bytes::from_static(&[0])
}

/// Reads keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RangeRequest {
    /// First key.
    pub key: Bytes,
    /// End, exclusive; see [`prefix_end`].
    pub range_end: Bytes,
    /// At this revision, or 0 for now.
    pub revision: i64,
    /// At most this many, or 0 for all.
    pub limit: i64,
    /// Without values.
    pub keys_only: bool,
    /// Only how many.
    pub count_only: bool,
    /// May be answered by a member that lags behind. Linearizable otherwise.
    pub serializable: bool,
    /// Order of the answer.
    pub sort_order: SortOrder,
    /// What it is ordered by.
    pub sort_target: SortTarget,
    /// Bounds on revisions, 0 for none.
    pub min_mod_revision: i64,
    /// Upper bound on the mod revision.
    pub max_mod_revision: i64,
    /// Lower bound on the create revision.
    pub min_create_revision: i64,
    /// Upper bound on the create revision.
    pub max_create_revision: i64,
}

impl RangeRequest {
    /// One key.
    #[must_use]
    pub fn key(key: impl Into<Bytes>) -> Self {
        Self { key: key.into(), ..Self::default() }
    }

    /// Every key with this prefix.
    #[must_use]
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let key = prefix.into();
        Self { range_end: prefix_end(&key), key, ..Self::default() }
    }
}

/// Order of a range's answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// By key, as stored.
    #[default]
    None,
    /// Ascending.
    Ascend,
    /// Descending.
    Descend,
}

/// What a range's answer is ordered by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortTarget {
    /// The key.
    #[default]
    Key,
    /// Its version.
    Version,
    /// Its create revision.
    Create,
    /// Its mod revision.
    Mod,
    /// Its value.
    Value,
}

/// Compares, then does one list of operations or the other, as one revision.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TxnRequest {
    /// All must hold.
    pub compare: Vec<Compare>,
    /// Done when they do.
    pub success: Vec<Operation>,
    /// Done when they don't.
    pub failure: Vec<Operation>,
}

/// One operation of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Read.
    Range(RangeRequest),
    /// Write.
    Put(PutRequest),
    /// Delete.
    Delete(DeleteRequest),
    /// A transaction within.
    Txn(TxnRequest),
}

/// Writes a key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PutRequest {
    /// The key.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
    /// The lease it hangs on from now, or 0.
    pub lease: i64,
    /// Answer with what was there before.
    pub prev_kv: bool,
    /// Keep the value that is there.
    pub ignore_value: bool,
    /// Keep the lease that is there.
    pub ignore_lease: bool,
}

impl PutRequest {
    /// A plain write.
    #[must_use]
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { key: key.into(), value: value.into(), ..Self::default() }
    }
}

/// Deletes keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeleteRequest {
    /// First key.
    pub key: Bytes,
    /// End, exclusive; see [`prefix_end`].
    pub range_end: Bytes,
    /// Answer with what was there before.
    pub prev_kv: bool,
}

/// A condition on a key, or on every key of a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Compare {
    /// The key.
    pub key: Bytes,
    /// End, exclusive; empty for one key.
    pub range_end: Bytes,
    /// How to compare.
    pub op: CompareOp,
    /// What with.
    pub target: CompareTarget,
}

impl Compare {
    /// The key is absent.
    #[must_use]
    pub fn absent(key: impl Into<Bytes>) -> Self {
        Self::equal(key, CompareTarget::Create(0))
    }

    /// The key was created at this revision.
    #[must_use]
    pub fn created_at(key: impl Into<Bytes>, revision: i64) -> Self {
        Self::equal(key, CompareTarget::Create(revision))
    }

    /// The key was last written at this revision; 0 is an absent key.
    #[must_use]
    pub fn modified_at(key: impl Into<Bytes>, revision: i64) -> Self {
        Self::equal(key, CompareTarget::Mod(revision))
    }

    /// Equality on one key.
    #[must_use]
    pub fn equal(key: impl Into<Bytes>, target: CompareTarget) -> Self {
        Self { key: key.into(), range_end: Bytes::new(), op: CompareOp::Equal, target }
    }
}

/// How a compare compares: the key's own on the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareOp {
    /// Equal.
    Equal,
    /// Greater.
    Greater,
    /// Less.
    Less,
    /// Not equal.
    NotEqual,
}

/// What a compare looks at.
#[derive(Debug, Clone, PartialEq)]
pub enum CompareTarget {
    /// How often it was written since it was created.
    Version(i64),
    /// Create revision; 0 is an absent key.
    Create(i64),
    /// Mod revision; 0 is an absent key.
    Mod(i64),
    /// Its value.
    Value(Bytes),
    /// Its lease.
    Lease(i64),
}

/// Follows changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WatchRequest {
    /// First key.
    pub key: Bytes,
    /// End, exclusive; see [`prefix_end`].
    pub range_end: Bytes,
    /// From this revision on, or 0 for what comes from now.
    pub start_revision: i64,
    /// Ask for [`super::WatchItem::Progress`] from time to time.
    pub progress_notify: bool,
    /// Give what was there before with each event.
    pub prev_kv: bool,
    /// Leave out events of these kinds.
    pub filters: Vec<EventFilter>,
}

impl WatchRequest {
    /// Every key with this prefix, from a revision on.
    #[must_use]
    pub fn prefix(prefix: impl Into<Bytes>, start_revision: i64) -> Self {
        let key = prefix.into();
        Self { range_end: prefix_end(&key), key, start_revision, ..Self::default() }
    }

    /// One key, from a revision on.
    #[must_use]
    pub fn key(key: impl Into<Bytes>, start_revision: i64) -> Self {
        Self { key: key.into(), start_revision, ..Self::default() }
    }

    /// Whether there is no key that it could be about.
    pub(crate) fn is_empty(&self) -> bool {
        let key: &[u8] = if self.key.is_empty() { &[0] } else { &self.key };
        !matches!(&self.range_end[..], [] | [0]) && *key >= self.range_end[..]
    }
}

/// Events that a watch leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFilter {
    /// No puts.
    NoPut,
    /// No deletions.
    NoDelete,
}
