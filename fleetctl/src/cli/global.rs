//! Flags of every command.

use clap::{ArgAction, Args};

/// Flags of every command, before or after it.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "GLOBAL OPTIONS")]
pub struct Global {
    /// Where fleetd listens: unix:///PATH, http://HOST:PORT, or https://HOST:PORT [default: unix:///var/run/fleet.sock]
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Print what is asked of fleetd to stderr
    #[arg(long, global = true)]
    pub debug: bool,
    /// Print the version and exit
    #[arg(long, short = 'v', global = true)]
    pub version: bool,
    /// Seconds to wait for an answer of fleetd [default: 30]
    #[arg(long, global = true, value_name = "SECONDS")]
    pub request_timeout: Option<String>,
    /// Print help
    #[arg(long, short = 'h', global = true, action = ArgAction::Help)]
    pub help: Option<bool>,
    /// API is the only driver: fleetctl asks fleetd, never the registry
    #[arg(long, global = true, hide = true)]
    pub driver: Option<String>,
    /// Reach fleetd and machines through this host, by ssh
    #[arg(long, global = true, value_name = "HOST[:PORT]")]
    pub tunnel: Option<String>,
    /// Who logs in by ssh [default: who your ssh configuration says, else core]
    #[arg(long, global = true, value_name = "NAME")]
    pub ssh_username: Option<String>,
    /// Seconds that connecting by ssh may take [default: 10]
    #[arg(long, global = true, value_name = "SECONDS")]
    pub ssh_timeout: Option<String>,
    /// Whether a host's key has to be known; false believes any, and remembers none
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub strict_host_key_checking: Option<String>,
    /// Where keys of hosts are kept [default: as your ssh configuration says]
    #[arg(long, global = true, value_name = "FILE")]
    pub known_hosts_file: Option<String>,
    /// The certificates of authorities that vouch for an https:// endpoint [default: the system's]
    #[arg(long, global = true, value_name = "FILE", alias = "etcd-cafile")]
    pub ca_file: Option<String>,
    /// The certificate to show there
    #[arg(long, global = true, value_name = "FILE", alias = "etcd-certfile")]
    pub cert_file: Option<String>,
    /// Its key
    #[arg(long, global = true, value_name = "FILE", alias = "etcd-keyfile")]
    pub key_file: Option<String>,
    /// Flags that fleet had for etcd, accepted so that scripts go on working.
    #[command(flatten)]
    pub former: Former,
}

/// Flags for etcd, which fleetctl reads in `import` alone: it never talks to the registry otherwise.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "named as in fleet")]
pub struct Former {
    #[arg(long, global = true, hide = true)]
    pub etcd_key_prefix: Option<String>,
    #[arg(long, global = true, hide = true)]
    pub experimental_api: bool,
}
