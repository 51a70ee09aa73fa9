//! The memory store: etcd v3's semantics as a synchronous state machine.
//!
//! [`Memory`] takes a request and the time and answers; it does no I/O, reads no clock, and the same requests at the
//! same times give the same answers. The simulator drives it bare, the embedded registry makes it durable and serves
//! it, and [`MemoryStore`] wraps it as a [`crate::Store`] for tests.
//!
//! Inside, `mvcc` holds every key's versions and the log of revisions, `leases` the leases and what hangs on them,
//! `watchers` who waits for what. A watcher owns no queue: it is a position in the log, so that a slow one costs
//! nothing but history.

mod check;
mod core;
mod errors;
mod hash;
mod history;
mod journal;
mod leases;
mod log;
mod mvcc;
mod range;
mod read;
mod saved;
mod store;
mod txn;
mod version;
mod watchers;

pub use self::core::Memory;
pub(crate) use errors::{KEY_NOT_FOUND, lease_not_found};
pub use journal::{Change, Saved};
pub(crate) use leases::MAX_TTL;
pub use store::MemoryStore;
pub use version::{Numbers, Version};
pub use watchers::WatcherId;

#[cfg(test)]
mod tests;
