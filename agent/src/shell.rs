//! The agent at work: the state machine with the clock, the store, systemd, and the disk around it.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use fleet_registry::record::ClusterId;
use fleet_registry::session::SessionEvent;
use fleet_registry::shell::{Input, StoreShell, drive};
use fleet_registry::{Mono, Now, StateMachine, Store};
use fleet_units::UnitName;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;

use crate::agent::{Agent, AgentStatus, UnitSnapshot};
use crate::config::{AgentConfig, MachineFacts};
use crate::disk::{self, Paths};
use crate::effect::{Effect, Event};
use crate::report::{Report, Severity};
use crate::systemd::{self, SystemdConfig};

/// How far a running agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Starting,
    Ready,
    Left,
}

/// A running agent. Dropping it is like [`AgentHandle::detach`] without waiting.
#[derive(Debug)]
pub struct AgentHandle {
    events: UnboundedSender<Event>,
    progress: watch::Receiver<Progress>,
    status: watch::Receiver<AgentStatus>,
    told: watch::Receiver<Arc<Vec<UnitSnapshot>>>,
}

impl AgentHandle {
    /// Waits until what runs has been adopted. Needs no store. Ends too when the agent does.
    pub async fn ready(&self) {
        self.reached(Progress::Ready).await;
    }

    /// Stops and unloads everything that fleet runs here and gives it back, as far as there is a store to give it back
    /// to; then the lease may be revoked.
    pub async fn leave(&self) {
        let _ = self.events.send(Event::Leave);
        self.reached(Progress::Left).await;
    }

    /// Lets go: everything stays as it is.
    pub async fn detach(&self) {
        let _ = self.events.send(Event::Detach);
        self.reached(Progress::Left).await;
    }

    /// How things stand, now and with each change.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<AgentStatus> {
        self.status.clone()
    }

    /// For those who ask something of it, apart from its end.
    #[must_use]
    pub fn control(&self) -> AgentControl {
        AgentControl { events: self.events.clone(), status: self.status.clone(), told: self.told.clone() }
    }

    async fn reached(&self, progress: Progress) {
        // An error means that the agent has ended: nothing more is to be waited for.
        let _ = self.progress.clone().wait_for(|p| *p >= progress).await;
    }
}

/// What people may ask of a running agent. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct AgentControl {
    events: UnboundedSender<Event>,
    status: watch::Receiver<AgentStatus>,
    told: watch::Receiver<Arc<Vec<UnitSnapshot>>>,
}

impl AgentControl {
    /// How things stand, now and with each change.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<AgentStatus> {
        self.status.clone()
    }

    /// Makes this machine a member of the cluster whose store was found; [`AgentStatus::foreign`] tells when it is.
    pub fn accept(&self, found: Option<ClusterId>) {
        // An agent that has ended takes part in nothing.
        let _ = self.events.send(Event::Accept { found });
    }

    /// What the machine says of itself from now on: its metadata and capacity.
    pub fn describe(&self, facts: MachineFacts) {
        // As above.
        let _ = self.events.send(Event::Facts(Box::new(facts)));
    }

    /// All units of this machine, as the agent has them. None from an agent that has ended.
    pub async fn units(&self) -> Arc<Vec<UnitSnapshot>> {
        let mut told = self.told.clone();
        told.mark_unchanged();
        if self.events.send(Event::Tell).is_err() || told.changed().await.is_err() {
            return Arc::default();
        }
        let units = told.borrow();
        Arc::clone(&units)
    }

    /// Stops and removes an orphan; its state in the store tells when it is gone.
    pub fn stop_orphan(&self, unit: UnitName) {
        // As above.
        let _ = self.events.send(Event::StopOrphan(unit));
    }
}

/// systemd's runtime directory of units.
fn runtime_directory(user: bool) -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(directory) if user => PathBuf::from(directory).join("systemd/user"),
        _ => PathBuf::from("/run/systemd/system"),
    }
}

/// Starts an agent on the current tokio runtime.
///
/// # Errors
/// When no thread can be made for the disk.
pub fn spawn(
    config: AgentConfig,
    store: Arc<dyn Store>,
    mut session: UnboundedReceiver<SessionEvent>,
) -> io::Result<AgentHandle> {
    let (events, mut events_rx) = mpsc::unbounded_channel();
    let (store_events, mut store_rx) = mpsc::unbounded_channel();
    let paths = Paths {
        units: config.units_directory.clone(),
        runtime: runtime_directory(config.systemd_user),
        state: config.state_directory.clone(),
    };
    let disk = disk::spawn(paths, events.clone())?;
    let systemd_config = SystemdConfig { user: config.systemd_user, units_directory: config.units_directory.clone() };
    let systemd = systemd::spawn(systemd_config, events.clone());
    let store = StoreShell::new(store, config.request_timeout, store_events);
    let agent = Agent::new(config);
    let (status_tx, status) = watch::channel(agent.status());
    let (told_tx, told) = watch::channel(Arc::default());
    let (progress_tx, progress) = watch::channel(Progress::Starting);

    let forward = events.clone();
    tokio::spawn(async move {
        while let Some(event) = session.recv().await {
            if forward.send(Event::Session(event)).is_err() {
                return;
            }
        }
    });
    // There is a receiver: it is in this function.
    let _ = events.send(Event::Start);
    tokio::spawn(async move {
        let mut observed = Observed { agent, status: status_tx };
        let to_event = |input| match input {
            Input::Store(event) => Event::Store(event),
            Input::Own(event) => event,
            Input::Tick => Event::Tick,
        };
        let perform = |effect| {
            match effect {
                Effect::Store(effect) => store.perform(effect),
                // It ends only after this task.
                Effect::Systemd(effect) => _ = systemd.send(effect),
                Effect::Disk(effect) => disk.send(effect),
                Effect::Log(report) => log(&report),
                Effect::Told(units) => _ = told_tx.send_replace(Arc::new(units)),
                Effect::Ready => _ = progress_tx.send(Progress::Ready),
                Effect::Left => {
                    let _ = progress_tx.send(Progress::Left);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        };
        if let Err(error) = drive(&mut observed, &mut store_rx, &mut events_rx, to_event, perform).await {
            tracing::error!("the agent has ended, because the kernel gives it no timer: {error}");
        }
    });
    Ok(AgentHandle { events, progress, status, told })
}

/// Tells whoever wants to know how the agent stands.
struct Observed {
    agent: Agent,
    status: watch::Sender<AgentStatus>,
}

impl StateMachine for Observed {
    type Event = Event;
    type Effect = Effect;

    fn step(&mut self, now: Now, event: Event) -> Vec<Effect> {
        let effects = self.agent.step(now, event);
        let status = self.agent.status();
        self.status.send_if_modified(|known| {
            let changed = *known != status;
            *known = status;
            changed
        });
        effects
    }

    fn wakeup(&self) -> Option<Mono> {
        self.agent.wakeup()
    }
}

fn log(report: &Report) {
    match report.severity() {
        Severity::Debug => tracing::debug!("{report}"),
        Severity::Info => tracing::info!("{report}"),
        Severity::Warning => tracing::warn!("{report}"),
        Severity::Error => tracing::error!("{report}"),
    }
}
