//! How this fleetd comes to its registry: by what the configuration says, or by the papers that it was given for a token.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use fleet_registry::etcd::{Credentials, EtcdConfig, EtcdStore};
use fleet_registry::trust::{self, CertificateRequest, Invitation, Papers};
use fleet_units::MachineId;

use super::registry::{Registry, papers_directory};
use super::{etcd_config, reach};
use crate::config::{Config, JoinWith};

/// How long one attempt to join may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Pause after the first attempt that failed; each next is longer, up to the last.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How the registry is reached.
pub(super) enum Way {
    /// As the configuration says.
    Configured,
    /// With this machine's papers.
    Papers(Papers),
    /// With those that it gets for a token.
    Join(Invitation),
}

/// The way to the registry, and the client that goes it.
pub(super) struct Connected {
    pub(super) store: EtcdStore,
    /// Where it is, for people.
    pub(super) endpoints: Vec<String>,
    /// Whether the configuration's own files are used, which may be others after a reload.
    pub(super) configured: bool,
}

impl Way {
    /// Which it is for a machine.
    ///
    /// # Errors
    /// Papers that are damaged, a token that cannot be read.
    pub(super) fn find(config: &Config, registry: Option<&Registry>, machine: &MachineId) -> anyhow::Result<Self> {
        let directory = papers_directory(&config.state_directory);
        if let Some(registry) = registry {
            return Ok(registry.papers(&directory, machine)?.map_or(Self::Configured, Self::Papers));
        }
        if config.etcd.configured {
            return Ok(Self::Configured);
        }
        let Some(join) = &config.registry.join else {
            let Some(papers) = Papers::load(&directory)? else { return Ok(Self::Configured) };
            if let Some(other) = papers.machine().filter(|other| *other != machine) {
                anyhow::bail!(
                    "{} holds the papers of machine {other}, and this is machine {machine}: its disk was copied, or its \
                     /etc/machine-id was changed; set registry_join= to a new token",
                    directory.display()
                );
            }
            return Ok(Self::Papers(papers));
        };
        let invitation = read(join);
        match Papers::load(&directory) {
            // A token is for a machine that has nothing better: it may long be used up, or gone.
            Ok(Some(papers)) => {
                let same = |invitation: &Invitation| papers.authority() == invitation.authority;
                let fits = papers.machine() == Some(machine) && papers.count();
                if fits && invitation.as_ref().map_or(true, same) {
                    return Ok(Self::Papers(papers));
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!("{error}; joining anew"),
        }
        Ok(Self::Join(invitation?))
    }

    /// Goes it. A machine that has not joined yet does so meanwhile: nothing waits for the registry.
    pub(super) fn connect(self, config: &Config, machine: &MachineId) -> anyhow::Result<Connected> {
        let base = etcd_config(&config.etcd);
        match self {
            Self::Configured => {
                let endpoints = config.etcd.servers.clone();
                reach::warn_of_plain_text(&endpoints);
                let etcd = &config.etcd;
                let credentials = (!etcd.username.is_empty())
                    .then(|| Credentials { user: etcd.username.clone(), password: etcd.password.clone() });
                let store = EtcdStore::connect(EtcdConfig { credentials, ..base })?;
                Ok(Connected { store, endpoints, configured: true })
            }
            Self::Papers(papers) => {
                let endpoints = vec![papers.endpoint()];
                let base = EtcdConfig { endpoints: endpoints.clone(), ..base };
                let store = EtcdStore::connect(EtcdConfig { tls: papers.files(), ..base.clone() })?;
                tokio::spawn(trust::keep_current(papers, store.clone(), base));
                Ok(Connected { store, endpoints, configured: false })
            }
            Self::Join(invitation) => {
                let endpoints = vec![format!("https://{}", invitation.address)];
                let why = format!("this machine is joining the registry at {}", invitation.address);
                let store = EtcdStore::waiting(base.request_timeout, why);
                let base = EtcdConfig { endpoints: endpoints.clone(), ..base };
                let directory = papers_directory(&config.state_directory);
                let joining = Joining { invitation, machine: machine.clone(), directory, store: store.clone(), base };
                tokio::spawn(joining.run());
                Ok(Connected { store, endpoints, configured: false })
            }
        }
    }
}

fn read(join: &JoinWith) -> anyhow::Result<Invitation> {
    match join {
        JoinWith::Token(invitation) => Ok(invitation.clone()),
        JoinWith::File(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("failed to read the token of registry_join={}", path.display()))?;
            text.parse().with_context(|| format!("registry_join={}", path.display()))
        }
    }
}

struct Joining {
    invitation: Invitation,
    machine: MachineId,
    directory: PathBuf,
    store: EtcdStore,
    base: EtcdConfig,
}

impl Joining {
    /// Asks until it is answered. What is refused stays refused until a person sets another token.
    async fn run(self) {
        let mut pause = PAUSE;
        loop {
            match self.join().await {
                Ok(papers) => {
                    tracing::info!(
                        "this machine has joined the registry at {}; no token is needed any more",
                        self.invitation.address
                    );
                    return trust::keep_current(papers, self.store, self.base).await;
                }
                Err(Failed { why, passing: true }) => {
                    tracing::debug!("{why}; trying again");
                    self.store.wait_for(why);
                    tokio::time::sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
                Err(Failed { why, passing: false }) => {
                    tracing::error!("{why}; set registry_join= to another token and restart fleetd");
                    return self.store.wait_for(why);
                }
            }
        }
    }

    async fn join(&self) -> Result<Papers, Failed> {
        let request = CertificateRequest::first(&self.directory, &self.machine).map_err(Failed::here)?;
        let answer = trust::join(&self.invitation, &self.machine, &request, ATTEMPT).await;
        let (certificate, authority) =
            answer.map_err(|error| Failed { passing: error.may_pass(), why: error.to_string() })?;
        let address = &self.invitation.address;
        let papers = Papers::keep(Path::new(&self.directory), address, &authority, &request, &certificate)
            .map_err(Failed::here)?;
        let config = EtcdConfig { tls: papers.files(), ..self.base.clone() };
        self.store.reconnect(&config).map_err(Failed::here)?;
        Ok(papers)
    }
}

/// Why this machine has not joined.
struct Failed {
    why: String,
    /// It may be otherwise the next time.
    passing: bool,
}

impl Failed {
    /// Something of this machine's own: a full disk may have room again.
    fn here(error: impl ToString) -> Self {
        Self { why: format!("this machine cannot join the registry: {}", error.to_string()), passing: true }
    }
}
