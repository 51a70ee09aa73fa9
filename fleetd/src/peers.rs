//! The channel between fleetds: what must cross machines, which is the journal of a unit and what systemd says of it.
//!
//! Each fleetd makes a key for itself and publishes its fingerprint in `machines/<id>`. A connection is mutual TLS, and
//! both ends hold the other's key against the registry: trust is rooted there, as everything in fleet is, and nobody
//! has to set anything up. Who is not in the registry is dropped before a byte of HTTP.

mod client;
mod identity;
mod members;
mod server;
mod tls;

pub(crate) use client::settle;
pub use client::{PeerError, Peers, ask};
pub use identity::{Identity, IdentityError};
pub use members::Members;
pub use server::{Porter, serve};

#[cfg(test)]
mod tests;
