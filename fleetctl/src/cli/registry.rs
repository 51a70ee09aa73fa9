//! What there is to type about the registry itself.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::COMMAND_HELP;

/// What to do with the registry.
#[derive(Args, Debug)]
pub struct Registry {
    /// What to do.
    #[command(subcommand)]
    pub action: RegistryAction,
}

/// What to do with the registry.
#[derive(Debug, Subcommand)]
pub enum RegistryAction {
    /// Write the whole registry into a file, which etcd's own tools take as well
    #[command(help_template = COMMAND_HELP)]
    Backup(Backup),
    /// Show what putting a backup in the registry's place would mean for units that run, and do it
    #[command(help_template = COMMAND_HELP)]
    Restore(Restore),
    /// Print a token with which another machine joins the registry that this machine's fleetd carries
    #[command(help_template = COMMAND_HELP)]
    Token(Token),
}

/// A backup to make.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Backup {
    /// Where to write it; what is there is replaced once the backup is whole
    #[arg(value_name = "FILE", help_heading = "ARGUMENTS")]
    pub file: PathBuf,
}

/// A backup to restore.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Restore {
    /// Do it without being asked
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// A backup, or what "etcdctl snapshot save" wrote
    #[arg(value_name = "FILE", help_heading = "ARGUMENTS")]
    pub file: PathBuf,
}

/// A token to make.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Token {
    /// How long it is good
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub ttl: Duration,
    /// For how many machines
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub uses: u32,
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}: expected a time such as 30m or 1h"))
}
