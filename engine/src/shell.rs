//! Runs an engine: the only part of this crate that waits, and that reads the clock.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fleet_registry::shell::{DEFAULT_REQUEST_TIMEOUT, Input, StoreShell, boot_now, drive};
use fleet_registry::{Mono, Now, SessionEvent, StateMachine, Store};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::counts::EngineCounts;
use crate::engine::{Engine, EngineConfig, EngineEffect, EngineEvent, EngineStatus};
use crate::report::{Level, Report};

/// An engine that is running. Dropping it ends the engine at once and leaves its leadership to run out with the lease.
#[derive(Debug)]
pub struct EngineHandle {
    resign: mpsc::UnboundedSender<()>,
    status: watch::Receiver<EngineStatus>,
    counts: Arc<Mutex<EngineCounts>>,
    task: JoinHandle<()>,
}

impl EngineHandle {
    /// How the engine stands, and each change of that.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<EngineStatus> {
        self.status.clone()
    }

    /// What it has done, for whoever asks now and then. Goes on telling after the engine has ended.
    pub fn counter(&self) -> impl Fn() -> EngineCounts + Send + Sync + 'static {
        let counts = Arc::clone(&self.counts);
        move || *counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up leadership, so that another need not wait for the lease, and ends the engine.
    pub async fn resign(mut self) {
        if self.resign.send(()).is_ok() {
            let _ = (&mut self.task).await;
        }
    }
}

impl Drop for EngineHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts an engine with the default time-out for requests.
///
/// # Panics
/// Outside a tokio runtime.
#[must_use]
pub fn spawn(
    config: EngineConfig,
    store: Arc<dyn Store>,
    session: mpsc::UnboundedReceiver<SessionEvent>,
) -> EngineHandle {
    spawn_with_timeout(config, store, session, DEFAULT_REQUEST_TIMEOUT)
}

/// Starts an engine.
///
/// # Panics
/// Outside a tokio runtime.
#[must_use]
pub fn spawn_with_timeout(
    config: EngineConfig,
    store: Arc<dyn Store>,
    session: mpsc::UnboundedReceiver<SessionEvent>,
    timeout: Duration,
) -> EngineHandle {
    let (resign, resigned) = mpsc::unbounded_channel();
    let (status, receiver) = watch::channel(EngineStatus::default());
    let counts = Arc::new(Mutex::new(EngineCounts::default()));
    let engine = Counted { engine: Engine::new(config), counts: Arc::clone(&counts) };
    let task = tokio::spawn(run(engine, store, session, resigned, status, timeout));
    EngineHandle { resign, status: receiver, counts, task }
}

/// Counts what an engine does.
struct Counted {
    engine: Engine,
    counts: Arc<Mutex<EngineCounts>>,
}

impl StateMachine for Counted {
    type Event = EngineEvent;
    type Effect = EngineEffect;

    fn step(&mut self, now: Now, event: EngineEvent) -> Vec<EngineEffect> {
        let (passes, begun) = (self.engine.passes(), boot_now().mono);
        let effects = self.engine.step(now, event);
        let passed = self.engine.passes() > passes;
        let reports = effects.iter().filter_map(|effect| match effect {
            EngineEffect::Log(report) => Some(report),
            _ => None,
        });
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if passed {
            counts.passes += 1;
            counts.time += boot_now().mono - begun;
        }
        reports.for_each(|report| counts.note(report, now.wall));
        effects
    }

    fn wakeup(&self) -> Option<Mono> {
        self.engine.wakeup()
    }
}

async fn run(
    mut engine: Counted,
    store: Arc<dyn Store>,
    mut session: mpsc::UnboundedReceiver<SessionEvent>,
    mut resign: mpsc::UnboundedReceiver<()>,
    status: watch::Sender<EngineStatus>,
    timeout: Duration,
) {
    let (events, mut answers) = mpsc::unbounded_channel();
    let shell = StoreShell::new(store, timeout, events);
    let (inputs, mut own) = mpsc::unbounded_channel();
    // Its owner speaks on two channels, the engine hears one. It ends with the engine: the inputs have no reader then.
    let merge = async move {
        loop {
            let event = tokio::select! {
                Some(()) = resign.recv() => EngineEvent::Resign,
                Some(event) = session.recv() => EngineEvent::Session(event),
                else => return std::future::pending::<()>().await,
            };
            if inputs.send(event).is_err() {
                return;
            }
        }
    };
    let to_event = |input| match input {
        Input::Store(event) => EngineEvent::Store(event),
        Input::Own(event) => event,
        Input::Tick => EngineEvent::Tick,
    };
    let on_effect = |effect| {
        match effect {
            EngineEffect::Store(effect) => shell.perform(effect),
            EngineEffect::Log(report) => log(&report),
            EngineEffect::Status(new) => drop(status.send_replace(new)),
            EngineEffect::Resigned => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    };
    tokio::select! {
        result = drive(&mut engine, &mut answers, &mut own, to_event, on_effect) => {
            if let Err(error) = result {
                tracing::error!(%error, "the engine ends: the kernel gives no timer");
            }
        }
        () = merge => {}
    }
}

fn log(report: &Report) {
    match report.level() {
        Level::Debug => tracing::debug!("{report}"),
        Level::Info => tracing::info!("{report}"),
        Level::Warn => tracing::warn!("{report}"),
        Level::Error => tracing::error!("{report}"),
    }
}
