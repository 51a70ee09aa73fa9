//! Decides which machine of a fleet cluster runs which unit.
//!
//! [`placement`] decides, purely. [`Engine`] is the state machine around it: it stands for leader, follows the registry,
//! and writes what was decided. [`spawn`] runs it.
#![forbid(unsafe_code)]

mod absence;
mod counts;
pub mod election;
mod engine;
mod leader;
mod offline;
pub mod placement;
mod report;
mod shell;
mod snapshot;
mod stop_bound;

pub use counts::EngineCounts;
pub use engine::{Engine, EngineConfig, EngineEffect, EngineEvent, EngineStatus};
pub use leader::{Outlook, Texts, Touched, Wanted};
pub use offline::{Offline, OfflineMachine, OfflineUnit};
pub use report::{Level, Report};
pub use shell::{EngineHandle, spawn, spawn_with_timeout};
pub use snapshot::{Snapshot, SnapshotError, Stored};
pub use stop_bound::{fence_wait, stop_bound};
