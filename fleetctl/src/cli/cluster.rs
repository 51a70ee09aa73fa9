//! What is done with the cluster as a whole.

use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};

use super::{Format, Submit};

/// How to even out the load.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Rebalance {
    /// Move no more units than this
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub max_moves: Option<usize>,
    /// How many of one group (the instances of a template, or a SpreadGroup=) may be away at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub at_once: usize,
    /// Only show what would be moved
    #[arg(long)]
    pub dry_run: bool,
    /// Print what is to be moved for programs
    #[arg(long, short = 'o', value_name = "FORMAT", value_enum)]
    pub output: Option<Format>,
}

/// A change to think through. Several machines may follow one flag: units come before it.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS", override_usage = "fleetctl plan [UNIT]... [OPTIONS]")]
pub struct Plan {
    /// Which units are to be started, and how.
    #[command(flatten)]
    pub submit: Submit,
    /// These machines are lost
    #[arg(long, value_name = "MACHINE", num_args = 1..)]
    pub lose: Vec<String>,
    /// These machines are drained
    #[arg(long, value_name = "MACHINE", num_args = 1..)]
    pub drain: Vec<String>,
    /// A machine, and how its metadata changes: key=value sets, key- removes
    #[arg(long, value_names = ["MACHINE", "CHANGE"], num_args = 2..)]
    pub metadata: Vec<String>,
    /// Ask a file that "fleetctl snapshot" wrote, instead of a cluster
    #[arg(long, value_name = "FILE")]
    pub snapshot: Option<String>,
    /// Print it for programs
    #[arg(long, short = 'o', value_name = "FORMAT", value_enum)]
    pub output: Option<Format>,
}

/// What to do with the brake.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Brake {
    /// What to do
    #[arg(value_name = "ACTION", help_heading = "ARGUMENTS", value_enum, default_value_t = BrakeAction::Status)]
    pub action: BrakeAction,
}

/// What to do with the brake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BrakeAction {
    /// Show whether it is on, and why; ends with 1 where it is
    Status,
    /// Machines that are absent are lost indeed: run elsewhere what they ran
    Release,
}

/// What to do with the cluster.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Cluster {
    /// What to do
    #[arg(value_name = "ACTION", help_heading = "ARGUMENTS", value_enum, default_value_t = ClusterAction::Status)]
    pub action: ClusterAction,
    /// Print it for programs
    #[arg(long, short = 'o', value_name = "FORMAT", value_enum)]
    pub output: Option<Format>,
}

/// What to take over.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Import {
    /// The etcd that CoreOS fleet used, which must speak version 2 of its API (up to etcd 3.5, with --enable-v2):
    /// http://[USER:PASSWORD@]HOST:PORT, or https:// with --ca-file, --cert-file, and --key-file
    #[arg(long, value_name = "URL")]
    pub etcd2: String,
    /// Only show what would be taken over
    #[arg(long)]
    pub dry_run: bool,
    /// Start units even where a CoreOS fleet outside this cluster still runs them
    #[arg(long)]
    pub force: bool,
}

/// Whether to join.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Join {
    /// Make the machine whose fleetd is asked a member of the cluster whose registry it finds; without this, only show
    /// what that would mean
    #[arg(long)]
    pub accept: bool,
}

/// What to do with the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClusterAction {
    /// Show who leads, what is missing, and what is wrong; ends with 1 where something is
    Status,
}
