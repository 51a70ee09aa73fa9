//! etcd's own words for what it refuses, so that every client's handling of them works here too.

use crate::store::{ErrorKind, StoreError};

pub(super) fn compacted(compact_revision: i64) -> StoreError {
    StoreError {
        compact_revision,
        ..StoreError::new(ErrorKind::Compacted, "etcdserver: mvcc: required revision has been compacted")
    }
}

pub(super) fn future_revision() -> StoreError {
    StoreError::new(ErrorKind::FutureRevision, "etcdserver: mvcc: required revision is a future revision")
}

pub(crate) fn lease_not_found() -> StoreError {
    StoreError::new(ErrorKind::LeaseNotFound, "etcdserver: requested lease not found")
}

pub(super) fn lease_exists() -> StoreError {
    StoreError::new(ErrorKind::LeaseExists, "etcdserver: lease already exists")
}

pub(super) fn lease_ttl_too_large() -> StoreError {
    StoreError::new(ErrorKind::LeaseTtlTooLarge, "etcdserver: too large lease TTL")
}

pub(super) fn too_many_operations() -> StoreError {
    StoreError::new(ErrorKind::TooManyOperations, "etcdserver: too many operations in txn request")
}

pub(super) fn duplicate_key() -> StoreError {
    StoreError::new(ErrorKind::DuplicateKey, "etcdserver: duplicate key given in txn request")
}

pub(super) fn request_too_large() -> StoreError {
    StoreError::new(ErrorKind::RequestTooLarge, "etcdserver: request is too large")
}

pub(super) fn empty_key() -> StoreError {
    StoreError::new(ErrorKind::InvalidArgument, "etcdserver: key is not provided")
}

/// What is said of a key that is to be kept as it is and is not there.
pub(crate) const KEY_NOT_FOUND: &str = "etcdserver: key not found";

pub(super) fn key_not_found() -> StoreError {
    StoreError::new(ErrorKind::InvalidArgument, KEY_NOT_FOUND)
}

pub(super) fn value_provided() -> StoreError {
    StoreError::new(ErrorKind::InvalidArgument, "etcdserver: value is provided")
}

pub(super) fn lease_provided() -> StoreError {
    StoreError::new(ErrorKind::InvalidArgument, "etcdserver: lease is provided")
}
