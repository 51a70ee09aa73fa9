//! `fleetd --dev`: what a user needs to try fleet without being root and without configuring anything.

use std::path::{Path, PathBuf};

/// The directory of the user's session is not known.
#[derive(Debug, thiserror::Error)]
#[error(
    "fleetd --dev needs XDG_RUNTIME_DIR, where the user's systemd is found: log in as that user rather than with su, \
     or set it to /run/user/UID"
)]
pub struct DevError;

/// The socket of the API below XDG_RUNTIME_DIR, where fleetctl looks for it too.
const SOCKET: &str = "fleet/fleet.sock";

/// The options that `--dev` sets; the environment gives the user's directories.
///
/// # Errors
/// Without XDG_RUNTIME_DIR.
pub fn defaults(environment: impl Fn(&str) -> Option<String>) -> Result<Vec<(&'static str, String)>, DevError> {
    let directory = |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let runtime = directory("XDG_RUNTIME_DIR").ok_or(DevError)?;
    let of_state = directory("XDG_STATE_HOME").or_else(|| Some(directory("HOME")?.join(".local/state")));
    // Without a home, what is remembered goes with the session.
    let state = of_state.map_or_else(|| runtime.join("fleet/state"), |state| state.join("fleet"));
    let path = |path: &Path| path.display().to_string();
    Ok(vec![
        ("registry", "embedded".to_owned()),
        ("registry_listen", path(&runtime.join("fleet/registry.sock"))),
        ("registry_dir", path(&state.join("registry"))),
        ("systemd_user", "true".to_owned()),
        ("units_directory", path(&runtime.join("fleet/units"))),
        ("state_directory", path(&state)),
        ("listen", path(&runtime.join(SOCKET))),
        ("peer_listen", "127.0.0.1:0".to_owned()),
        ("public_ip", "127.0.0.1".to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, Sources, load};

    fn environment<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn everything_is_the_users_own() {
        let dev = defaults(environment(&[("XDG_RUNTIME_DIR", "/run/user/7"), ("HOME", "/home/u")])).unwrap();
        let (config, _) = load(Sources { dev, ..Sources::default() }, []).unwrap();
        assert!(config.registry.embedded && config.systemd_user && config.registry.listen.is_local());
        assert_eq!(config.units_directory, Path::new("/run/user/7/fleet/units"));
        assert_eq!(config.state_directory, Path::new("/home/u/.local/state/fleet"));
        assert_eq!(config.listen.len(), 1);
        assert!(defaults(environment(&[("HOME", "/home/u")])).is_err());
        assert!(defaults(environment(&[("XDG_RUNTIME_DIR", "run")])).is_err(), "a path that leads nowhere");
    }

    #[test]
    fn what_is_said_otherwise_counts() {
        let dev = || defaults(environment(&[("XDG_RUNTIME_DIR", "/run/user/7")])).unwrap();
        let flags = vec![("etcd_servers", "http://192.0.2.1:2379".to_owned())];
        let (config, raw) = load(Sources { dev: dev(), flags, ..Sources::default() }, []).unwrap();
        assert!(!config.registry.embedded, "a registry that was named is used");
        assert_eq!(*raw.get("listen").1, Source::Dev);
        let variables = [("FLEET_LISTEN".to_owned(), "/tmp/fleet.sock".to_owned())];
        let (config, _) = load(Sources { dev: dev(), ..Sources::default() }, variables).unwrap();
        assert_eq!(config.listen[0].to_string(), "/tmp/fleet.sock");
    }
}
