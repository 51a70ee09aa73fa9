//! Decides which machine of a fleet cluster runs which unit.
