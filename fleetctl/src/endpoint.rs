//! Where fleetd is found when nobody says where it is.

use std::os::unix::net::UnixStream;
use std::path::Path;

use fleet_api::DEFAULT_ENDPOINT;

/// The socket of `fleetd --dev`, below XDG_RUNTIME_DIR.
const OF_A_TRIAL: &str = "fleet/fleet.sock";

/// The machine's fleetd, as ever; where there is none that this user may ask, the user's own (`fleetd --dev`).
pub fn find(environment: impl Fn(&str) -> Option<String>) -> String {
    let default = DEFAULT_ENDPOINT.to_owned();
    let Some(own) = environment("XDG_RUNTIME_DIR").map(|runtime| Path::new(&runtime).join(OF_A_TRIAL)) else {
        return default;
    };
    let of_machine = DEFAULT_ENDPOINT.strip_prefix("unix://").unwrap_or_default();
    if own.is_absolute() && own.exists() && UnixStream::connect(of_machine).is_err() {
        return format!("unix://{}", own.display());
    }
    default
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_found_where_the_machine_has_no_fleetd() {
        let directory = tempfile::tempdir().unwrap();
        let runtime = directory.path().display().to_string();
        let found = || find(|name| (name == "XDG_RUNTIME_DIR").then(|| runtime.clone()));
        assert_eq!(found(), DEFAULT_ENDPOINT, "nothing is there");
        std::fs::create_dir(directory.path().join("fleet")).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(directory.path().join(OF_A_TRIAL)).unwrap();
        assert_eq!(found(), format!("unix://{runtime}/{OF_A_TRIAL}"));
        assert_eq!(find(|_| None), DEFAULT_ENDPOINT);
    }
}
