//! Engines together: who leads, what is written, what moves, and what does not.

mod rig;

mod scheduling;
