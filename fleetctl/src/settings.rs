//! Global flags and the environment, made one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleet_api::client::Tls;
use fleet_api::{Client, DEFAULT_ENDPOINT, Endpoint};

use crate::cli::Global;
use crate::endpoint;
use crate::error::CommandError;
use crate::output::Output;
use crate::ssh::{self, Host, Ssh};

/// Where systems keep the certificates of authorities.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// How long connecting by ssh may take unless told otherwise, as in fleet.
const SSH_TIMEOUT: Duration = Duration::from_secs(10);

/// Where CoreOS fleet kept its tree, unless it was told otherwise.
const DEFAULT_PREFIX: &str = "/_coreos.com/fleet/";

/// How an etcd of CoreOS fleet is read.
#[derive(Clone, Debug)]
pub struct EtcdSettings {
    /// The key that the tree is below.
    pub key_prefix: String,
    ca: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl EtcdSettings {
    /// Whom to believe where it is behind `https://`.
    pub fn tls(&self) -> Result<Tls, CommandError> {
        tls(self.ca.clone(), self.certificate.clone(), self.key.clone())
    }
}

/// What every command works with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where fleetd listens.
    pub endpoint: Endpoint,
    /// Whether to say what is asked of fleetd.
    pub debug: bool,
    /// Whether only the version was asked for.
    pub version: bool,
    /// How an etcd of CoreOS fleet is read.
    pub etcd: EtcdSettings,
    /// How long an answer may take.
    pub request_timeout: Option<Duration>,
    /// Whom to believe at an `https://` endpoint.
    pub tls: Option<Tls>,
    /// How to log in to machines.
    pub ssh: Ssh,
    /// Where plans are kept until they are started; none where the person has no home.
    pub plans: Option<PathBuf>,
    /// What a person should know about the settings themselves.
    pub warnings: Vec<String>,
}

impl Settings {
    /// A flag wins over its variable in the environment; an empty variable is none.
    pub fn new(flags: &Global, environment: impl Fn(&str) -> Option<String>) -> Result<Self, CommandError> {
        let text = |flag: &Option<String>, name: &str| {
            flag.clone().or_else(|| environment(&format!("FLEETCTL_{name}")).filter(|value| !value.is_empty()))
        };
        let switch =
            |flag: bool, name: &str| flag || text(&None, name).and_then(|value| truth(&value)).unwrap_or_default();
        let version = switch(flags.version, "VERSION");
        if let Some(driver) = text(&flags.driver, "DRIVER").filter(|driver| driver != "API" && !version) {
            return Err(CommandError::with_hint(
                format!("unknown driver {driver:?}: API is the only one"),
                "fleetctl asks fleetd, never the registry: name a fleetd with --endpoint",
            ));
        }
        let mut warnings = Vec::new();
        let endpoints = text(&flags.endpoint, "ENDPOINT").unwrap_or_else(|| {
            // Behind a tunnel it is another machine's.
            match text(&flags.tunnel, "TUNNEL") {
                Some(_) => DEFAULT_ENDPOINT.to_owned(),
                None => endpoint::find(&environment),
            }
        });
        let (endpoint, others) = match endpoints.split_once(',') {
            Some((first, others)) => (first, Some(others)),
            None => (endpoints.as_str(), None),
        };
        if let Some(others) = others {
            warnings.push(format!("WARNING: only the first endpoint is used, not {others}"));
        }
        let request_timeout = text(&flags.request_timeout, "REQUEST_TIMEOUT")
            .map(|value| seconds("request-timeout", &value))
            .transpose()?;
        let endpoint: Endpoint = endpoint.trim().parse()?;
        let file = |flag: &Option<String>, name: &str, former: &str| text(flag, name).or_else(|| text(&None, former));
        let etcd = EtcdSettings {
            key_prefix: text(&flags.former.etcd_key_prefix, "ETCD_KEY_PREFIX")
                .unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
            ca: file(&flags.ca_file, "CA_FILE", "ETCD_CAFILE"),
            certificate: file(&flags.cert_file, "CERT_FILE", "ETCD_CERTFILE"),
            key: file(&flags.key_file, "KEY_FILE", "ETCD_KEYFILE"),
        };
        let tls = match endpoint {
            Endpoint::Https { .. } if !version => Some(etcd.tls()?),
            _ => None,
        };
        Ok(Self {
            endpoint,
            tls,
            debug: switch(flags.debug, "DEBUG"),
            version,
            etcd,
            request_timeout,
            ssh: ssh(flags, text, environment("HOME"))?,
            plans: plans(&environment),
            warnings,
        })
    }

    /// A client for fleetd.
    pub fn client(&self) -> Client {
        let mut client = Client::new(self.endpoint.clone()).with_waiter(Output::waits);
        if let Some(limit) = self.request_timeout {
            client = client.with_request_timeout(limit);
        }
        if self.debug {
            client = client.with_observer(Output::debug);
        }
        if let Some(tls) = &self.tls {
            client = client.with_tls(tls.clone());
        }
        match self.ssh.carrier(&self.endpoint, ssh::is_configured) {
            Some(tunnel) => client.with_tunnel(tunnel),
            None => client,
        }
    }
}

/// Where plans are kept: below the person's cache, as the XDG base directories have it.
fn plans(environment: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| environment(name).filter(|value| value.starts_with('/')).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(cache.join("fleetctl/plans"))
}

/// Reads the certificates. fleet verified no server unless it had a certificate to show itself; here every one is.
fn tls(ca: Option<String>, certificate: Option<String>, key: Option<String>) -> Result<Tls, CommandError> {
    let read =
        |path: &str| std::fs::read(path).map_err(|error| CommandError::message(format!("cannot read {path}: {error}")));
    let known = || AUTHORITIES.iter().copied().find(|path| Path::new(path).exists());
    let authorities = match ca.as_deref().or_else(known) {
        Some(path) => read(path)?,
        None => {
            return Err(CommandError::with_hint(
                "no authority is known that could vouch for an https:// endpoint",
                "Name a file with its certificate with --ca-file.",
            ));
        }
    };
    let identity = match (certificate, key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((read(&certificate)?, read(&key)?)),
        (Some(_), None) | (None, Some(_)) => {
            return Err(CommandError::message("--cert-file and --key-file are of use only together"));
        }
    };
    let identity = identity.as_ref().map(|(certificate, key)| (certificate.as_slice(), key.as_slice()));
    Tls::new(&authorities, identity).map_err(|error| CommandError::message(error.to_string()))
}

/// What the flags and the environment say of ssh.
fn ssh(
    flags: &Global,
    text: impl Fn(&Option<String>, &str) -> Option<String>,
    home: Option<String>,
) -> Result<Ssh, CommandError> {
    let strict = text(&flags.strict_host_key_checking, "STRICT_HOST_KEY_CHECKING").map(|value| {
        truth(&value).ok_or_else(|| {
            CommandError::message(format!("invalid --strict-host-key-checking {value:?}: expected true or false"))
        })
    });
    let tunnel = text(&flags.tunnel, "TUNNEL").map(|value| {
        Host::parse(&value).ok_or_else(|| {
            CommandError::message(format!(
                "invalid --tunnel {value:?}: expected a host, or a host and a port as in m1:22"
            ))
        })
    });
    let timeout = text(&flags.ssh_timeout, "SSH_TIMEOUT").map(|value| seconds("ssh-timeout", &value));
    Ok(Ssh {
        tunnel: tunnel.transpose()?,
        username: text(&flags.ssh_username, "SSH_USERNAME"),
        timeout: timeout.transpose()?.unwrap_or(SSH_TIMEOUT),
        strict: strict.transpose()?,
        known_hosts: text(&flags.known_hosts_file, "KNOWN_HOSTS_FILE"),
        former_known_hosts: home.map(|home| Ssh::former_known_hosts(&home)).filter(|path| path.exists()),
    })
}

/// What Go takes for true and false.
fn truth(value: &str) -> Option<bool> {
    match value.to_lowercase().as_str() {
        "1" | "t" | "true" => Some(true),
        "0" | "f" | "false" => Some(false),
        _ => None,
    }
}

fn seconds(flag: &str, value: &str) -> Result<Duration, CommandError> {
    let seconds = value.trim().parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| CommandError::message(format!("invalid --{flag} {value:?}: expected seconds, such as 3 or 0.5")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(flags: Global, environment: &[(&str, &str)]) -> Result<Settings, String> {
        let lookup =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Settings::new(&flags, lookup).map_err(|error| error.words().unwrap_or_default())
    }

    #[test]
    fn flags_win_over_the_environment_over_the_default() {
        let environment = [("FLEETCTL_ENDPOINT", "http://m2:1")];
        let flags = Global { endpoint: Some("http://m1:1".into()), ..Global::default() };
        assert_eq!(settings(flags, &environment).unwrap().endpoint.to_string(), "http://m1:1");
        assert_eq!(settings(Global::default(), &environment).unwrap().endpoint.to_string(), "http://m2:1");
        let empty = [("FLEETCTL_ENDPOINT", "")];
        assert_eq!(settings(Global::default(), &empty).unwrap().endpoint.to_string(), DEFAULT_ENDPOINT);
    }

    #[test]
    fn only_the_first_endpoint_is_used() {
        let flags = Global { endpoint: Some("http://m1:1,http://m2:1".into()), ..Global::default() };
        let settings = settings(flags, &[]).unwrap();
        assert_eq!(settings.endpoint.to_string(), "http://m1:1");
        assert_eq!(settings.warnings, ["WARNING: only the first endpoint is used, not http://m2:1"]);
    }

    #[test]
    fn switches_read_as_go_read_them() {
        for (value, expected) in [("1", true), ("true", true), ("T", true), ("0", false), ("no", false), ("", false)] {
            assert_eq!(settings(Global::default(), &[("FLEETCTL_DEBUG", value)]).unwrap().debug, expected, "{value}");
        }
    }

    #[test]
    fn ssh_is_told_what_flags_and_the_environment_say() {
        let environment = [
            ("FLEETCTL_TUNNEL", "m1:2222"),
            ("FLEETCTL_SSH_USERNAME", "root"),
            ("FLEETCTL_SSH_TIMEOUT", "2.5"),
            ("FLEETCTL_STRICT_HOST_KEY_CHECKING", "false"),
            ("FLEETCTL_KNOWN_HOSTS_FILE", "~/k"),
        ];
        let ssh = settings(Global::default(), &environment).unwrap().ssh;
        assert_eq!(ssh.tunnel, Host::parse("m1:2222"));
        assert_eq!((ssh.username.as_deref(), ssh.timeout), (Some("root"), Duration::from_millis(2500)));
        assert_eq!((ssh.strict, ssh.known_hosts.as_deref()), (Some(false), Some("~/k")));
        let flags = Global { strict_host_key_checking: Some("true".into()), ..Global::default() };
        assert_eq!(settings(flags, &environment).unwrap().ssh.strict, Some(true));
        let plain = settings(Global::default(), &[]).unwrap().ssh;
        assert_eq!((plain.timeout, plain.strict, plain.username), (SSH_TIMEOUT, None, None));
    }

    #[test]
    fn certificates_are_read_for_https_alone() {
        let flags = |endpoint: &str| Global {
            endpoint: Some(endpoint.into()),
            ca_file: Some("/nonexistent/ca".into()),
            cert_file: Some("/nonexistent/cert".into()),
            ..Global::default()
        };
        assert!(settings(flags("http://m1"), &[]).unwrap().tls.is_none());
        let words = settings(flags("https://m1"), &[]).unwrap_err();
        assert!(words.starts_with("cannot read /nonexistent/ca: "), "{words}");
        let environment = [("FLEETCTL_CA_FILE", "/dev/null"), ("FLEETCTL_ENDPOINT", "https://m1")];
        let words = settings(Global::default(), &environment).unwrap_err();
        assert!(words.contains("there is none in the file"), "{words}");
        let lone = Global { cert_file: Some("/dev/null".into()), ..Global::default() };
        let words = settings(lone, &environment).unwrap_err();
        assert_eq!(words, "--cert-file and --key-file are of use only together");
    }

    #[test]
    fn what_this_version_cannot_do_is_said() {
        let driver = Global { driver: Some("etcd".into()), ..Global::default() };
        let tunnel = Global { tunnel: Some("m1:x".into()), ..Global::default() };
        let cases = [
            (driver, ("", ""), "unknown driver \"etcd\""),
            (tunnel, ("", ""), "invalid --tunnel \"m1:x\""),
            (Global::default(), ("FLEETCTL_TUNNEL", "a b"), "invalid --tunnel \"a b\""),
            (Global::default(), ("FLEETCTL_SSH_TIMEOUT", "-1"), "invalid --ssh-timeout \"-1\""),
            (
                Global::default(),
                ("FLEETCTL_STRICT_HOST_KEY_CHECKING", "no"),
                "invalid --strict-host-key-checking \"no\"",
            ),
            (Global::default(), ("FLEETCTL_REQUEST_TIMEOUT", "soon"), "invalid --request-timeout \"soon\""),
        ];
        for (flags, environment, expected) in cases {
            let words = settings(flags, &[environment]).unwrap_err();
            assert!(words.starts_with(expected), "{words}");
        }
    }
}
