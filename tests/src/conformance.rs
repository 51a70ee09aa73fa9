//! The simulated systemd held to the real one: the same story is told on a booted machine, through the very session with
//! systemd that fleetd has, and in virtual time; what the agent is told must be the same, times aside.
//!
//! A [`Story`] is a list of [`Step`]s with a few units. [`tell`] carries them out on any [`Machine`] and writes an
//! [`Observation`]; [`compare`] says where two of them differ. [`Booted`] is meant to run inside a booted machine, in the
//! program `fleet-story`.

mod booted;
mod compare;
mod observation;
mod simulated;
mod story;
mod teller;

pub use booted::Booted;
pub use compare::compare;
pub use observation::{Observation, Seen, Snapshot};
pub use simulated::Simulated;
pub use story::{Step, Story};
pub use teller::{Machine, tell};
