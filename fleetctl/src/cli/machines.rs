//! What is done with machines, and on them.

use clap::{Args, Subcommand};

use super::{Blocking, COMMAND_HELP};

/// A socket here.
#[derive(Args, Debug)]
pub struct FdForward {
    /// The path of the socket
    #[arg(value_name = "SOCKET", help_heading = "ARGUMENTS")]
    pub sockets: Vec<String>,
}

/// Where to log in, and what to do there.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct SshTo {
    /// The machine, by its id, the beginning of one, or its hostname; all arguments are the command then
    #[arg(long, value_name = "MACHINE")]
    pub machine: Option<String>,
    /// The machine that has this unit; all arguments are the command then
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<String>,
    /// Let programs there use your keys
    #[arg(long, short = 'A')]
    pub forward_agent: bool,
    /// The port of ssh there
    #[arg(long, value_name = "PORT")]
    pub ssh_port: Option<u16>,
    /// A machine or a unit, and the command; nothing after the first is read as a flag
    #[arg(value_name = "MACHINE|UNIT COMMAND", help_heading = "ARGUMENTS")]
    pub arguments: Vec<String>,
}

/// Machines.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Machines {
    /// The machines: ids, beginnings of one, or hostnames
    #[arg(value_name = "MACHINE", help_heading = "ARGUMENTS")]
    pub machines: Vec<String>,
}

/// Machines to drain.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Drain {
    /// Whether to wait.
    #[command(flatten)]
    pub blocking: Blocking,
    /// The machines: ids, beginnings of one, or hostnames
    #[arg(value_name = "MACHINE", help_heading = "ARGUMENTS")]
    pub machines: Vec<String>,
}

/// What to do with orphans.
#[derive(Args, Debug)]
pub struct Orphans {
    /// What to do; without it, they are listed.
    #[command(subcommand)]
    pub action: Option<OrphansAction>,
}

/// What to do with orphans.
#[derive(Debug, Subcommand)]
pub enum OrphansAction {
    /// List them
    #[command(help_template = COMMAND_HELP)]
    List,
    /// Stop orphans and remove their unit files; units of the cluster are refused
    #[command(help_template = COMMAND_HELP)]
    Stop {
        /// Only on this machine: its id, the beginning of it, or its hostname
        #[arg(long, value_name = "MACHINE")]
        machine: Option<String>,
        /// The orphans
        #[arg(value_name = "UNIT", help_heading = "ARGUMENTS")]
        units: Vec<String>,
    },
}

/// What to do with one machine.
#[derive(Args, Debug)]
pub struct Machine {
    /// What to do.
    #[command(subcommand)]
    pub action: MachineAction,
}

/// What to do with one machine.
#[derive(Debug, Subcommand)]
pub enum MachineAction {
    /// Show a machine's metadata, or change it; what is changed here goes before its configuration
    #[command(help_template = COMMAND_HELP)]
    Metadata {
        /// The machine: its id, the beginning of it, or its hostname
        #[arg(value_name = "MACHINE", help_heading = "ARGUMENTS")]
        machine: String,
        /// key=value sets, key- removes
        #[arg(value_name = "CHANGE", help_heading = "ARGUMENTS")]
        changes: Vec<String>,
    },
}
