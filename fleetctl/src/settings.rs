//! Global flags and the environment, made one.

use std::time::Duration;

use fleet_api::{Client, DEFAULT_ENDPOINT, Endpoint};

use crate::cli::Global;
use crate::error::CommandError;
use crate::output::Output;

/// What every command works with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where fleetd listens.
    pub endpoint: Endpoint,
    /// Whether to say what is asked of fleetd.
    pub debug: bool,
    /// Whether only the version was asked for.
    pub version: bool,
    /// How long an answer may take.
    pub request_timeout: Option<Duration>,
    /// What a person should know about the settings themselves.
    pub warnings: Vec<String>,
}

impl Settings {
    /// A flag wins over its variable in the environment; an empty variable is none.
    pub fn new(flags: &Global, environment: impl Fn(&str) -> Option<String>) -> Result<Self, CommandError> {
        let text = |flag: &Option<String>, name: &str| {
            flag.clone().or_else(|| environment(&format!("FLEETCTL_{name}")).filter(|value| !value.is_empty()))
        };
        let switch = |flag: bool, name: &str| {
            flag || text(&None, name).is_some_and(|value| matches!(value.to_lowercase().as_str(), "1" | "t" | "true"))
        };
        let version = switch(flags.version, "VERSION");
        if let Some(driver) = text(&flags.driver, "DRIVER").filter(|driver| driver != "API" && !version) {
            return Err(CommandError::with_hint(
                format!("unknown driver {driver:?}: API is the only one"),
                "fleetctl asks fleetd, never the registry: name a fleetd with --endpoint",
            ));
        }
        if text(&flags.tunnel, "TUNNEL").is_some() && !version {
            return Err(CommandError::with_hint(
                "--tunnel is not in this version",
                "forward the socket with ssh instead: ssh -L /tmp/fleet.sock:/var/run/fleet.sock HOST, \
                 and then fleetctl --endpoint=unix:///tmp/fleet.sock",
            ));
        }
        let mut warnings = Vec::new();
        let endpoints = text(&flags.endpoint, "ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let (endpoint, others) = match endpoints.split_once(',') {
            Some((first, others)) => (first, Some(others)),
            None => (endpoints.as_str(), None),
        };
        if let Some(others) = others {
            warnings.push(format!("WARNING: only the first endpoint is used, not {others}"));
        }
        let request_timeout =
            text(&flags.request_timeout, "REQUEST_TIMEOUT").map(|value| seconds(&value)).transpose()?;
        Ok(Self {
            endpoint: endpoint.trim().parse()?,
            debug: switch(flags.debug, "DEBUG"),
            version,
            request_timeout,
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
        client
    }
}

fn seconds(value: &str) -> Result<Duration, CommandError> {
    let seconds = value.trim().parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(|| {
        CommandError::message(format!("invalid --request-timeout {value:?}: expected seconds, such as 3 or 0.5"))
    })
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
    fn what_this_version_cannot_do_is_said() {
        let driver = Global { driver: Some("etcd".into()), ..Global::default() };
        let tunnel = Global { tunnel: Some("m1".into()), ..Global::default() };
        let cases = [
            (driver, ("", ""), "unknown driver \"etcd\""),
            (tunnel, ("", ""), "--tunnel is not in this version"),
            (Global::default(), ("FLEETCTL_TUNNEL", "m1"), "--tunnel is not in this version"),
            (Global::default(), ("FLEETCTL_REQUEST_TIMEOUT", "soon"), "invalid --request-timeout \"soon\""),
        ];
        for (flags, environment, expected) in cases {
            let words = settings(flags, &[environment]).unwrap_err();
            assert!(words.starts_with(expected), "{words}");
        }
    }
}
