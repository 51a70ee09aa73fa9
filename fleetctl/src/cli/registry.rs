//! What there is to type about the registry itself.

use std::path::PathBuf;

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
