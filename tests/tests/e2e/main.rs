//! Fleet through its front door: fleetctl on booted machines, with the real fleetd, systemd, and registry.
//!
//! One module per theme; the comment of each test says what a user would lose if it failed. What is true is read from
//! systemd and the machines' cgroups, not from what fleet says of itself.

mod absent_majority;
mod agents;
mod api;
mod bad_input;
mod bus;
mod clones;
mod coreos;
mod cuts;
mod disks;
mod drain;
mod etcd_members;
mod failures;
mod fence;
mod host;
mod hung_stops;
mod join;
mod killed;
mod migrate;
mod moves;
mod network;
mod operators;
mod ordered;
mod outage;
mod own_members;
mod pauses;
mod placement;
mod planning;
mod power;
mod registry_loss;
mod replace;
mod restored;
mod scripts;
mod ssh;
mod stops;
mod support;
mod tour;
mod trouble;
mod unreadable;
mod upgrade;
mod user;
mod versions;
