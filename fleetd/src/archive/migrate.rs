//! `fleetd registry migrate`: from the embedded registry to an etcd on this machine, and back, while units run.
//!
//! Both ways go by a snapshot, never by copying keys: a unit's `uid` is its key's create revision, and revisions, leases,
//! and history come along. What takes over listens where the other did, so that no other machine needs to know. Writes
//! stop before the snapshot is taken, because whoever took them has ended by then; this machine's fleetd is restarted,
//! which touches no unit. What fails is undone.
//!
//! A registry with certificates moves to an etcd that serves with one of the registry's own authority, and asks for those
//! that machines have: they go on with their papers.

mod check;
mod conf;
mod steps;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use fleet_agent::facts::hostname;
use fleet_registry::embedded::{Embedded, EmbeddedError};
use fleet_registry::etcd::TlsFiles;
use fleet_registry::memory::Saved;
use fleet_registry::snapshot::load;
use fleet_registry::trust::{Authority, Lifetimes, Papers};

use crate::cli::RunArguments;
use crate::config::{Config, ListenAddress, RegistryOptions};
use crate::daemon::papers_directory;

use check::check;
use conf::Edited;
use steps::{end_main_process, hand_over, is_active, is_empty, make_data_dir, patiently, systemctl};

/// What a registry with certificates does, and an etcd does not.
const NOT_RENEWED: &str = "Machines go on with the certificates that they have, and join no more: an etcd makes none, and renews \
     none. Each is good for 90 days from when it was made; give machines others before that (etcd_servers=, etcd_cafile=, \
     etcd_certfile=, etcd_keyfile=), or migrate back.\n";

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// An etcd of one member on this machine, which others can be added to.
    Etcd,
    /// The registry inside this machine's fleetd.
    Embedded,
}

/// `fleetd registry migrate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrateArguments {
    /// Where to.
    pub to: Destination,
    /// fleetd's configuration file, which is changed.
    pub config: PathBuf,
    /// systemd's unit of fleetd.
    pub service: String,
    /// systemd's unit of etcd.
    pub etcd_service: String,
    /// Where etcd keeps its data.
    pub etcd_data_dir: PathBuf,
    /// The name of etcd's member.
    pub etcd_name: String,
    /// Where etcd's other members, once there are some, reach this one.
    pub etcd_peer_url: String,
    /// Where etcd finds its certificates, in the place of a registry that has some.
    pub etcd_tls_dir: PathBuf,
}

/// Migrates, and says what was done.
///
/// # Errors
/// When something is not as it must be, or fails: then all is as it was before.
pub fn migrate(arguments: &MigrateArguments) -> anyhow::Result<String> {
    match arguments.to {
        Destination::Etcd => to_etcd(arguments),
        Destination::Embedded => to_embedded(arguments),
    }
}

fn config(arguments: &MigrateArguments) -> anyhow::Result<Config> {
    let run = RunArguments { config: Some(arguments.config.clone()), ..RunArguments::default() };
    Ok(run.load()?.0)
}

fn to_etcd(arguments: &MigrateArguments) -> anyhow::Result<String> {
    let path = arguments.config.display();
    let registry = config(arguments)?.registry;
    ensure!(registry.embedded, "{path} does not say registry=embedded: run this where the registry is");
    let ListenAddress::Tcp(listen) = registry.listen.clone() else {
        bail!(
            "the registry is served on a unix socket, which no etcd can take over: set registry_listen=HOST:PORT first"
        )
    };
    let (data, service) = (&arguments.etcd_data_dir, &arguments.etcd_service);
    ensure!(is_empty(data)?, "{} is not empty: an etcd's data directory must be new", data.display());
    ensure!(!is_active(service)?, "{service} runs already: it must not, until it has data (systemctl stop {service})");
    let authority = authority(&registry)?;
    let endpoint = url(authority.is_some(), &reached(listen));
    let mut options = vec![("registry", None)];
    // Who has papers goes by them.
    if authority.is_none() {
        options.push(("etcd_servers", Some(endpoint.as_str())));
    }
    let edited = Edited::apply(&arguments.config, &options)?;
    let moved = || -> anyhow::Result<(Saved, usize)> {
        ensure!(
            !config(arguments)?.registry.embedded,
            "registry=embedded is set outside of {path}: unset it there first"
        );
        end_main_process(&arguments.service)?;
        let saved = patiently("fleetd lets go of its registry", || match Embedded::export(&registry.directory) {
            Err(EmbeddedError::InUse { .. }) => Ok(None),
            other => Ok(Some(other?)),
        })?;
        make_data_dir(arguments, &saved, &registry.directory)?;
        if let Some(authority) = &authority {
            authority.equip_etcd(&arguments.etcd_tls_dir, &names(listen))?;
            hand_over(&arguments.etcd_tls_dir)?;
        }
        systemctl(&["start", service])?;
        let keys = check(&endpoint, administrators(authority.as_ref()), &saved)?;
        Embedded::retire(&registry.directory)?;
        Ok((saved, keys))
    };
    match moved() {
        Ok((saved, keys)) => Ok(format!(
            "The registry is in the etcd of {service} now: {keys} keys at revision {}, each looked at.\n\
             It listens at {endpoint}, as the embedded one did: no other machine has to be told.\n\
             {path} says so; \"systemctl enable {service}\" has it start at boot, and \"etcdctl member add\" gives it \
             company.\n{}",
            saved.revision,
            if authority.is_some() { NOT_RENEWED } else { "" }
        )),
        Err(error) => {
            let undo = || -> anyhow::Result<()> {
                edited.undo()?;
                steps::stop(service)?;
                steps::remove_data_dir(data)?;
                end_main_process(&arguments.service)
            };
            let undone = undo();
            Err(after(error, undone))
        }
    }
}

fn to_embedded(arguments: &MigrateArguments) -> anyhow::Result<String> {
    let path = arguments.config.display();
    let before = config(arguments)?;
    ensure!(!before.registry.embedded, "{path} says registry=embedded already");
    let service = &arguments.etcd_service;
    let papers = if before.etcd.configured { None } else { Papers::load(&papers_directory(&before.state_directory))? };
    let endpoints = papers.map_or_else(|| before.etcd.servers.clone(), |papers| vec![papers.endpoint()]);
    let [endpoint] = &endpoints[..] else {
        bail!("etcd_servers names several members: remove all but the one on this machine from etcd first")
    };
    let listen = match endpoint.split_once("://") {
        Some(("http", listen)) => listen,
        Some(("https", listen)) if !before.etcd.configured => listen,
        _ => bail!("{endpoint} is spoken to with certificates of etcd's, which the embedded registry does not have"),
    };
    let database = arguments.etcd_data_dir.join("member/snap/db");
    ensure!(database.exists(), "there is no {}: give etcd's --etcd-data-dir", database.display());
    ensure!(is_active(service)?, "{service} does not run, so that this cannot be the etcd at {endpoint}");
    let mut options = vec![("etcd_servers", None), ("registry", Some("embedded"))];
    // Where it was served before, it is served again, on all addresses perhaps.
    if !matches!(before.registry.listen, ListenAddress::Tcp(former) if reached(former) == listen) {
        options.push(("registry_listen", Some(listen)));
    }
    let edited = Edited::apply(&arguments.config, &options)?;
    let mut directory = None;
    let mut moved = || -> anyhow::Result<(Saved, usize)> {
        let registry = config(arguments)?.registry;
        ensure!(registry.embedded, "registry= is set outside of {path}: unset it there first");
        ensure!(
            registry.has_authority() == endpoint.starts_with("https://"),
            "the embedded registry would have certificates where the etcd at {endpoint} has none, or the other way round: set \
             registry_listen= and registry_insecure= as they were when machines came to use it"
        );
        // It writes down all that it has when it ends.
        systemctl(&["stop", service])?;
        let saved = load(&std::fs::File::open(&database)?).with_context(|| database.display().to_string())?.saved;
        Embedded::restore(&registry.directory, saved.clone(), true)?;
        directory = Some(registry.directory.clone());
        let authority = authority(&registry)?;
        end_main_process(&arguments.service)?;
        let keys = check(endpoint, administrators(authority.as_ref()), &saved)?;
        Ok((saved, keys))
    };
    match moved() {
        Ok((saved, keys)) => Ok(format!(
            "The registry is in this machine's fleetd now: {keys} keys at revision {}, each looked at.\n\
             It listens at {listen}, as {service} did, which is stopped; \"systemctl disable {service}\" keeps it so, and \
             its data is left in {}.\n",
            saved.revision,
            arguments.etcd_data_dir.display()
        )),
        Err(error) => {
            let undo = || -> anyhow::Result<()> {
                edited.undo()?;
                end_main_process(&arguments.service)?;
                if let Some(directory) = &directory {
                    retire_soon(directory)?;
                }
                systemctl(&["start", service])
            };
            let undone = undo();
            Err(after(error, undone))
        }
    }
}

/// The authority of a registry that has one.
fn authority(registry: &RegistryOptions) -> anyhow::Result<Option<Authority>> {
    if !registry.has_authority() {
        return Ok(None);
    }
    let authority = Authority::open(&registry.directory, Lifetimes::default())?;
    authority.keep_administrator()?;
    Ok(Some(authority))
}

fn administrators(authority: Option<&Authority>) -> TlsFiles {
    authority.map_or_else(TlsFiles::default, Authority::administrators_tls)
}

/// What an etcd in the place of a registry that listens there is called.
fn names(listen: std::net::SocketAddr) -> Vec<String> {
    let own = (!listen.ip().is_unspecified()).then(|| listen.ip().to_string());
    let local = ["localhost", "127.0.0.1"].map(str::to_owned);
    own.into_iter().chain(hostname().ok()).chain(local).collect()
}

fn url(certificates: bool, address: &str) -> String {
    format!("{}://{address}", if certificates { "https" } else { "http" })
}

/// Puts a registry aside as soon as nobody has it open.
fn retire_soon(directory: &Path) -> anyhow::Result<()> {
    patiently("fleetd lets go of its registry", || match Embedded::retire(directory) {
        Err(EmbeddedError::InUse { .. }) => Ok(None),
        other => Ok(Some(other?)),
    })
}

fn after(error: anyhow::Error, undone: anyhow::Result<()>) -> anyhow::Error {
    match undone {
        Ok(()) => error.context("nothing was migrated, and all is as it was"),
        Err(undoing) => error.context(format!("nothing was migrated, and not all could be undone ({undoing:#})")),
    }
}

/// Where this machine reaches what listens there.
fn reached(listen: std::net::SocketAddr) -> String {
    match (listen.ip().is_unspecified(), listen.is_ipv6()) {
        (true, true) => format!("[::1]:{}", listen.port()),
        (true, false) => format!("127.0.0.1:{}", listen.port()),
        (false, _) => listen.to_string(),
    }
}
