//! The embedded registry: inside the daemon where it was asked for, or alone.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use fleet_registry::Layout;
use fleet_registry::embedded::{Embedded, EmbeddedConfig, Listen, Names, Secure, ServeHandle};
use fleet_registry::key::DEFAULT_PREFIX;
use fleet_registry::trust::{Authority, CertificateRequest, Lifetimes, Papers};
use fleet_units::MachineId;
use sd_notify::NotifyState;

use super::{runtime, signals};
use crate::cli::RegistryArguments;
use crate::config::{ListenAddress, RegistryOptions};
use crate::http::Inviter;

/// A registry that is served.
pub(super) struct Registry {
    embedded: Embedded,
    server: ServeHandle,
    /// Where it is served beyond this machine with certificates.
    authority: Option<Arc<Authority>>,
}

impl Registry {
    /// Starts it, if it was asked for. `known_as` is where this machine is found, `prefix` that of the cluster's keys.
    pub(super) async fn start(
        options: &RegistryOptions,
        known_as: Option<String>,
        prefix: &str,
    ) -> anyhow::Result<Option<Self>> {
        if !options.embedded {
            return Ok(None);
        }
        let (directory, authority) = (options.directory.clone(), options.has_authority());
        let config = EmbeddedConfig { quota_bytes: options.quota, ..EmbeddedConfig::default() };
        let opened = tokio::task::spawn_blocking(move || {
            let embedded = Embedded::open(&directory, config)?;
            let authority = authority.then(|| Authority::open(&directory, Lifetimes::default())).transpose()?;
            anyhow::Ok((embedded, authority.map(Arc::new)))
        });
        let (embedded, authority) = opened.await.context("failed to open the registry")??;
        let server = match (&options.listen, &authority) {
            (ListenAddress::Tcp(address), Some(authority)) => {
                let secure = Secure {
                    authority: Arc::clone(authority),
                    names: names(*address, known_as),
                    root: Layout::new(prefix).root().to_owned(),
                };
                embedded.serve_secure(*address, secure).await?
            }
            (listen, _) => {
                if !listen.is_local() {
                    tracing::warn!(
                        "registry_insecure: the registry is served in plain text on {listen}: whoever reaches it is root \
                         on every machine of the cluster",
                    );
                }
                embedded.serve(&address(listen)).await?
            }
        };
        let registry = Self { embedded, server, authority };
        tracing::info!(
            "the registry runs here, at {}; it is one node, and its machine's loss is an outage",
            registry.endpoint()
        );
        Ok(Some(registry))
    }

    /// Where this fleetd reaches it.
    pub(super) fn endpoint(&self) -> String {
        match self.local_address() {
            Some(address) if self.server.is_secure() => format!("https://{address}"),
            Some(address) => format!("http://{address}"),
            None => self.server.address().to_string(),
        }
    }

    /// The same, as `HOST:PORT`.
    fn local_address(&self) -> Option<String> {
        match self.server.address() {
            Listen::Tcp(address) if address.ip().is_unspecified() => {
                let loopback = if address.is_ipv6() { "[::1]" } else { "127.0.0.1" };
                Some(format!("{loopback}:{}", address.port()))
            }
            Listen::Tcp(address) => Some(address.to_string()),
            Listen::Unix(_) => None,
        }
    }

    /// This machine's own papers, where it needs some: its fleetd is held to the same rules as any other's.
    pub(super) fn papers(&self, directory: &Path, machine: &MachineId) -> anyhow::Result<Option<Papers>> {
        let (Some(authority), Some(address)) = (&self.authority, self.local_address()) else { return Ok(None) };
        // Damaged ones are made anew: the authority is here.
        let kept = Papers::load(directory).ok().flatten().filter(|papers| {
            let same = papers.authority() == authority.fingerprint() && papers.machine() == Some(machine);
            same && papers.endpoint() == format!("https://{address}") && papers.renewal_in() > 0
        });
        if kept.is_some() {
            return Ok(kept);
        }
        let request = CertificateRequest::new(machine)?;
        let certificate = authority.certify(machine, request.der())?;
        Ok(Some(Papers::keep(directory, &address, authority.certificate_pem(), &request, &certificate)?))
    }

    /// The registry itself.
    pub(super) fn embedded(&self) -> Embedded {
        self.embedded.clone()
    }

    /// Who invites machines to it. `known_as` is where this machine is found.
    pub(super) fn inviter(&self, known_as: Option<&str>) -> Inviter {
        let Listen::Tcp(listen) = self.server.address() else { return Inviter::Local };
        let Some(authority) = &self.authority else {
            return if listen.ip().is_loopback() { Inviter::Local } else { Inviter::Insecure };
        };
        let port = listen.port();
        let address = match known_as {
            Some(host) if listen.ip().is_unspecified() => match host.parse::<IpAddr>() {
                Ok(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
                _ => format!("{host}:{port}"),
            },
            _ => listen.to_string(),
        };
        Inviter::Here { authority: Arc::clone(authority), address }
    }

    /// Stops serving, and closes the file.
    pub(super) async fn stop(self) {
        self.server.stop().await;
        self.embedded.close().await;
    }
}

fn address(listen: &ListenAddress) -> Listen {
    match listen {
        ListenAddress::Unix(path) => Listen::Unix(path.clone()),
        ListenAddress::Tcp(address) => Listen::Tcp(*address),
    }
}

/// Names and addresses under which clients that go by these find the registry, whenever they are asked for.
fn names(listen: std::net::SocketAddr, known_as: Option<String>) -> Names {
    Arc::new(move || {
        let mut names: Vec<String> = known_as.iter().cloned().collect();
        names.extend(fleet_agent::facts::hostname().ok());
        if listen.ip().is_unspecified() {
            names.push("localhost".to_owned());
            let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
            names.extend(interfaces.filter_map(|interface| {
                let address = interface.address?;
                let v4 = address.as_sockaddr_in().map(|a| IpAddr::from(a.ip()));
                v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::from(a.ip()))).map(|ip| ip.to_string())
            }));
        }
        names
    })
}

/// Where this machine keeps what it needs to reach the registry that it joined.
pub(crate) fn papers_directory(state: &Path) -> PathBuf {
    state.join("joined")
}

/// Serves the registry alone until told to end.
///
/// # Errors
/// When it cannot be opened or served.
pub fn run_registry(arguments: &RegistryArguments) -> anyhow::Result<()> {
    crate::logging::start(false)?;
    runtime()?.block_on(async {
        let mut signals = signals::Signals::new()?;
        let options = RegistryOptions {
            embedded: true,
            listen: arguments.listen.clone(),
            directory: arguments.directory.clone(),
            quota: EmbeddedConfig::default().quota_bytes,
            insecure: arguments.insecure,
            join: None,
        };
        let known_as = fleet_agent::facts::default_address().map(|ip| ip.to_string());
        let Some(registry) = Registry::start(&options, known_as, DEFAULT_PREFIX).await? else { return Ok(()) };
        // Without systemd above there is nobody to notify.
        _ = sd_notify::notify(&[NotifyState::Ready]);
        let ended = async { while !matches!(signals.next().await, signals::Signal::End(_)) {} };
        tokio::select! {
            () = ended => {}
            () = registry.embedded.closed() => anyhow::bail!("the registry's disk failed: see above"),
        }
        registry.stop().await;
        Ok(())
    })
}
