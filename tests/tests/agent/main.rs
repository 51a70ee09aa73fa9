//! The agent's state machine, driven through its whole life in virtual time.

mod chaos;
mod cluster;
mod fence;
mod membership;
mod restored;
mod units;
mod unreadable;
mod world;
