//! The process: what is started in which order, and how it ends.
//!
//! Readiness needs no store: what runs on this machine is adopted and the API's sockets are served before anything is
//! asked of it. Ending comes in two kinds, which `ending` tells apart: a restart touches nothing, a stop drains.

mod capacity;
mod dump;
mod ending;
mod health;
mod joining;
mod machine;
mod reach;
mod registry;
mod reload;
mod signals;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use fleet_agent::AgentConfig;
use fleet_engine::{EngineConfig, EngineHandle};
use fleet_registry::etcd::{EtcdConfig, EtcdStore, TlsFiles};
use fleet_registry::session::SessionConfig;
use fleet_registry::shell::{SessionHandle, spawn_session_with_timeout};
use fleet_registry::{Layout, Store};
use fleet_units::MachineId;
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::archive::Archive;
use crate::cli::RunArguments;
use crate::cluster::{Cluster, ClusterConfig};
use crate::config::{self, Config, DEFAULT_SOCKET, ListenAddress};
use crate::counts::{Counted, Counts, EngineCounter, StoreCounts};
use crate::http::{self, Api, Inviter, Passed};
use crate::local::Local;
use crate::peers::{self, Identity, Members, Peers};

pub use registry::run_registry;

pub(crate) use registry::papers_directory;

use ending::{Departure, Parts};
use health::RegistryHealth;
use joining::{Connected, Way};
use registry::Registry;
use reload::Reloader;

/// Threads that work; most of the time fleetd waits.
const WORKERS: usize = 2;
/// Threads for what blocks, which is little.
const BLOCKING: usize = 4;
/// Stack of a thread: only what is touched counts, but an address space is not free either.
const STACK: usize = 512 * 1024;
/// Streams of the API may end by themselves for this long.
const CLOSING: Duration = Duration::from_millis(500);

/// Runs the daemon until it is told to end.
///
/// # Errors
/// When it cannot start: a configuration that makes no sense, a socket that is taken, a machine without an id.
pub fn run(arguments: &RunArguments) -> anyhow::Result<()> {
    run_over(arguments, |store| store)
}

/// As [`run`], on what `over` makes of the store: all that this fleetd reads and writes goes through it.
///
/// # Errors
/// As [`run`].
pub fn run_over(arguments: &RunArguments, over: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> anyhow::Result<()> {
    let (config, raw) = arguments.load()?;
    crate::logging::start(config.verbose)?;
    for warning in &raw.warnings {
        tracing::warn!("{warning}");
    }
    // Systemd's sockets are taken while there is one thread.
    let passed = http::passed_by_systemd()?;
    runtime()?.block_on(daemon(config, Read { arguments: arguments.clone(), raw }, passed, over))
}

/// Looks at what the configuration names: endpoints of etcd, and the files to speak to it with.
///
/// # Errors
/// What of it cannot work.
pub fn check(config: &Config) -> anyhow::Result<()> {
    if config.registry.embedded || config.registry.join.is_some() {
        return Ok(());
    }
    runtime()?.block_on(async { EtcdStore::connect(etcd_config(&config.etcd)).map(drop) })?;
    Ok(())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // Several libraries speak TLS; this is the one implementation for all of them. An error means that it is set.
    _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .thread_stack_size(STACK)
        .thread_name("fleetd")
        .enable_all()
        .build()
        .context("failed to start threads")
}

/// Where the configuration was read, to be read again.
struct Read {
    arguments: RunArguments,
    raw: config::Raw,
}

async fn daemon(
    config: Config,
    read: Read,
    passed: Vec<Passed>,
    over: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
) -> anyhow::Result<()> {
    let signals = signals::Signals::new()?;
    let sockets = open_sockets(&config, passed).await?;
    let identity = Arc::new(Identity::load_or_make(&config.state_directory)?);
    let peer_listener = listen_for_peers(&config).await;
    let peer_port = peer_listener.as_ref().and_then(|listener| listener.local_addr().ok()).map(|a| a.port());
    let facts = machine::facts(&config, peer_port, &identity)?;
    let registry = Registry::start(&config.registry, facts.address.clone(), &config.etcd.key_prefix).await?;
    let Connected { store: etcd, endpoints, configured } = connect(&config, registry.as_ref(), &facts.id)?;
    let counts = Arc::new(StoreCounts::default());
    let store: Arc<dyn Store> = Arc::new(Counted::new(over(Arc::new(etcd.clone())), Arc::clone(&counts)));
    let layout = Layout::new(&config.etcd.key_prefix);
    let timeout = config.etcd.request_timeout;
    let seed = machine::seed()?;

    let session_config = SessionConfig { ttl: config.agent_ttl, seed };
    let session = spawn_session_with_timeout(Arc::clone(&store), session_config, timeout);
    let advice = reach::advice(&config);
    let reach = reach::follow(session.subscribe(), Arc::clone(&store), &layout, timeout, advice.clone());
    let agent = fleet_agent::spawn(
        AgentConfig {
            facts: facts.clone(),
            layout: layout.clone(),
            units_directory: config.units_directory.clone(),
            state_directory: config.state_directory.clone(),
            systemd_user: config.systemd_user,
            request_timeout: timeout,
            ttl: config.agent_ttl,
            seed,
        },
        Arc::clone(&store),
        session.subscribe(),
    )
    .context("failed to start the agent")?;

    let tools = Arc::new(tools::Systemd { user: config.systemd_user });
    let address = facts.address.clone().unwrap_or_default();
    let local = Local::new(facts.id.clone(), address, Arc::new(agent.control()), tools);
    let reloader =
        Reloader { read, facts: facts.clone(), agent: agent.control(), etcd: configured.then(|| etcd.clone()) };
    let embedded = registry.as_ref().map(Registry::embedded);
    let archive = Archive::new(etcd.clone(), layout.clone(), config.state_directory.clone(), embedded);
    let health = RegistryHealth { store: etcd, endpoints, embedded: registry.is_some(), reach: reach.clone(), archive };
    let cluster_config = ClusterConfig { layout: layout.clone(), timeout, seed, advice: Some(advice) };
    let fresh = reach.clone();
    let engine = (!config.disable_engine).then(|| start_engine(&config, &facts, &layout, seed, &store, &session));
    let counter = engine.as_ref().map(|engine| Box::new(engine.counter()) as EngineCounter);
    let api = Api {
        cluster: Cluster::new(Arc::clone(&store), cluster_config, Arc::new(move || fresh.is_fresh())),
        peers: Peers::new(Arc::clone(&identity)),
        local: local.clone(),
        registry: Arc::new(health),
        inviter: registry.as_ref().map_or(Inviter::Elsewhere, |registry| registry.inviter(facts.address.as_deref())),
        token_limit: config.token_limit,
        counts: Arc::new(Counts::new(counts, counter)),
    };
    let (stop, stopped) = watch::channel(false);
    let mut servers = JoinSet::new();
    let limits = http::Limits::of_this_process();
    let router = http::router(api, &limits);
    let door = http::Door::new(limits);
    for (name, socket) in sockets {
        tracing::info!("serving the API on {name}");
        servers.spawn(http::serve(socket, router.clone(), door.clone(), stopped.clone()));
    }
    if let Some(listener) = peer_listener {
        let members = Members::new(Arc::clone(&store), layout.clone(), timeout);
        let routes = local.peer_routes();
        servers.spawn(async move { peers::serve(listener, &identity, members, routes, stopped).await });
    }

    let parts = Parts { agent, engine, session, registry, reach };
    let departure = attend(signals, &parts, &config, reloader).await;
    let status = match departure {
        Departure::Drain => "leaving: units are stopped and given back",
        Departure::Detach => "ending; units go on",
    };
    _ = sd_notify::notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
    ending::end(parts, departure, &config.units_directory).await;
    stop.send_replace(true);
    let closed = async { while servers.join_next().await.is_some() {} };
    // Streams that are still read end with the process.
    _ = tokio::time::timeout(CLOSING, closed).await;
    tracing::info!("fleetd ends");
    Ok(())
}

/// Says when fleetd is ready, and answers signals until one of them means the end.
async fn attend(mut signals: signals::Signals, parts: &Parts, config: &Config, mut reloader: Reloader) -> Departure {
    let mut ready = false;
    loop {
        let signal = tokio::select! {
            signal = signals.next() => signal,
            () = parts.agent.ready(), if !ready => {
                ready = true;
                // Without systemd above there is nobody to notify.
                _ = sd_notify::notify(&[NotifyState::Ready]);
                tracing::info!("fleetd {} is ready on machine {}", http::VERSION, reloader.facts.id);
                continue;
            }
        };
        match signal {
            signals::Signal::End(name) => {
                return Departure::decide(name, config, reloader.read.arguments.dev, &parts.reach).await;
            }
            signals::Signal::Reload => reloader.reload(),
            signals::Signal::Dump => {
                dump::print(&parts.agent, parts.engine.as_ref(), &parts.reach, &reloader.facts.id).await
            }
        }
    }
}

fn start_engine(
    config: &Config,
    facts: &fleet_agent::MachineFacts,
    layout: &Layout,
    seed: u64,
    store: &Arc<dyn Store>,
    session: &SessionHandle,
) -> EngineHandle {
    let engine_config = EngineConfig {
        machine: facts.id.clone(),
        instance: facts.instance.clone(),
        layout: layout.clone(),
        carries_registry: facts.carries_registry,
        brake_hold: config.engine_brake_hold,
        machine_retention: config.machine_retention,
        seed,
        ttl: config.agent_ttl,
    };
    let timeout = config.etcd.request_timeout;
    fleet_engine::spawn_with_timeout(engine_config, Arc::clone(store), session.subscribe(), timeout)
}

/// The sockets that systemd passed and those of the configuration; without either, fleet's own.
async fn open_sockets(config: &Config, passed: Vec<Passed>) -> anyhow::Result<Vec<(String, http::ApiSocket)>> {
    let mut sockets = Vec::new();
    for socket in passed {
        let socket = socket.register().context("failed to take a socket from systemd")?;
        sockets.push((socket.describe(), socket));
    }
    let mut own = config.listen.clone();
    if sockets.is_empty() && own.is_empty() {
        own.push(ListenAddress::Unix(DEFAULT_SOCKET.into()));
    }
    for address in own {
        if !address.is_local() {
            tracing::warn!(
                "the API is served in plain text on {address}: whoever reaches it runs commands as root on every machine"
            );
        }
        sockets.push((address.to_string(), http::open(&address).await?));
    }
    Ok(sockets)
}

/// Without the port to the other fleetds this machine still does its work; only its journals stay at home.
async fn listen_for_peers(config: &Config) -> Option<TcpListener> {
    match TcpListener::bind(config.peer_listen).await {
        Ok(listener) => Some(listener),
        Err(error) => {
            let address = config.peer_listen;
            tracing::error!(
                "failed to listen for other fleetds on {address}: {error}; journals and status of this machine's units \
                 cannot be read from other machines until peer_listen names a free address"
            );
            None
        }
    }
}

fn connect(config: &Config, registry: Option<&Registry>, machine: &MachineId) -> anyhow::Result<Connected> {
    let way = Way::find(config, registry, machine)?;
    if let (Way::Configured, Some(registry)) = (&way, registry) {
        let endpoints = vec![registry.endpoint()];
        let store = EtcdStore::connect(EtcdConfig { endpoints: endpoints.clone(), ..etcd_config(&config.etcd) })?;
        return Ok(Connected { store, endpoints, configured: false });
    }
    way.connect(config, machine)
}

/// How to reach the etcd of the configuration.
fn etcd_config(etcd: &config::EtcdOptions) -> EtcdConfig {
    EtcdConfig {
        endpoints: etcd.servers.clone(),
        tls: TlsFiles {
            ca: etcd.ca_file.clone(),
            certificate: etcd.cert_file.clone(),
            key: etcd.key_file.clone(),
            server_name: None,
        },
        request_timeout: etcd.request_timeout,
        ..EtcdConfig::default()
    }
}
