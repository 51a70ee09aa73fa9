//! Runs a session and tells everyone who shares it.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::{AbortHandle, JoinHandle};

use super::drive::{Input, drive};
use super::store::StoreShell;
use super::{DEFAULT_REQUEST_TIMEOUT, boot_now};
use crate::session::{Session, SessionConfig, SessionEffect, SessionEvent, SessionInput};
use crate::step::StateMachine;
use crate::store::Store;

/// A session that is being kept alive. Dropping it abandons the lease.
#[derive(Debug)]
pub struct SessionHandle {
    inputs: UnboundedSender<SessionInput>,
    audience: Arc<Mutex<Audience>>,
    task: JoinHandle<()>,
    /// Ends the task when this handle is dropped halfway through `stop`.
    abort: AbortHandle,
}

/// Starts a session with the default time-out for requests.
///
/// # Panics
/// Outside a tokio runtime.
#[must_use]
pub fn spawn_session(store: Arc<dyn Store>, config: SessionConfig) -> SessionHandle {
    spawn_session_with_timeout(store, config, DEFAULT_REQUEST_TIMEOUT)
}

/// Starts a session.
///
/// # Panics
/// Outside a tokio runtime.
#[must_use]
pub fn spawn_session_with_timeout(store: Arc<dyn Store>, config: SessionConfig, timeout: Duration) -> SessionHandle {
    let (inputs, own) = mpsc::unbounded_channel();
    let audience = Arc::new(Mutex::new(Audience::default()));
    let task = tokio::spawn(run(store, Session::new(config), timeout, own, Arc::clone(&audience)));
    let abort = task.abort_handle();
    SessionHandle { inputs, audience, task, abort }
}

impl SessionHandle {
    /// What happens to the session from now on, preceded by its present state: the last [`SessionEvent::Started`] and
    /// the last [`SessionEvent::Acknowledged`], if it has a lease. The channel ends with the session.
    #[must_use]
    pub fn subscribe(&self) -> UnboundedReceiver<SessionEvent> {
        let (tx, rx) = mpsc::unbounded_channel();
        lock(&self.audience).join(tx);
        rx
    }

    /// Revokes the lease and ends the session. Returns when it is revoked, or when the store does not answer and the
    /// lease is left to run out.
    pub async fn stop(mut self) {
        // A task that is gone has nothing to revoke.
        if self.inputs.send(SessionInput::Stop).is_ok() {
            let _ = (&mut self.task).await;
        }
    }

    /// Ends the session and leaves the lease to run out, so that a fleetd that starts again soon finds its place kept.
    pub async fn abandon(mut self) {
        self.abort.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// Everyone who is told of the session, and what latecomers have to know.
#[derive(Debug, Default)]
struct Audience {
    listeners: Vec<UnboundedSender<SessionEvent>>,
    started: Option<SessionEvent>,
    acknowledged: Option<SessionEvent>,
    ended: bool,
}

impl Audience {
    fn join(&mut self, listener: UnboundedSender<SessionEvent>) {
        if self.ended {
            return;
        }
        for event in [&self.started, &self.acknowledged].into_iter().flatten() {
            let _ = listener.send(event.clone());
        }
        self.listeners.push(listener);
    }

    fn tell(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Started { .. } => (self.started, self.acknowledged) = (Some(event.clone()), None),
            SessionEvent::Acknowledged { .. } => self.acknowledged = Some(event.clone()),
            SessionEvent::Lost { .. } => (self.started, self.acknowledged) = (None, None),
        }
        self.listeners.retain(|listener| listener.send(event.clone()).is_ok());
    }
}

/// Ends the audience's channels, however the session's task ends.
struct Curtain(Arc<Mutex<Audience>>);

impl Drop for Curtain {
    fn drop(&mut self) {
        *lock(&self.0) = Audience { ended: true, ..Audience::default() };
    }
}

fn lock(audience: &Mutex<Audience>) -> std::sync::MutexGuard<'_, Audience> {
    // Nothing that holds it can leave it half changed.
    audience.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(
    store: Arc<dyn Store>,
    mut session: Session,
    timeout: Duration,
    mut own: UnboundedReceiver<SessionInput>,
    audience: Arc<Mutex<Audience>>,
) {
    let _curtain = Curtain(Arc::clone(&audience));
    let (events, mut answers) = mpsc::unbounded_channel();
    let shell = StoreShell::new(store, timeout, events);
    let on_effect = |effect| match effect {
        SessionEffect::Store(effect) => {
            shell.perform(effect);
            ControlFlow::Continue(())
        }
        SessionEffect::Event(event) => {
            lock(&audience).tell(event);
            ControlFlow::Continue(())
        }
        SessionEffect::Ended => ControlFlow::Break(()),
    };
    for effect in session.step(boot_now(), SessionInput::Start) {
        let _ = on_effect(effect);
    }
    let to_event = |input| match input {
        Input::Store(event) => SessionInput::Store(event),
        Input::Own(input) => input,
        Input::Tick => SessionInput::Tick,
    };
    if let Err(error) = drive(&mut session, &mut answers, &mut own, to_event, on_effect).await {
        tracing::error!(%error, "the session ends: the kernel gives no timer");
    }
}
