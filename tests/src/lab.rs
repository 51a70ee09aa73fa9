//! Real machines for tests: `systemd-nspawn` booting full systems from an overlay of the
//! host's own root, three of them in about half a second.
//!
//! ```no_run
//! use fleet_tests::lab::Lab;
//! use std::time::Duration;
//!
//! # fn main() -> anyhow::Result<()> {
//! let lab = Lab::builder().machines(3).start()?;
//! let node = lab.node(1);
//! node.exec(["systemctl", "start", "systemd-tmpfiles-clean"])?.ok()?;
//! node.power_off_hard()?;
//! node.boot()?;
//! # Ok(())
//! # }
//! ```
//!
//! How it is made:
//!
//! - A [`Lab`] is a handle on one child process, `fleet-lab`, that lives in pid, mount, and
//!   network namespaces of its own and boots the machines. Whatever ends it ends every
//!   machine, mount, and link; and it ends when the process that made the lab does.
//! - Only booting, powering off, and daemons go through that process ([`protocol`]). All
//!   else (commands, files, signals) is done by the test's own process, which enters the
//!   machine's namespaces, so that output streams need no relay.
//! - What runs in a machine is read from its cgroup, from outside ([`cgroup`]).
//! - Only cgroup folders and a disk folder can outlive a lab that was killed. Their names
//!   tell whose they were, and the next lab sweeps them ([`sweep`]).

mod builder;
pub mod cgroup;
mod client;
mod command;
mod daemon;
mod etcd;
pub mod hold;
mod image;
mod layout;
mod logs;
mod machine;
mod network;
mod node;
mod overlay;
pub mod owner;
pub mod protocol;
mod requirements;
pub mod serve;
mod spec;
pub mod sweep;
mod wait;

pub use builder::LabBuilder;
pub use client::Lab;
pub use command::{Output, Streaming};
pub use etcd::Etcd;
pub use layout::{SHARED, base_dir};
pub(crate) use network::address as node_ip;
pub use node::Node;
pub use requirements::check_requirements;
pub use spec::{FileSpec, LabSpec};
pub use wait::{holds, poll, wait_for};
