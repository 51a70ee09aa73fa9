//! The shell around the state machines: the one place in this crate that reads clocks, and that waits.

mod clock;
mod drive;
mod session;
mod store;

use std::time::Duration;

pub use clock::{boot_now, slept};
pub use drive::{Input, drive};
pub use session::{SessionHandle, spawn_session, spawn_session_with_timeout};
pub use store::StoreShell;

/// How long an answer of the store may take when nothing else is configured (`etcd_request_timeout`).
pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
