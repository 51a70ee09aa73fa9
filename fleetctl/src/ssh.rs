//! The person's own ssh: its configuration, its agent, its known hosts.
//!
//! Nothing of the protocol is here. What fleet's flags say becomes options of OpenSSH's client, and what they leave open
//! stays as the person's configuration has it.

mod user;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use fleet_api::Endpoint;
use fleet_api::client::Tunnel;

pub use user::is_configured;

/// How fleet called whoever logs in, unless told otherwise.
const FORMER_USER: &str = "core";
/// Where fleet kept the keys of hosts.
const FORMER_KNOWN_HOSTS: &str = ".fleetctl/known_hosts";

/// What is asked of ssh for every host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssh {
    /// The host that everything leads through.
    pub tunnel: Option<Host>,
    /// Who logs in.
    pub username: Option<String>,
    /// How long connecting may take.
    pub timeout: Duration,
    /// Whether a host's key has to be known; none leaves it to the configuration.
    pub strict: Option<bool>,
    /// Where keys of hosts are kept; none leaves it to the configuration.
    pub known_hosts: Option<String>,
    /// Keys that fleet itself was told to believe, where there are any; looked at besides the person's own.
    pub former_known_hosts: Option<PathBuf>,
}

/// A host to log in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name or address.
    pub name: String,
    /// The port; none leaves it to the configuration.
    pub port: Option<u16>,
}

/// What is to be done on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// The command, as a shell there reads it; none for a shell.
    pub command: Option<String>,
    /// Whether programs there may use the person's keys.
    pub forward_agent: bool,
}

impl Host {
    /// Reads `host`, `host:port`, `[address]`, or `[address]:port`. An address with several colons and no brackets is one.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, rest)) => (name, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some(""))?),
            None => match text.split_once(':') {
                Some((name, port)) if !port.contains(':') => (name, port),
                _ => (text, ""),
            },
        };
        let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
        // What begins with a dash would be an option.
        let is_name = !name.is_empty() && !name.starts_with('-') && !name.contains(char::is_whitespace);
        is_name.then(|| Self { name: name.to_owned(), port })
    }
}

impl Ssh {
    /// Where fleet kept what it knew of hosts, in this home.
    pub fn former_known_hosts(home: &str) -> PathBuf {
        PathBuf::from(home).join(FORMER_KNOWN_HOSTS)
    }

    /// The command that opens a session on a machine, through the tunnel if there is one. `is_configured` tells whether
    /// the person's configuration says who logs in to a host.
    pub fn session(&self, host: &Host, session: &Session, is_configured: impl Fn(&Host) -> bool) -> Vec<OsString> {
        let mut words = self.begin(host, &is_configured);
        if session.forward_agent {
            words.push("-A".to_owned());
        }
        if let Some(tunnel) = self.tunnel.as_ref().filter(|tunnel| *tunnel != host) {
            let mut proxy = self.begin(tunnel, &is_configured);
            // ssh itself replaces what follows a percent sign.
            proxy.iter_mut().for_each(|word| *word = quoted(&word.replace('%', "%%")));
            proxy.extend(["-W".to_owned(), "'[%h]:%p'".to_owned(), quoted(&tunnel.name)]);
            words.extend(["-o".to_owned(), format!("ProxyCommand={}", proxy.join(" "))]);
        }
        words.extend(["--".to_owned(), host.name.clone()]);
        words.extend(session.command.clone());
        words.into_iter().map(OsString::from).collect()
    }

    /// The command that carries a connection to fleetd, where a tunnel is asked for. A socket there is reached by the
    /// fleetctl of that host, as fleet did it.
    pub fn carrier(&self, endpoint: &Endpoint, is_configured: impl Fn(&Host) -> bool) -> Option<Tunnel> {
        let tunnel = self.tunnel.as_ref()?;
        let mut words = self.begin(tunnel, &is_configured);
        match endpoint {
            Endpoint::Unix(path) => {
                let forward = format!("fleetctl fd-forward {}", quoted(&path.to_string_lossy()));
                words.extend(["-T".to_owned(), "--".to_owned(), tunnel.name.clone(), forward]);
            }
            Endpoint::Http { host, port } | Endpoint::Https { host, port } => {
                words.extend(["-W".to_owned(), format!("[{host}]:{port}"), "--".to_owned(), tunnel.name.clone()]);
            }
        }
        let command = words.into_iter().map(OsString::from).collect();
        Some(Tunnel { command, through: format!("ssh {}", tunnel.name) })
    }

    /// `ssh` and what is asked of it for this host.
    fn begin(&self, host: &Host, is_configured: &impl Fn(&Host) -> bool) -> Vec<String> {
        let mut words = vec!["ssh".to_owned()];
        let mut option = |option: String| words.extend(["-o".to_owned(), option]);
        option(format!("ConnectTimeout={}", self.timeout.as_secs_f64().ceil().max(1.0)));
        match self.strict {
            Some(true) => option("StrictHostKeyChecking=ask".to_owned()),
            Some(false) => {
                option("StrictHostKeyChecking=no".to_owned());
                option("UserKnownHostsFile=/dev/null".to_owned());
                option("GlobalKnownHostsFile=/dev/null".to_owned());
                // It would warn each time that it has learnt a key, which it forgets at once.
                option("LogLevel=ERROR".to_owned());
            }
            None => {}
        }
        if self.strict != Some(false) {
            match (&self.known_hosts, &self.former_known_hosts) {
                (Some(path), _) => option(format!("UserKnownHostsFile=\"{path}\"")),
                (None, Some(path)) => {
                    let own = "~/.ssh/known_hosts ~/.ssh/known_hosts2";
                    option(format!("UserKnownHostsFile={own} \"{}\"", path.display()));
                }
                (None, None) => {}
            }
        }
        let former = || (!host.name.contains('@') && !is_configured(host)).then_some(FORMER_USER);
        if let Some(user) = self.username.as_deref().or_else(former) {
            words.extend(["-l".to_owned(), user.to_owned()]);
        }
        if let Some(port) = host.port {
            words.extend(["-p".to_owned(), port.to_string()]);
        }
        words
    }
}

/// A word as a shell reads it as one.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests;
