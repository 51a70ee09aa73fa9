//! What fleet costs, beside what the same work costs without it: the figures of `make bench`.
//!
//! - [`rows`] holds the measurements, one file for each kind; [`Suite`] runs those that were asked for and
//!   [`Report`] prints them. Every figure stands beside its floor, measured in the same run, because machines differ
//!   and are busy: what is promised is mostly the ratio of the two.
//! - [`scene`] is the cluster that all rows share.
//! - [`inside`] is what this program does in the machines, where it is copied to: it reads the clock right before a
//!   command and right after it, so that the way into the machine is not measured. All machines of a lab share the
//!   host's monotonic clock, which is also the clock of systemd's own time stamps.

pub mod inside;
mod memory;
mod metrics;
mod one_core;
mod process;
mod report;
mod roles;
mod row;
mod rows;
mod sample;
mod scene;
mod suite;
mod units;

pub use report::Report;
pub use row::RowName;
pub use suite::{Extent, Suite};
