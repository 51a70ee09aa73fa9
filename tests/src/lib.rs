//! Booted clusters for fleet's end-to-end tests, the demo, and the benchmarks.
//!
//! [`lab`] boots real machines (each with its own systemd, D-Bus, journal, disk, and
//! network address) and knows nothing of fleet; [`cluster`] installs fleet on them, and
//! [`bench`] measures what it costs there. [`sim`] needs no machines: whole clusters in virtual time.
//! [`conformance`] holds its systemd to the real one.

pub mod bench;
pub mod cluster;
pub mod conformance;
pub mod hosts;
pub mod lab;
pub mod next;
mod programs;
pub mod quality;
pub mod sim;
pub mod synthetic;

pub use programs::{find_program, newer_etcd};
