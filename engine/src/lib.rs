//! Decides which machine of a fleet cluster runs which unit.
#![forbid(unsafe_code)]

pub mod placement;
