//! Engines together: who leads, what is written, what moves, and what does not.

mod election;
mod failures;
mod fenced;
mod fences;
mod losses;
mod moves;
mod ordered;
mod outcomes;
mod retention;
mod rig;
mod scheduling;
mod states;
mod unreadable;
mod versions;
