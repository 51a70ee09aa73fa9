//! The embedded registry: inside the daemon where it was asked for, or alone.

use anyhow::Context;
use fleet_registry::embedded::{Embedded, EmbeddedConfig, Listen, ServeHandle};
use sd_notify::NotifyState;

use super::{runtime, signals};
use crate::cli::RegistryArguments;
use crate::config::{ListenAddress, RegistryOptions};

/// A registry that is served.
pub(super) struct Registry {
    embedded: Embedded,
    server: ServeHandle,
}

impl Registry {
    /// Starts it, if it was asked for.
    pub(super) async fn start(options: &RegistryOptions) -> anyhow::Result<Option<Self>> {
        if !options.embedded {
            return Ok(None);
        }
        options.refuse_exposure().map_err(anyhow::Error::msg)?;
        if !options.listen.is_local() {
            tracing::warn!(
                "registry_insecure: the registry is served in plain text on {}: whoever reaches it is root on every \
                 machine of the cluster",
                options.listen
            );
        }
        let directory = options.directory.clone();
        let embedded = tokio::task::spawn_blocking(move || Embedded::open(&directory, EmbeddedConfig::default()))
            .await
            .context("failed to open the registry")??;
        let server = embedded.serve(&address(&options.listen)).await?;
        tracing::info!(
            "the registry runs here, at {}; it is one node, and its machine's loss is an outage",
            server.address()
        );
        Ok(Some(Self { embedded, server }))
    }

    /// Where this fleetd reaches it.
    pub(super) fn endpoint(&self) -> String {
        match self.server.address() {
            Listen::Tcp(address) if address.ip().is_unspecified() => {
                let loopback = if address.is_ipv6() { "[::1]" } else { "127.0.0.1" };
                format!("http://{loopback}:{}", address.port())
            }
            other => other.to_string(),
        }
    }

    /// The registry itself.
    pub(super) fn embedded(&self) -> Embedded {
        self.embedded.clone()
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
            insecure: arguments.insecure,
        };
        let Some(registry) = Registry::start(&options).await? else { return Ok(()) };
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
