//! Placement: golden scenarios that read at a glance, and properties held against a checker that is written
//! independently of the engine.

mod advice;
mod golden;
mod many_values;
mod model;
mod naive;
mod ordered;
mod pairs;
mod properties;
mod ranks;
mod scale;
