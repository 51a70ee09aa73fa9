//! Whole clusters in virtual time, from one seed.
//!
//! The real session, engine, and agent of every machine run over one memory store, each at the end of a link of its own,
//! with a [`systemd`] and a [`disk`] that do what real ones do as far as the agent can tell. A [`Story`] is what befalls such a cluster: operators at
//! work, machines and fleetds that die, a store that cannot be reached. After every step the invariants of fleet are
//! checked against what the simulated systemds really run and what the store really holds; once the faults have ended,
//! what runs must become what is decided, and stay so. The same seed tells the same story, to the letter.

mod churn;
mod clock;
mod convergence;
mod crowded;
mod deed;
pub mod disk;
mod fault;
mod fleetd;
mod machine;
mod machines;
mod moves;
mod operator;
mod reality;
mod restore;
pub(crate) mod rng;
mod shrink;
mod single;
mod story;
pub mod systemd;
mod theme;
mod timeline;
mod trouble;
mod truth;
mod world;

pub use churn::{Day, Rest, churn};
pub use rng::Rng;
pub use shrink::shrink;
pub use story::{Outcome, Story};
pub use theme::Theme;
