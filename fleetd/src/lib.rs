//! The fleet daemon: agent, engine, and API server in one process.
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`config`] | `fleet.conf`, the environment, and flags |
//! | [`logging`] | journald, or fleet's lines on stderr |
//! | [`counts`] | what was done so far, for `/metrics` |
//! | [`cluster`] | the cluster as this fleetd knows it, and writes on behalf of people |
//! | [`daemon`] | the process: start, wiring, signals, end |
//! | [`http`] | the API, versions 1 and 2, and its sockets |
//! | [`local`] | journal and status of this machine's units |
//! | [`peers`] | the channel between fleetds |
//! | [`time`] | the wall clock |
#![forbid(unsafe_code)]

pub mod archive;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod counts;
pub mod daemon;
pub mod http;
pub mod local;
pub mod logging;
pub mod peers;
pub mod time;
