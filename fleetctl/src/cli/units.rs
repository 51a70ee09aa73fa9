//! What is done with units.

use clap::Args;

use super::Format;

/// Units by name.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct UnitNames {
    /// The unit
    #[arg(value_name = "UNIT", help_heading = "ARGUMENTS")]
    pub units: Vec<String>,
}

/// Whether and how long to wait for a change to come true.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "OPTIONS")]
pub struct Blocking {
    /// Do not wait until it has happened
    #[arg(long)]
    pub no_block: bool,
    /// Wait at most N times two seconds; 0 is for ever
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub block_attempts: u32,
}

/// Units that the cluster knows.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct ChangeUnits {
    /// Whether to wait.
    #[command(flatten)]
    pub blocking: Blocking,
    /// The units: names, or patterns of names
    #[arg(value_name = "UNIT", help_heading = "ARGUMENTS")]
    pub units: Vec<String>,
}

/// Units that the cluster knows, or that are files here.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct CreateUnits {
    /// Whether to wait.
    #[command(flatten)]
    pub blocking: Blocking,
    /// Which units, and how.
    #[command(flatten)]
    pub submit: Submit,
}

/// Units to start.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct StartUnits {
    /// Which units, and how.
    #[command(flatten)]
    pub create: CreateUnits,
    /// Start what was planned, and only if it still comes to what the plan said; without units, those that were planned
    /// from here, as they were then
    #[arg(long, value_name = "TOKEN")]
    pub plan: Option<String>,
}

/// Units to create where the cluster does not know them.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Submit {
    /// Replace units whose file here is another than the cluster's
    #[arg(long)]
    pub replace: bool,
    /// Signed units were removed from fleet long ago
    #[arg(long, hide = true)]
    pub sign: bool,
    /// The name of the one unit that is read from standard input
    #[arg(long, value_name = "UNIT")]
    pub name: Option<String>,
    /// The units: names, patterns of names, paths of unit files or of folders with them, or - for standard input
    #[arg(value_name = "UNIT", help_heading = "ARGUMENTS")]
    pub units: Vec<String>,
}

/// A unit to explain.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Explain {
    /// The unit
    #[arg(value_name = "UNIT", help_heading = "ARGUMENTS")]
    pub units: Vec<String>,
    /// Print it for programs
    #[arg(long, short = 'o', value_name = "FORMAT", value_enum)]
    pub output: Option<Format>,
}

/// What to show of a journal.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Journal {
    /// How many lines of the past
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
    pub lines: u64,
    /// Go on with what comes
    #[arg(long, short = 'f')]
    pub follow: bool,
    /// An output mode of journalctl
    #[arg(long, value_name = "MODE", default_value = "short")]
    pub output: String,
    /// Only on this machine; else that of each machine that has the unit
    #[arg(long, value_name = "MACHINE")]
    pub machine: Option<String>,
    /// Read it as root, where it is read by ssh: fleetd does so anyhow
    #[arg(long)]
    pub sudo: bool,
    /// The port of ssh, towards a fleetd that cannot be asked for it
    #[arg(long, value_name = "PORT")]
    pub ssh_port: Option<u16>,
    /// The unit
    #[arg(value_name = "UNIT", help_heading = "ARGUMENTS")]
    pub units: Vec<String>,
}

/// Units whose status to show.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Status {
    /// Only on this machine
    #[arg(long, value_name = "MACHINE")]
    pub machine: Option<String>,
    /// The port of ssh, towards a fleetd that cannot be asked for it
    #[arg(long, value_name = "PORT")]
    pub ssh_port: Option<u16>,
    /// The units
    #[arg(value_name = "UNIT", help_heading = "ARGUMENTS")]
    pub units: Vec<String>,
}
