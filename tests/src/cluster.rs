//! A fleet on a [`Lab`](crate::lab::Lab): fleetd on every machine, on an embedded registry or
//! a real etcd.
//!
//! ```no_run
//! use fleet_tests::cluster::Cluster;
//!
//! Cluster::builder().machines(3).run(|cluster| {
//!     cluster.wait_machines(3)?;
//!     cluster.node(2).write_file("/root/hello.service", "[Service]\nExecStart=/bin/sleep 1000\n")?;
//!     cluster.fleetctl(2, ["start", "/root/hello.service"])?.ok()?;
//!     assert_eq!(cluster.running_on("hello.service").len(), 1);
//!     Ok(())
//! });
//! ```

mod builder;
mod config;
mod handle;
mod joined;
mod turns;

pub use builder::{ClusterBuilder, Registry};
pub use handle::Cluster;
pub use turns::at_rest;
