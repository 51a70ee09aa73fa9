//! The contract of a store: etcd v3's semantics, and no more.
//!
//! Three stores keep it: `memory` (the core, synchronous), `embedded` (the memory core made durable and served over
//! etcd's protocol) and `etcd` (a client). One conformance suite holds them to it, and to a real etcd.

mod error;
mod request;
mod response;

use std::future::Future;
use std::pin::Pin;

use futures::stream::Stream;

pub use error::{ErrorKind, StoreError};
pub use request::{
    Compare, CompareOp, CompareTarget, DeleteRequest, EventFilter, Operation, PutRequest, RangeRequest, Request,
    SortOrder, SortTarget, TxnRequest, WatchRequest, prefix_end,
};
pub use response::{
    DeleteResponse, Event, EventKind, Header, KeyValue, LeaseStatus, OperationResponse, PutResponse, RangeResponse,
    Response, ResponseBody, TxnResponse, WatchItem,
};

/// The future of an answer.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response, StoreError>> + Send + 'a>>;

/// The items of a watch; an error is the last.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchItem, StoreError>> + Send>>;

/// A store, as the shells around the state machines use it.
pub trait Store: Send + Sync {
    /// Makes one request. Dropping the future does not undo it.
    fn call(&self, request: Request) -> Answer<'_>;

    /// Opens a watch. The first item is [`WatchItem::Created`].
    fn watch(&self, request: WatchRequest) -> WatchStream;
}
