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
    /// Move the registry to an etcd, or back, while units run: on the registry's machine, as root
    #[command(help_template = COMMAND_HELP)]
    Migrate(Migrate),
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

/// A registry to move. What is not said is as "fleetd registry migrate" has it.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Migrate {
    /// To an etcd on this machine, or back into its fleetd
    #[arg(long, value_name = "WHERE", value_parser = ["etcd", "embedded"])]
    pub to: String,
    /// fleetd's configuration, which is changed [default: /etc/fleet/fleet.conf]
    #[arg(long, value_name = "FILE")]
    pub config: Option<String>,
    /// systemd's unit of fleetd, which is restarted [default: fleet.service]
    #[arg(long, value_name = "UNIT")]
    pub service: Option<String>,
    /// systemd's unit of etcd, set up to listen where the registry does [default: etcd.service]
    #[arg(long, value_name = "UNIT")]
    pub etcd_service: Option<String>,
    /// Where etcd keeps its data [default: /var/lib/etcd/default]
    #[arg(long, value_name = "DIRECTORY")]
    pub etcd_data_dir: Option<String>,
    /// The name of etcd's member [default: default]
    #[arg(long, value_name = "NAME")]
    pub etcd_name: Option<String>,
    /// Where other members of etcd will reach it [default: http://localhost:2380]
    #[arg(long, value_name = "URL")]
    pub etcd_peer_url: Option<String>,
    /// Where etcd finds its certificates, in the place of a registry that has some [default: /var/lib/etcd/fleet]
    #[arg(long, value_name = "DIRECTORY")]
    pub etcd_tls_dir: Option<String>,
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
