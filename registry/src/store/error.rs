//! What a store answers when it cannot do what was asked.

/// What kind of failure it is, as far as callers decide by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Nobody answers, or the connection broke before the request was surely sent.
    Unavailable,
    /// No answer came in time, or the connection broke after sending: it may have taken effect.
    Unknown,
    /// The revision asked for was compacted; see [`StoreError::compact_revision`].
    Compacted,
    /// The revision asked for lies in the future.
    FutureRevision,
    /// The lease is not there (any more).
    LeaseNotFound,
    /// A lease of that id is there already.
    LeaseExists,
    /// The lease's time to live is larger than the store takes.
    LeaseTtlTooLarge,
    /// More operations in a transaction than the store takes (128).
    TooManyOperations,
    /// The same key twice in a transaction.
    DuplicateKey,
    /// Larger than the store takes (1.5 MiB).
    RequestTooLarge,
    /// The key is empty, or the put refers to a value or lease that is not there.
    InvalidArgument,
    /// The store is full (etcd's NOSPACE alarm).
    NoSpace,
    /// Not allowed, or not authenticated.
    PermissionDenied,
    /// Not a thing that this store does.
    Unimplemented,
    /// The store is damaged.
    Corrupt,
    /// Anything else.
    Other,
}

/// A failed request or watch. `message` is etcd's own text where there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What callers decide by.
    pub kind: ErrorKind,
    /// What people read.
    pub message: String,
    /// With [`ErrorKind::Compacted`]: the oldest revision still there.
    pub compact_revision: i64,
}

impl StoreError {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), compact_revision: 0 }
    }

    /// Whether the request may have taken effect all the same.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        matches!(self.kind, ErrorKind::Unknown | ErrorKind::Other)
    }

    /// Whether the store could not be reached, so that the same request may work later.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Unknown)
    }
}
