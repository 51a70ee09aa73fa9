//! etcd's protocol buffers, to and from the contract's types.
//!
//! The client encodes requests and decodes answers, the embedded server does the reverse; both ends sit side by side
//! here so that they stay each other's mirror.

mod request;
mod response;
mod status;

pub(crate) use request::watch_create;
pub(crate) use response::{
    delete_response, header, header_from, keep_alive_response, lease_status, put_response, range_response, txn_response,
};
pub(crate) use status::{from_status, to_status};

/// A body bigger than this is not decoded: a page of a thousand units fits many times over.
pub(crate) const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
