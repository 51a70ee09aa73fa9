//! What this machine says of itself.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use fleet_agent::{MachineFacts, facts};
use fleet_registry::record::PeerEndpoint;

use super::capacity;
use crate::config::Config;
use crate::http::VERSION;
use crate::peers::Identity;

const MACHINE_ID: &str = "/etc/machine-id";
/// Gone with the boot, like what runs; systemd may name another (`RuntimeDirectory=`).
const RUNTIME_DIRECTORY: &str = "/run/fleet";

/// Finds out what this machine is; the configuration has the last word.
pub(super) fn facts(config: &Config, peer_port: Option<u16>, identity: &Identity) -> anyhow::Result<MachineFacts> {
    let id = facts::machine_id(Path::new(MACHINE_ID)).context("unable to determine local machine ID")?;
    let address = config.public_ip.clone().or_else(|| facts::default_address().map(|ip| ip.to_string()));
    Ok(MachineFacts {
        id,
        hostname: facts::hostname()?,
        peer: peer_port.and_then(|port| endpoint(config.peer_listen, address.as_deref(), port, identity)),
        address,
        metadata: config.metadata.clone(),
        capacity: capacity::of_this_machine(config),
        version: VERSION.to_owned(),
        boot_id: facts::boot_id()?,
        instance: facts::instance(&runtime_directory(config.systemd_user))?,
        carries_registry: config.registry.embedded,
    })
}

fn runtime_directory(user: bool) -> PathBuf {
    let named = std::env::var("RUNTIME_DIRECTORY").unwrap_or_default();
    if let Some(first) = named.split(':').next().filter(|path| !path.is_empty()) {
        return PathBuf::from(first);
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(directory) if user => PathBuf::from(directory).join("fleet"),
        _ => PathBuf::from(RUNTIME_DIRECTORY),
    }
}

/// Where others find the peer port: at the address that it is bound to, or at the machine's where that is any.
fn endpoint(listen: SocketAddr, address: Option<&str>, port: u16, identity: &Identity) -> Option<PeerEndpoint> {
    let host = if listen.ip().is_unspecified() { address?.to_owned() } else { listen.ip().to_string() };
    let address = match host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    };
    Some(PeerEndpoint { address, fingerprint: identity.fingerprint.clone(), extra: Default::default() })
}

/// Randomness to begin with: the kernel's.
pub(super) fn seed() -> anyhow::Result<u64> {
    use std::io::Read;
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("failed to read /dev/urandom")?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_port_is_published_where_others_find_it() {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity::load_or_make(directory.path()).unwrap();
        for (listen, address, expected) in [
            ("0.0.0.0:49154", Some("192.0.2.1"), Some("192.0.2.1:49154")),
            ("[::]:49154", Some("2001:db8::1"), Some("[2001:db8::1]:49154")),
            ("0.0.0.0:49154", Some("node.example"), Some("node.example:49154")),
            ("192.0.2.9:49154", Some("198.51.100.1"), Some("192.0.2.9:49154")),
            ("0.0.0.0:49154", None, None),
        ] {
            let found = endpoint(listen.parse().unwrap(), address, 49154, &identity);
            assert_eq!(found.map(|e| e.address).as_deref(), expected, "{listen} {address:?}");
        }
    }
}
