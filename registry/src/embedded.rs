//! The embedded registry: the memory store made durable and served over etcd's own protocol.
//!
//! One thread owns the state (`writer`). It takes what has piled up, applies it to the memory store, writes all changes
//! to disk in one commit (`disk`), and only then answers and tells the watchers: nothing is seen, by anybody, that a
//! power cut could take back. `server` puts etcd's gRPC methods in front of it. It is one node: its machine's loss is
//! an outage.

mod config;
mod disk;
mod error;
mod files;
mod handle;
mod holder;
mod listen;
mod lock;
mod restore;
mod row;
mod server;
mod streams;
mod writer;

pub use config::EmbeddedConfig;
pub use error::EmbeddedError;
pub use handle::Embedded;
pub use listen::Listen;
pub use restore::Restored;
pub use server::{Names, Secure, ServeHandle};
