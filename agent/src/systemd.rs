//! systemd over D-Bus: carries out [`SystemdEffect`]s and reports what becomes of units.
//!
//! Two connections: one makes calls, the other only listens ([`signals`]), since an undrained stream of signals would
//! hold up calls. States are taken from the signals themselves, which carry them; systemd is asked only at the start and
//! where a signal may have been missed.

mod calls;
mod fence;
mod lanes;
mod manager;
mod names;
mod session;
mod signals;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use fleet_units::UnitName;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use zbus::Connection;
use zbus::connection::Builder;

use crate::effect::{Event, SystemdEffect, SystemdError, SystemdEvent};
use calls::Calls;
use session::Session;

/// The pause before a lost connection is made anew; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// systemd answers every call the agent makes at once, but for a reload.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);

/// Which systemd, and where its units come from.
#[derive(Debug, Clone)]
pub struct SystemdConfig {
    /// The user's own instead of the system's.
    pub user: bool,
    /// Where unit files are written.
    pub units_directory: PathBuf,
}

/// Carries out [`SystemdEffect`]s until the sender is dropped.
pub fn spawn(config: SystemdConfig, events: UnboundedSender<Event>) -> UnboundedSender<SystemdEffect> {
    let (effects, rx) = mpsc::unbounded_channel();
    tokio::spawn(run(config, rx, events));
    effects
}

/// Why a session with systemd ended.
enum End {
    /// The agent is gone.
    Owner,
    /// The connection broke.
    Broken(String),
}

async fn run(config: SystemdConfig, mut effects: UnboundedReceiver<SystemdEffect>, events: UnboundedSender<Event>) {
    let mut watched = BTreeSet::new();
    let mut pause = FIRST_PAUSE;
    loop {
        let why = match connect(&config).await {
            Ok((calls, signals, listener)) => {
                pause = FIRST_PAUSE;
                let _ = events.send(Event::Systemd(SystemdEvent::Connected));
                let mut session = Session::new(calls, &mut watched, &events);
                let end = session.run(&mut effects, signals).await;
                drop(listener);
                match end {
                    End::Owner => return,
                    End::Broken(why) => why,
                }
            }
            Err(error) => error.to_string(),
        };
        let _ = events.send(Event::Systemd(SystemdEvent::Disconnected { why: why.clone() }));
        let again = tokio::time::sleep(pause);
        tokio::pin!(again);
        loop {
            tokio::select! {
                () = &mut again => break,
                effect = effects.recv() => match effect {
                    None => return,
                    Some(effect) => refuse(effect, &why, &mut watched, &events),
                }
            }
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Makes both connections; the listener's must be kept for as long as signals are wanted.
async fn connect(config: &SystemdConfig) -> zbus::Result<(Calls, UnboundedReceiver<signals::Signal>, Connection)> {
    let builder = || match config.user {
        true => Builder::session(),
        false => Builder::system(),
    };
    let queue = NonZeroUsize::new(1024).unwrap_or(NonZeroUsize::MIN);
    let (tx, rx) = mpsc::unbounded_channel();
    let listen = async {
        let listener = builder().method_timeout(CALL_TIMEOUT).build().await?;
        signals::listen(&listener, tx).await?;
        Ok(listener)
    };
    let call = async {
        let connection = builder().max_queued(queue).method_timeout(CALL_TIMEOUT).build().await?;
        Calls::new(connection, config.units_directory.clone()).await
    };
    let (listener, calls) = futures::try_join!(listen, call)?;
    Ok((calls, rx, listener))
}

/// Answers an effect that cannot be carried out because there is no connection.
fn refuse(effect: SystemdEffect, why: &str, watched: &mut BTreeSet<UnitName>, events: &UnboundedSender<Event>) {
    let error = || SystemdError::Disconnected(why.to_owned());
    let event = match effect {
        SystemdEffect::Watch(units) => return watched.extend(units),
        SystemdEffect::Unwatch(units) => return watched.retain(|u| !units.contains(u)),
        SystemdEffect::List { op, .. } => SystemdEvent::Listed { op, result: Err(error()) },
        SystemdEffect::Link { op, units } => {
            SystemdEvent::Linked { op, units: units.into_iter().map(|u| (u.unit, Err(error()))).collect() }
        }
        SystemdEffect::Unlink { op, units } => {
            SystemdEvent::Unlinked { op, units: units.into_iter().map(|u| (u, Err(error()))).collect() }
        }
        SystemdEffect::Reload { op } => SystemdEvent::Reloaded { op, result: Err(error()) },
        SystemdEffect::Job { op, unit, .. } => SystemdEvent::JobDone { op, unit, result: Err(error()), report: None },
        SystemdEffect::Fence { op, .. } => SystemdEvent::Fence { op, result: Err(error()) },
    };
    let _ = events.send(Event::Systemd(event));
}
