//! `fleetctl registry migrate`

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::cli::Migrate;
use crate::error::CommandError;

/// Hands over to the fleetd of this machine, which becomes this process: the one that serves has to end for it, so that it
/// cannot do it, and fleetctl itself never opens the registry.
pub(super) fn run(arguments: &Migrate) -> Result<u8, CommandError> {
    let fleetd = fleetd();
    let error = Command::new(&fleetd).args(["registry", "migrate"]).args(words(arguments)).exec();
    Err(CommandError::with_hint(
        format!("Cannot run {}: {error}. Nothing was changed.", fleetd.display()),
        "The registry is moved on the machine that carries it, as root, by the fleetd that is installed there.",
    ))
}

/// The program that was installed with this one, or the one that a shell would find.
fn fleetd() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("fleetd"));
    beside.filter(|fleetd| fleetd.is_file()).unwrap_or_else(|| PathBuf::from("fleetd"))
}

fn words(arguments: &Migrate) -> Vec<&OsStr> {
    let given = [
        ("--to", Some(&arguments.to)),
        ("--config", arguments.config.as_ref()),
        ("--service", arguments.service.as_ref()),
        ("--etcd-service", arguments.etcd_service.as_ref()),
        ("--etcd-data-dir", arguments.etcd_data_dir.as_ref()),
        ("--etcd-name", arguments.etcd_name.as_ref()),
        ("--etcd-peer-url", arguments.etcd_peer_url.as_ref()),
        ("--etcd-tls-dir", arguments.etcd_tls_dir.as_ref()),
    ];
    let words = given.into_iter().filter_map(|(flag, value)| Some([OsStr::new(flag), OsStr::new(value?)]));
    words.flatten().collect()
}
