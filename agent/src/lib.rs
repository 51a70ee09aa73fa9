//! Makes one machine's systemd run what a fleet cluster decided.
//!
//! [`Agent`] is a state machine without I/O; [`reconcile`] decides, purely, what to do next with one unit; [`note`] is
//! what is remembered of a unit beside its file. [`spawn`] wraps them with the disk and systemd's D-Bus. [`journal`],
//! [`status`], and [`facts`] answer questions about this machine.

mod agent;
mod config;
mod disk;
mod effect;
pub mod facts;
pub mod journal;
pub mod note;
pub mod reconcile;
mod report;
mod shell;
pub mod status;
pub mod systemd;

pub use agent::{Agent, AgentStatus, Foreign, Standing, UnitSnapshot};
pub use config::{AgentConfig, MachineFacts};
pub use effect::{
    DiskEffect, DiskEvent, Effect, Event, FenceAct, FenceReport, Found, FoundUnit, Job, LinkUnit, Memory, Op,
    SystemdEffect, SystemdError, SystemdEvent, UnitReport,
};
pub use report::{Report, Severity};
pub use shell::{AgentControl, AgentHandle, spawn};
