//! The stores, held to etcd's answers and to what they promise: one suite of calls over all of them and a real etcd,
//! random sequences side by side, and the faults that a store has to survive.

#![expect(clippy::disallowed_methods, reason = "tests measure real servers by the clock")]

mod conformance;
mod durability;
mod etcdctl;
mod failover;
mod harness;
mod newer;
mod process;
mod quota;
mod refusals;
mod side_by_side;
mod snapshots;
mod streams;
mod trust;
