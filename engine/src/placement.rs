//! Which machine is to run which unit: pure decisions over a copy of the cluster's facts.
//!
//! [`Cluster`] takes facts (machines, units, schedules found, acknowledgements) and marks dirty what each concerns.
//! [`Cluster::pass`] decides about that, and [`Cluster::take_plan`] answers the schedules that changed. Nothing here
//! reads a clock, a random number, or the registry: the same facts give the same decisions.

mod avoid;
mod choice;
mod cluster;
mod concerns;
mod decision;
mod demand;
mod explain;
mod facts;
mod failures;
mod filter;
mod follow;
mod found;
mod graph;
mod group;
mod hold;
mod index;
mod kinds;
mod machine;
mod marks;
mod order;
mod pass;
mod patterns;
mod plan;
mod preempt;
mod rebalance;
mod rejection;
mod remedy;
mod replaces;
mod resources;
mod room;
mod slots;
mod small;
mod spread;
mod ties;
mod together;
mod unit;
mod values;
mod what_if;

pub use choice::{Choice, Compared, Difference, SpreadBetween};
pub use cluster::{Cluster, MAX_UNITS};
pub use decision::{Blocker, Decision, Departure, Invalid, Outcome, Said};
pub use demand::Demand;
pub use explain::{Alike, Explanation, Verdict};
pub use facts::{Capacity, MachineFacts, Presence, UnitSpec};
pub use failures::Failures;
pub use graph::{Circular, Cycle, refuse_circles};
pub use hold::{Activity, Hold};
pub use plan::MachinePlan;
pub use rebalance::{Evenness, Move, Rebalance};
pub use rejection::{Rejection, Rejections, Tally};
pub use remedy::{Remedy, Step};
pub use replaces::ReplacesCircle;
pub use resources::Resource;
pub use together::Together;
pub use what_if::{Fate, FateKind, Forecast, Supposition};
