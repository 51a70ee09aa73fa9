//! fleetd's configuration: `fleet.conf`, then the environment, then flags, each overriding the one before.
//!
//! Options, defaults, and the file's dialect are CoreOS fleet's, with the options that this fleet adds. Unlike its
//! predecessor, fleetd refuses a value that it cannot read, and names the place where it stands.

mod check;
mod dev;
mod dialect;
mod load;
mod options;
mod raw;
mod resources;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use fleet_registry::record::Capacity;
use fleet_registry::trust::Invitation;

pub use check::describe;
pub use dev::{DevError, defaults as dev_defaults};
pub use dialect::{Dialect, Entry, read};
pub use load::{Sources, load};
pub use options::{OPTIONS, OptionSpec, nearest};
pub use raw::{Raw, Source};
pub use value::{ListenAddress, parse_duration};

/// Where the configuration is read when `--config` does not say otherwise.
pub const DEFAULT_PATH: &str = "/etc/fleet/fleet.conf";

/// The socket that fleetd makes when systemd passes none and `listen` names none.
pub const DEFAULT_SOCKET: &str = "/run/fleet.sock";

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Log more than usual.
    pub verbose: bool,
    /// The etcd cluster that holds the registry.
    pub etcd: EtcdOptions,
    /// Address that people reach this machine at, where it is not that of the default route.
    pub public_ip: Option<String>,
    /// What units may ask for in `MachineMetadata=`.
    pub metadata: BTreeMap<String, String>,
    /// Time after which a machine that was not heard of counts as lost.
    pub agent_ttl: Duration,
    /// Where unit files are written.
    pub units_directory: PathBuf,
    /// Whether units run under the user's systemd.
    pub systemd_user: bool,
    /// Page size of the API's version 1.
    pub token_limit: u16,
    /// Whether this machine never leads.
    pub disable_engine: bool,
    /// Whether the registry runs inside this fleetd.
    pub registry: RegistryOptions,
    /// What fleetd must find again after a restart.
    pub state_directory: PathBuf,
    /// Where other fleetds reach this one.
    pub peer_listen: SocketAddr,
    /// Sockets of the API beside those that systemd passes.
    pub listen: Vec<ListenAddress>,
    /// What this machine has for units, where it was said.
    pub capacity: Capacity,
    /// What of that is kept back for the system, where it was said.
    pub capacity_reserve: Capacity,
    /// How long the brake holds after a loss of many machines; zero is for ever.
    pub engine_brake_hold: Duration,
    /// How long the records of a lost machine are kept; zero is for ever.
    pub machine_retention: Duration,
    /// What becomes of units when fleetd is stopped for good.
    pub on_stop: OnStop,
}

/// How to reach etcd.
#[derive(Clone, PartialEq)]
pub struct EtcdOptions {
    /// Endpoints, `http://` or `https://`.
    pub servers: Vec<String>,
    /// Whether anybody set them, or these are fleet's defaults.
    pub configured: bool,
    /// User name, where etcd wants one.
    pub username: String,
    /// Its password.
    pub password: String,
    /// Client key, PEM.
    pub key_file: Option<PathBuf>,
    /// Client certificate, PEM.
    pub cert_file: Option<PathBuf>,
    /// Authorities that vouch for etcd, PEM.
    pub ca_file: Option<PathBuf>,
    /// Everything of the cluster lives below this.
    pub key_prefix: String,
    /// How long one request may take.
    pub request_timeout: Duration,
}

impl std::fmt::Debug for EtcdOptions {
    /// Leaves the password out, so that it never reaches a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdOptions")
            .field("servers", &self.servers)
            .field("username", &self.username)
            .field("key_prefix", &self.key_prefix)
            .field("request_timeout", &self.request_timeout)
            .finish_non_exhaustive()
    }
}

/// The registry inside fleetd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryOptions {
    /// Whether it was asked for.
    pub embedded: bool,
    /// Where it is served.
    pub listen: ListenAddress,
    /// Where it keeps its data.
    pub directory: PathBuf,
    /// Past so many bytes on the disk it refuses writes.
    pub quota: u64,
    /// Whether it may be served in plain text beyond this machine.
    pub insecure: bool,
    /// With what this machine joins the registry of another, if it has not yet.
    pub join: Option<JoinWith>,
}

impl RegistryOptions {
    /// Whether those alone are served who have a certificate: beyond this machine, unless somebody took it upon
    /// themselves.
    #[must_use]
    pub fn has_authority(&self) -> bool {
        !self.insecure && !self.listen.is_local()
    }
}

/// What a machine joins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinWith {
    /// A token.
    Token(Invitation),
    /// A file that holds one.
    File(PathBuf),
}

/// What becomes of units when fleetd is stopped for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStop {
    /// They are stopped and given back to the cluster.
    Drain,
    /// They go on running.
    Keep,
}

/// Why fleetd cannot start with this configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read configuration file {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of the file is none of the dialect.
    #[error("{path}:{line}: {message}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// A value that means nothing.
    #[error("{origin}: {name}={value}: expected {expected}")]
    Value {
        /// Where it was set.
        origin: String,
        /// The option.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would have been right.
        expected: String,
    },
    /// Values that are fine alone and not together.
    #[error("{0}")]
    Contradiction(String),
}
