//! The measurements.

mod commit;
mod crash;
mod hosts;
mod line;
mod lost;
mod many;
mod memory;
mod placement;
mod quality;
mod ready;
mod registry;
mod rest;
mod shapes;
mod start;

pub(super) use commit::commit;
pub(super) use crash::crash;
pub(super) use hosts::hosts;
pub(super) use line::head_of_line;
pub(super) use lost::leader_lost;
pub(super) use many::{start_200, start_1000};
pub(super) use memory::memory;
pub(super) use placement::{change, explain, loss, place};
pub(super) use quality::quality;
pub(super) use ready::ready;
pub(super) use registry::registry;
pub(super) use rest::{list_units, rest};
pub(super) use shapes::{curve, shapes};
pub(super) use start::start;
