//! `fleetd registry migrate`, as it is typed.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};

use crate::archive::{Destination, MigrateArguments};
use crate::config::DEFAULT_PATH;

/// What there is to type.
pub(super) fn command() -> Command {
    let text = |name: &'static str, value: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).default_value(default).help(help)
    };
    Command::new("migrate")
        .about("Move the registry of this machine's fleetd to an etcd on this machine, or back, while units run")
        .arg(
            Arg::new("to")
                .long("to")
                .value_name("WHERE")
                .required(true)
                .value_parser(["etcd", "embedded"])
                .help("etcd, or embedded for back"),
        )
        .arg(text("config", "FILE", DEFAULT_PATH, "fleetd's configuration, which is changed"))
        .arg(text("service", "UNIT", "fleet.service", "systemd's unit of fleetd, which is restarted"))
        .arg(text(
            "etcd-service",
            "UNIT",
            "etcd.service",
            "systemd's unit of etcd, set up to listen where the registry does",
        ))
        .arg(text("etcd-data-dir", "DIRECTORY", "/var/lib/etcd/default", "Where etcd keeps its data"))
        .arg(text("etcd-name", "NAME", "default", "The name of etcd's member"))
        .arg(text(
            "etcd-tls-dir",
            "DIRECTORY",
            "/var/lib/etcd/fleet",
            "Where etcd finds ca.crt and server.pem (certificate and key), in the place of a registry with certificates",
        ))
        .arg(text("etcd-peer-url", "URL", "http://localhost:2380", "Where other members of etcd will reach it"))
}

/// What was typed; none where something is missing.
pub(super) fn read(matches: &ArgMatches) -> Option<MigrateArguments> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    Some(MigrateArguments {
        to: match text("to")?.as_str() {
            "etcd" => Destination::Etcd,
            _ => Destination::Embedded,
        },
        config: PathBuf::from(text("config")?),
        service: text("service")?,
        etcd_service: text("etcd-service")?,
        etcd_data_dir: PathBuf::from(text("etcd-data-dir")?),
        etcd_name: text("etcd-name")?,
        etcd_peer_url: text("etcd-peer-url")?,
        etcd_tls_dir: PathBuf::from(text("etcd-tls-dir")?),
    })
}
