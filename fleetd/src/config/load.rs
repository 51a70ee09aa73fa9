//! From text to a [`Config`], one option at a time, and the checks that need several.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    Config, ConfigError, DEFAULT_PATH, EtcdOptions, JoinWith, ListenAddress, OnStop, Raw, RegistryOptions, Source,
    resources, value,
};

/// Where options come from beside the environment, each overriding the one before.
#[derive(Debug, Clone, Default)]
pub struct Sources<'a> {
    /// What `--dev` says; empty without it. With it the default file is not read.
    pub dev: Vec<(&'static str, String)>,
    /// The file that was asked for, which must be there. Without one, the default file is read if it is.
    pub file: Option<&'a Path>,
    /// Flags of the command line.
    pub flags: Vec<(&'static str, String)>,
}

/// Reads what `--dev` says, the file, the environment, and the flags, in this order.
///
/// # Errors
/// When the file cannot be read, or a value means nothing.
pub fn load(
    sources: Sources<'_>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(Config, Raw), ConfigError> {
    let Sources { dev, file, flags } = sources;
    let mut raw = Raw::default();
    let default = dev.is_empty().then_some(Path::new(DEFAULT_PATH));
    for (name, value) in dev {
        raw.set_dev(name, value);
    }
    if let Some(path) = file.or(default) {
        match std::fs::read_to_string(path) {
            Ok(text) => raw.read_file(path, &text)?,
            Err(e) if file.is_none() && e.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(ConfigError::Unreadable { path: path.to_owned(), source }),
        }
    }
    raw.read_environment(environment);
    for (name, value) in flags {
        raw.set_flag(name, value);
    }
    if (raw.is_set("etcd_servers") || raw.is_set("registry_join")) && *raw.get("registry").1 == Source::Dev {
        raw.set_dev("registry", String::new());
    }
    let config = Config::from_raw(&raw)?;
    for (name, instead) in [
        ("verify_units", "signed units are no more"),
        ("authorized_keys_file", "signed units are no more"),
        ("enable_grpc", "the registry needs no second protocol"),
        ("disable_watches", "everything follows watches"),
        ("engine_reconcile_interval", "the engine acts on every change at once"),
    ] {
        if raw.is_set(name) && !matches!(raw.get(name).0, "" | "false" | "0") {
            let source = raw.get(name).1;
            raw.warnings.push(format!("{source}: {name} has no effect: {instead}"));
        }
    }
    Ok((config, raw))
}

impl Config {
    /// Reads every option.
    ///
    /// # Errors
    /// Names the first value that means nothing, or values that contradict each other.
    pub fn from_raw(raw: &Raw) -> Result<Self, ConfigError> {
        let etcd = EtcdOptions::from_raw(raw)?;
        let registry = RegistryOptions::from_raw(raw)?;
        if registry.embedded && raw.is_set("etcd_servers") {
            return Err(ConfigError::Contradiction(format!(
                "registry=embedded ({}) and etcd_servers ({}) contradict each other: remove one",
                raw.get("registry").1,
                raw.get("etcd_servers").1,
            )));
        }
        for (name, other) in [("registry", registry.embedded), ("etcd_servers", raw.is_set("etcd_servers"))] {
            if registry.join.is_some() && other {
                return Err(ConfigError::Contradiction(format!(
                    "registry_join ({}) and {name} ({}) contradict each other: remove one",
                    raw.get("registry_join").1,
                    raw.get(name).1,
                )));
            }
        }
        for name in ["enable_grpc", "disable_watches", "verify_units"] {
            option(raw, name, value::boolean)?;
        }
        option(raw, "engine_reconcile_interval", value::seconds)?;
        let capacity = option(raw, "capacity", resources::resources)?;
        let capacity_reserve = option(raw, "capacity_reserve", resources::resources)?;
        resources::refuse_excess(raw, &capacity, &capacity_reserve)?;
        Ok(Self {
            verbose: option(raw, "verbosity", |v| {
                v.parse::<i64>().map(|level| level > 0).map_err(|_| "a number, 0 or more".to_owned())
            })?,
            etcd,
            public_ip: option(raw, "public_ip", public_ip)?,
            metadata: option(raw, "metadata", value::metadata)?,
            agent_ttl: option(raw, "agent_ttl", agent_ttl)?,
            units_directory: option(raw, "units_directory", directory)?,
            systemd_user: option(raw, "systemd_user", value::boolean)?,
            token_limit: option(raw, "token_limit", |v| {
                v.parse().ok().filter(|n| *n > 0).ok_or_else(|| "a number from 1 to 65535".to_owned())
            })?,
            disable_engine: option(raw, "disable_engine", value::boolean)?,
            registry,
            state_directory: option(raw, "state_directory", directory)?,
            peer_listen: option(raw, "peer_listen", |v| {
                value::address_of(v).ok_or_else(|| "an address such as 0.0.0.0:49154".to_owned())
            })?,
            listen: option(raw, "listen", |v| value::list(v).iter().map(|l| ListenAddress::parse(l)).collect())?,
            capacity,
            capacity_reserve,
            engine_brake_hold: option(raw, "engine_brake_hold", value::parse_duration)?,
            machine_retention: option(raw, "machine_retention", value::parse_duration)?,
            on_stop: option(raw, "on_stop", |v| match v {
                "drain" => Ok(OnStop::Drain),
                "keep" => Ok(OnStop::Keep),
                _ => Err("drain or keep".to_owned()),
            })?,
        })
    }
}

impl EtcdOptions {
    fn from_raw(raw: &Raw) -> Result<Self, ConfigError> {
        let file = |name| option(raw, name, |v| Ok((!v.is_empty()).then(|| PathBuf::from(v))));
        let options = Self {
            servers: option(raw, "etcd_servers", value::servers)?,
            configured: raw.is_set("etcd_servers"),
            username: raw.get("etcd_username").0.to_owned(),
            password: raw.get("etcd_password").0.to_owned(),
            key_file: file("etcd_keyfile")?,
            cert_file: file("etcd_certfile")?,
            ca_file: file("etcd_cafile")?,
            key_prefix: option(raw, "etcd_key_prefix", |v| match v.trim_matches('/') {
                "" => Err("a key such as /_coreos.com/fleet/".to_owned()),
                _ => Ok(v.to_owned()),
            })?,
            request_timeout: option(raw, "etcd_request_timeout", value::seconds)?,
        };
        if options.key_file.is_some() != options.cert_file.is_some() {
            return Err(ConfigError::Contradiction(
                "etcd_keyfile and etcd_certfile belong together: set both or neither".to_owned(),
            ));
        }
        Ok(options)
    }
}

impl RegistryOptions {
    fn from_raw(raw: &Raw) -> Result<Self, ConfigError> {
        Ok(Self {
            embedded: option(raw, "registry", |v| match v {
                "embedded" => Ok(true),
                "" | "etcd" => Ok(false),
                _ => Err("embedded or etcd".to_owned()),
            })?,
            listen: option(raw, "registry_listen", ListenAddress::parse)?,
            directory: option(raw, "registry_dir", directory)?,
            quota: option(raw, "registry_quota", quota)?,
            insecure: option(raw, "registry_insecure", value::boolean)?,
            join: join(raw)?,
        })
    }
}

/// The least that the embedded registry can do with: its file is made in pieces of megabytes.
const SMALLEST_QUOTA: u64 = 16 << 20;

fn quota(text: &str) -> Result<u64, String> {
    let bytes = fleet_units::parse_bytes(text).filter(|bytes| *bytes >= SMALLEST_QUOTA);
    bytes.ok_or_else(|| "bytes from 16M on, such as 2G".to_owned())
}

/// A token, or the file that holds one. The token itself is not repeated in an error.
fn join(raw: &Raw) -> Result<Option<JoinWith>, ConfigError> {
    let (text, source) = raw.get("registry_join");
    match text {
        "" => Ok(None),
        path if path.starts_with('/') => Ok(Some(JoinWith::File(PathBuf::from(path)))),
        token => token.parse().map(|invitation| Some(JoinWith::Token(invitation))).map_err(|error| {
            ConfigError::Contradiction(format!("{source}: registry_join: {error}, or a file that holds it"))
        }),
    }
}

fn option<T>(raw: &Raw, name: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, ConfigError> {
    let (text, source) = raw.get(name);
    parse(text).map_err(|expected| ConfigError::Value {
        origin: source.to_string(),
        name,
        value: text.to_owned(),
        expected,
    })
}

fn public_ip(text: &str) -> Result<Option<String>, String> {
    match text {
        "" => Ok(None),
        _ if text.contains(|c: char| c.is_whitespace() || c == '/' || c == ',') => {
            Err("one address, such as 192.0.2.1".to_owned())
        }
        _ => Ok(Some(text.to_owned())),
    }
}

/// Leases are counted in whole seconds.
fn agent_ttl(text: &str) -> Result<Duration, String> {
    let ttl = value::parse_duration(text)?;
    if ttl < Duration::from_secs(1) || ttl > Duration::from_secs(3600) {
        return Err("a duration from 1s to 1h".to_owned());
    }
    Ok(ttl)
}

fn directory(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if path.is_absolute() { Ok(path.to_owned()) } else { Err("an absolute path".to_owned()) }
}
