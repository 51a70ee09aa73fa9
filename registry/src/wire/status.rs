//! Errors. gRPC's code narrows them down, etcd's text tells them apart.

use std::error::Error;

use tonic::{Code, ConnectError, Status};

use crate::store::{ErrorKind, StoreError};

/// The gRPC status that etcd answers with for this error.
pub(crate) fn to_status(error: &StoreError) -> Status {
    let code = match error.kind {
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Unknown | ErrorKind::Other => Code::Unknown,
        ErrorKind::Compacted | ErrorKind::FutureRevision | ErrorKind::LeaseTtlTooLarge => Code::OutOfRange,
        ErrorKind::LeaseNotFound => Code::NotFound,
        ErrorKind::LeaseExists => Code::FailedPrecondition,
        ErrorKind::TooManyOperations
        | ErrorKind::DuplicateKey
        | ErrorKind::RequestTooLarge
        | ErrorKind::InvalidArgument => Code::InvalidArgument,
        ErrorKind::NoSpace => Code::ResourceExhausted,
        ErrorKind::PermissionDenied => Code::PermissionDenied,
        ErrorKind::Unimplemented => Code::Unimplemented,
        ErrorKind::Corrupt => Code::DataLoss,
    };
    Status::new(code, error.message.clone())
}

/// What a status means to callers, whether a server sent it or the connection broke.
pub(crate) fn from_status(status: &Status) -> StoreError {
    match status.source() {
        Some(source) => StoreError::new(broken(source), describe(status, source)),
        None => StoreError::new(answered(status), status.message()),
    }
}

/// The connection failed: before anything was sent, or perhaps after.
fn broken(source: &(dyn Error + 'static)) -> ErrorKind {
    let mut cause = Some(source);
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return ErrorKind::Unavailable;
        }
        cause = error.source();
    }
    ErrorKind::Unknown
}

/// A server answered.
fn answered(status: &Status) -> ErrorKind {
    let text = status.message();
    let says = |part: &str| text.contains(part);
    match status.code() {
        Code::Unavailable if says("no leader") => ErrorKind::Unavailable,
        // Timed out, leader changed, stopped: whether the request got through nobody says.
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted => ErrorKind::Unknown,
        Code::OutOfRange if says("compacted") => ErrorKind::Compacted,
        Code::OutOfRange if says("future revision") => ErrorKind::FutureRevision,
        Code::OutOfRange if says("lease TTL") => ErrorKind::LeaseTtlTooLarge,
        Code::NotFound if says("lease not found") => ErrorKind::LeaseNotFound,
        Code::FailedPrecondition if says("lease already exists") => ErrorKind::LeaseExists,
        Code::ResourceExhausted if says("space exceeded") => ErrorKind::NoSpace,
        // Refused before it was looked at.
        Code::ResourceExhausted if says("too many requests") => ErrorKind::Unavailable,
        Code::ResourceExhausted => ErrorKind::RequestTooLarge,
        Code::InvalidArgument if says("too many operations") => ErrorKind::TooManyOperations,
        Code::InvalidArgument if says("duplicate key") => ErrorKind::DuplicateKey,
        Code::InvalidArgument if says("request is too large") => ErrorKind::RequestTooLarge,
        Code::InvalidArgument if says("user name is empty") || says("auth") => ErrorKind::PermissionDenied,
        Code::InvalidArgument => ErrorKind::InvalidArgument,
        Code::PermissionDenied | Code::Unauthenticated => ErrorKind::PermissionDenied,
        Code::Unimplemented => ErrorKind::Unimplemented,
        Code::DataLoss => ErrorKind::Corrupt,
        _ => ErrorKind::Other,
    }
}

/// The chain of causes in one line; they often repeat each other.
fn describe(status: &Status, source: &(dyn Error + 'static)) -> String {
    let mut text = status.message().to_owned();
    let mut cause = Some(source);
    while let Some(error) = cause {
        let part = clocks(error).unwrap_or_else(|| error.to_string());
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}

/// What a server's certificate that does not count at this time says of the clocks.
fn clocks(error: &(dyn Error + 'static)) -> Option<String> {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)?;
    match inner.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(error) => crate::trust::tls::dated(error),
        _ => None,
    }
}
