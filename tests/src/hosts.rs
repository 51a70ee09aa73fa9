//! Many machines in one process, in real time, over a real store.
//!
//! Each is what a fleetd is to the registry: the real session with its lease, the real agent, and where asked for the
//! real engine, in their own shells and over a connection of its own. Below the agent are the simulator's [`systemd`] and
//! disk instead of a machine's, so that thousands fit into one. [`Observer`] sees what people would see; [`Truth`] knows
//! what really runs, and notices when something runs twice.
//!
//! [`systemd`]: crate::sim::systemd

mod etcd;
mod host;
mod machine;
mod observer;
mod submit;
mod thread;
mod truth;
mod warnings;

pub use etcd::{OwnEtcd, connect, free_address};
pub use host::{Host, HostConfig};
pub use observer::{Observer, Seen};
pub use submit::{put, started, write};
pub use thread::HostThread;
pub use truth::Truth;
pub use warnings::Warnings;
