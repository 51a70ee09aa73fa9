//! What a host must have for a lab, said in one line when it has not.

use std::env;
use std::path::Path;

use anyhow::{Result, bail};

/// Programs that a lab runs, each with the Debian package that it comes in.
const PROGRAMS: [(&str, &str); 8] = [
    ("systemd-nspawn", "systemd-container"),
    ("dbus-daemon", "dbus"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("mount", "mount"),
    ("chroot", "coreutils"),
];

/// Where programs are looked for beside `PATH`, which often lacks the last two.
const FOLDERS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The search path for what a lab runs on the host and in machines.
pub(crate) fn search_path() -> &'static str {
    FOLDERS
}

/// Whether a program is installed on the host.
pub(crate) fn is_installed(program: &str) -> bool {
    env::split_paths(FOLDERS).any(|dir| Path::new(&dir).join(program).is_file())
}

/// An error that names everything that is missing on this host, in one line.
pub fn check_requirements() -> Result<()> {
    let mut missing = Vec::new();
    if !nix::unistd::geteuid().is_root() {
        missing.push("root (run as root)".to_owned());
    }
    for (program, package) in PROGRAMS {
        if !is_installed(program) {
            missing.push(format!("{program} (Debian package {package})"));
        }
    }
    if let Err(e) = super::cgroup::hierarchies() {
        missing.push(e.to_string());
    }
    if !missing.is_empty() {
        bail!("a lab of booted machines needs: {}; scripts/setup installs packages", missing.join(", "));
    }
    Ok(())
}
