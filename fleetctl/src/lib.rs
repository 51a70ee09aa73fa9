//! Control a fleet cluster from the command line.
//!
//! A command goes one way: [`arguments`] makes what was typed what clap reads, [`cli`] says what there is to type,
//! [`settings`] adds the environment, one module in [`commands`] does the work through fleet's API or
//! the person's own [`ssh`], and [`error`] is the
//! one place where failures become words, hints, and exit codes. [`wait`] decides when a change has come true; it does
//! no I/O. The library writes to nothing but the [`output`] that it is handed.
#![forbid(unsafe_code)]

pub mod arguments;
pub mod cli;
pub mod commands;
pub mod endpoint;
pub mod error;
pub mod etcd2;
pub mod fields;
pub mod output;
pub mod resolve;
pub mod settings;
pub mod ssh;
pub mod table;
pub mod wait;

mod program;

pub use program::run;
