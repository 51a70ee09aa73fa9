//! Signals.

use std::io::Write;

use anyhow::Context;
use tokio::signal::unix::{self, SignalKind};

use super::reach::Reach;
use super::{AgentHandle, EngineHandle};
use crate::http::VERSION;

/// What a signal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGTERM or SIGINT.
    End(&'static str),
    /// SIGHUP.
    Reload,
    /// SIGUSR1.
    Dump,
}

/// The signals that fleetd answers.
pub(super) struct Signals {
    term: unix::Signal,
    int: unix::Signal,
    hup: unix::Signal,
    usr1: unix::Signal,
}

impl Signals {
    pub(super) fn new() -> anyhow::Result<Self> {
        let listen = |kind| unix::signal(kind).context("failed to listen for signals");
        Ok(Self {
            term: listen(SignalKind::terminate())?,
            int: listen(SignalKind::interrupt())?,
            hup: listen(SignalKind::hangup())?,
            usr1: listen(SignalKind::user_defined1())?,
        })
    }

    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.term.recv() => Signal::End("SIGTERM"),
            _ = self.int.recv() => Signal::End("SIGINT"),
            _ = self.hup.recv() => Signal::Reload,
            _ = self.usr1.recv() => Signal::Dump,
        }
    }
}

/// Prints how things stand, as one line of JSON.
pub(super) fn dump(agent: &AgentHandle, engine: Option<&EngineHandle>, reach: &Reach) {
    let agent = agent.status().borrow().clone();
    let engine = engine.map(|engine| engine.status().borrow().clone());
    let line = serde_json::json!({
        "version": VERSION,
        "registry": { "inTouch": reach.in_touch() },
        "agent": {
            "adopted": agent.adopted,
            "standing": format!("{:?}", agent.standing),
            "cluster": agent.cluster,
            "generation": agent.generation,
            "acknowledged": agent.acknowledged,
            "systemd": agent.systemd,
        },
        "engine": engine.map(|engine| serde_json::json!({
            "leads": engine.leads,
            "leader": engine.leader,
            "standsBy": engine.stands_by,
            "revision": engine.revision,
            "brake": engine.brake,
        })),
    });
    // Whoever redirected the output may have closed it.
    _ = writeln!(std::io::stdout().lock(), "{line}");
}
