//! How fleetd ends: a restart, a crash, or an upgrade leaves units running; a stop for good means that the machine
//! leaves the cluster.
//!
//! systemd tells the two apart: the unit of this process has a job at the time of SIGTERM, and only one that is clearly
//! read as `stop` drains. A `restart`, no job at all (somebody's `kill`), a job that has vanished, or no answer within a
//! second leaves units alone.

use std::path::Path;
use std::time::Duration;

use fleet_agent::AgentHandle;
use fleet_engine::EngineHandle;
use fleet_registry::shell::SessionHandle;
use fleet_units::UnitName;
use zbus::{OwnedObjectPath, OwnedVariant};

use super::reach::Reach;
use super::registry::Registry;
use crate::config::{Config, OnStop};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// How long systemd may take to say what it is about.
const JOB_LIMIT: Duration = Duration::from_secs(1);
/// How long the leader's key may take to be deleted; otherwise it goes with the lease.
const RESIGN_LIMIT: Duration = Duration::from_secs(2);
/// How long the agent may take to finish what it is writing.
const DETACH_LIMIT: Duration = Duration::from_secs(5);

/// What has to be ended.
pub(super) struct Parts {
    pub(super) agent: AgentHandle,
    pub(super) engine: Option<EngineHandle>,
    pub(super) session: SessionHandle,
    pub(super) registry: Option<Registry>,
    pub(super) reach: Reach,
}

/// How this fleetd goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Departure {
    /// Units are stopped and given back.
    Drain,
    /// Units go on.
    Detach,
}

impl Departure {
    /// Decides at a signal, and says why in the log.
    pub(super) async fn decide(signal: &str, config: &Config, dev: bool, reach: &Reach) -> Self {
        if dev && config.on_stop == OnStop::Drain && reach.in_touch() {
            tracing::info!("{signal}: the trial ends, and what it started is stopped");
            return Self::Drain;
        }
        let read = tokio::time::timeout(JOB_LIMIT, own_job(config.systemd_user)).await;
        let job = match read {
            Ok(Ok(job)) => job,
            Ok(Err(error)) => {
                tracing::warn!("{signal}: units go on, since systemd does not say whether this is a stop: {error}");
                return Self::Detach;
            }
            Err(_) => {
                tracing::warn!("{signal}: units go on, since systemd does not answer whether this is a stop");
                return Self::Detach;
            }
        };
        match job.as_deref() {
            Some("stop") if config.on_stop == OnStop::Keep => {
                tracing::info!("{signal} to stop for good: units go on, as on_stop=keep wants");
                Self::Detach
            }
            Some("stop") if !reach.in_touch() => {
                tracing::warn!(
                    "{signal} to stop for good: the registry cannot be reached, so nothing can be given back; units go \
                     on, and the lease is left to run out"
                );
                Self::Detach
            }
            Some("stop") => {
                tracing::info!("{signal} to stop for good: this machine leaves, its units are stopped and given back");
                Self::Drain
            }
            Some(other) => {
                tracing::info!("{signal} for a {other}: units go on");
                Self::Detach
            }
            None => {
                tracing::info!("{signal} without a job of systemd's: units go on");
                Self::Detach
            }
        }
    }
}

/// Ends everything, in the order that keeps each unit on one machine.
pub(super) async fn end(parts: Parts, departure: Departure, units_directory: &Path) {
    let Parts { agent, engine, session, registry, .. } = parts;
    match departure {
        Departure::Drain => agent.leave().await,
        Departure::Detach => {
            if tokio::time::timeout(DETACH_LIMIT, agent.detach()).await.is_err() {
                tracing::warn!("the agent does not let go; fleetd ends all the same");
            }
        }
    }
    if let Some(engine) = engine {
        // Another leads at once instead of after the lease.
        if tokio::time::timeout(RESIGN_LIMIT, engine.resign()).await.is_err() {
            tracing::warn!("leadership is left to run out with the lease: the registry does not answer");
        }
    }
    // The lease is what keeps units from being started elsewhere: it goes only when nothing is left here.
    if departure == Departure::Drain && !units_left(units_directory) {
        session.stop().await;
    } else {
        session.abandon().await;
    }
    if let Some(registry) = registry {
        registry.stop().await;
    }
}

/// Whether unit files remain; a directory that cannot be read counts as full.
fn units_left(directory: &Path) -> bool {
    match std::fs::read_dir(directory) {
        Ok(mut entries) => {
            entries.any(|entry| entry.map_or(true, |e| UnitName::parse(&e.file_name().to_string_lossy()).is_ok()))
        }
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// The type of the job that this process's unit has, if it has one.
async fn own_job(user: bool) -> zbus::Result<Option<String>> {
    let bus = if user { zbus::Connection::session().await? } else { zbus::Connection::system().await? };
    // Zero is whoever asks.
    let reply = bus
        .call_method(
            Some(SYSTEMD),
            "/org/freedesktop/systemd1",
            Some("org.freedesktop.systemd1.Manager"),
            "GetUnitByPID",
            &std::process::id(),
        )
        .await?;
    let unit: OwnedObjectPath = reply.body().deserialize()?;
    let job = property(&bus, &unit, "org.freedesktop.systemd1.Unit", "Job").await?;
    let (id, job): (u32, OwnedObjectPath) = job.try_into()?;
    if id == 0 {
        return Ok(None);
    }
    let job_type = property(&bus, &job, "org.freedesktop.systemd1.Job", "JobType").await?;
    Ok(Some(String::try_from(job_type)?))
}

async fn property(
    bus: &zbus::Connection,
    path: &OwnedObjectPath,
    interface: &str,
    name: &str,
) -> zbus::Result<OwnedVariant> {
    let reply = bus.call_method(Some(SYSTEMD), path, Some(PROPERTIES), "Get", &(interface, name)).await?;
    reply.body().deserialize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_in_the_units_directory_keeps_the_lease() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!units_left(&directory.path().join("absent")));
        assert!(!units_left(directory.path()));
        std::fs::write(directory.path().join(".note"), "").unwrap();
        assert!(!units_left(directory.path()));
        std::fs::write(directory.path().join("a.service"), "").unwrap();
        assert!(units_left(directory.path()));
        assert!(units_left(&directory.path().join("a.service")), "what cannot be read counts as full");
    }
}
