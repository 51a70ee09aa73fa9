//! The client of a real etcd (3.4 to 3.6), and of the embedded registry, which speaks the same protocol.
//!
//! [`EtcdStore`] keeps to one endpoint as long as it answers and moves on to the next when it does not; every call has a
//! time-out, and the connection is probed while idle, so that a frozen server is noticed. `config` turns options into
//! endpoints, `rpc` is one call with failover and authentication, `watch` and `keep_alive` are the two streams.

mod auth;
mod client;
mod config;
mod keep_alive;
mod rpc;
mod watch;

pub use client::{EtcdHealth, EtcdStore};
pub use config::{Credentials, EtcdConfig, EtcdConfigError, TlsFiles};
