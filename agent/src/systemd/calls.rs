//! What the agent asks of systemd, call by call.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fleet_units::UnitName;
use zbus::Connection;
use zbus::wire::{OwnedVariant, Variant};

use super::manager::{LinkChange, Listed, ManagerProxy, PropertiesProxy};
use super::names::{interface_of, path_of, pattern_of};
use super::signals::invocation;
use crate::effect::{Job, LinkUnit, SystemdError, UnitReport};
use crate::reconcile::Residue;

/// Targets that are reached at boot: a link from one of them does nothing until then, and runtime links do not live
/// that long. Everything else that is enabled needs a reload to be seen.
const BOOT_TARGETS: [&str; 5] =
    ["multi-user.target", "default.target", "graphical.target", "basic.target", "sysinit.target"];

const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// Turns what the bus says into what the agent decides by.
pub(super) fn error(error: zbus::Error) -> SystemdError {
    use zbus::fdo::Error as Fdo;
    let lost = match &error {
        zbus::Error::InputOutput(_) | zbus::Error::Connection(..) | zbus::Error::Handshake(_) => true,
        zbus::Error::FDO(fdo) => matches!(
            **fdo,
            Fdo::NoReply(_) | Fdo::Disconnected(_) | Fdo::ServiceUnknown(_) | Fdo::NameHasNoOwner(_) | Fdo::Timeout(_)
        ),
        _ => false,
    };
    match error {
        error if lost => SystemdError::Disconnected(error.to_string()),
        zbus::Error::MethodError(name, message, _) => match name.as_str() {
            "org.freedesktop.systemd1.NoSuchUnit" => SystemdError::NoSuchUnit,
            other => SystemdError::Refused(message.unwrap_or_else(|| other.to_owned())),
        },
        error => SystemdError::Refused(error.to_string()),
    }
}

/// Calls to systemd. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    connection: Connection,
    pub(super) manager: ManagerProxy<'static>,
    units_directory: PathBuf,
}

fn strs<T: AsRef<str>>(texts: &[T]) -> Vec<&str> {
    texts.iter().map(AsRef::as_ref).collect()
}

fn utf8(path: &Path) -> Result<&str, SystemdError> {
    path.to_str().ok_or_else(|| SystemdError::Refused(format!("{}: the path is not UTF-8", path.display())))
}

impl Calls {
    pub(super) async fn new(connection: Connection, units_directory: PathBuf) -> zbus::Result<Self> {
        let manager = ManagerProxy::new(&connection).await?;
        Ok(Self { connection, manager, units_directory })
    }

    /// Queues a job and gives its path.
    pub(super) async fn job(&self, unit: &UnitName, job: Job) -> Result<String, SystemdError> {
        let path = match job {
            Job::Start => self.manager.start_unit(unit.as_str(), "replace").await,
            Job::Stop => self.manager.stop_unit(unit.as_str(), "replace").await,
            Job::Restart => self.manager.restart_unit(unit.as_str(), "replace").await,
        };
        path.map(|p| p.to_string()).map_err(|e| match e {
            // It knows this one, but not one that it requires.
            zbus::Error::MethodError(_, Some(why), _) if !why.contains(unit.as_str()) => SystemdError::Refused(why),
            other => error(other),
        })
    }

    /// Has systemd forget that a unit failed. Where it cannot, the job that follows tells why.
    pub(super) async fn reset_failed(&self, unit: &UnitName) {
        let _ = self.manager.reset_failed_unit(unit.as_str()).await;
    }

    pub(super) async fn reload(&self) -> Result<(), SystemdError> {
        self.manager.reload().await.map_err(error)
    }

    /// The paths of all jobs under way.
    pub(super) async fn jobs(&self) -> Result<BTreeSet<String>, SystemdError> {
        let jobs = self.manager.list_jobs().await.map_err(error)?;
        Ok(jobs.into_iter().map(|(_, _, _, _, path, _)| path.to_string()).collect())
    }

    /// Load, active, and sub state of units, whether they are in memory or not.
    pub(super) async fn list(&self, units: &[UnitName]) -> Result<BTreeMap<UnitName, UnitReport>, SystemdError> {
        if units.is_empty() {
            return Ok(BTreeMap::new());
        }
        let listed = self.manager.list_units_by_names(&strs(units)).await.map_err(error)?;
        Ok(reports(listed))
    }

    /// The same for those that are in memory.
    async fn in_memory(&self, units: &[UnitName]) -> Result<BTreeMap<UnitName, UnitReport>, SystemdError> {
        let patterns: Vec<String> = units.iter().map(pattern_of).collect();
        self.matching(&strs(&patterns)).await
    }

    /// The same for those that are in memory and match one of these patterns.
    pub(super) async fn matching(&self, patterns: &[&str]) -> Result<BTreeMap<UnitName, UnitReport>, SystemdError> {
        let listed = self.manager.list_units_by_patterns(&[], patterns).await.map_err(error)?;
        Ok(reports(listed))
    }

    /// Links units; true for each that systemd must reload to see.
    pub(super) async fn link(&self, units: &[LinkUnit]) -> BTreeMap<UnitName, Result<bool, SystemdError>> {
        let names: Vec<UnitName> = units.iter().map(|u| u.unit.clone()).collect();
        // What is in memory before the link was read from something else. Both go out at once.
        let (held, linked) = futures::join!(self.in_memory(&names), self.link_files(&names));
        let held = match held {
            Ok(held) => held,
            Err(error) => return names.into_iter().map(|name| (name, Err(error.clone()))).collect(),
        };
        let mut results = BTreeMap::new();
        for unit in units {
            let alone = std::slice::from_ref(&unit.unit);
            // One bad name fails the whole call: then each is on its own.
            let result = match &linked {
                Ok(()) => Ok(()),
                Err(error) if names.len() == 1 || matches!(error, SystemdError::Disconnected(_)) => Err(error.clone()),
                Err(_) => self.link_files(alone).await,
            };
            let result = match result {
                Ok(()) if unit.enable => self.enable(&unit.unit).await,
                Ok(()) => Ok(false),
                Err(error) => Err(error),
            };
            // A unit that was only mentioned so far is looked for again when it is started.
            let stale = held.get(&unit.unit).is_some_and(|r| r.load != "not-found");
            results.insert(unit.unit.clone(), result.map(|reload| reload || stale));
        }
        results
    }

    async fn link_files(&self, units: &[UnitName]) -> Result<(), SystemdError> {
        let paths: Vec<PathBuf> = units.iter().map(|u| self.units_directory.join(u.as_str())).collect();
        let paths = paths.iter().map(|p| utf8(p)).collect::<Result<Vec<_>, _>>()?;
        self.manager.link_unit_files(&paths, true, true).await.map(drop).map_err(error)
    }

    /// Carries out `[Install]`; true when systemd must reload to see what came of it.
    async fn enable(&self, unit: &UnitName) -> Result<bool, SystemdError> {
        let path = self.units_directory.join(unit.as_str());
        match self.manager.enable_unit_files(&[utf8(&path)?], true, true).await.map_err(error) {
            Ok((_, changes)) => Ok(changes.iter().any(matters_now)),
            Err(SystemdError::Refused(why)) => {
                Err(SystemdError::Refused(format!("failed to enable systemd unit {unit}: {why}")))
            }
            Err(error) => Err(error),
        }
    }

    /// Unlinks units and has systemd forget them; what it still holds is said of each.
    pub(super) async fn unlink(&self, units: &[UnitName]) -> BTreeMap<UnitName, Result<Residue, SystemdError>> {
        let disabled = self.manager.disable_unit_files(&strs(units), true).await.map_err(error);
        let mut results = BTreeMap::new();
        let mut done = Vec::new();
        for unit in units {
            let result = match &disabled {
                Ok(_) => Ok(()),
                Err(e) if units.len() == 1 || matches!(e, SystemdError::Disconnected(_)) => Err(e.clone()),
                Err(_) => self.manager.disable_unit_files(&[unit.as_str()], true).await.map(drop).map_err(error),
            };
            match result {
                // What systemd does not know is not linked: fleetd died after it was unlinked, or somebody else did that.
                Ok(()) | Err(SystemdError::NoSuchUnit) => done.push(unit.clone()),
                Err(error) => _ = results.insert(unit.clone(), Err(error)),
            }
        }
        let residue = self.residue(&done).await;
        for unit in done {
            let result = match &residue {
                Ok(held) => Ok(match held.get(&unit) {
                    None => Residue::Gone,
                    Some(report) if report.may_run() => Residue::Active,
                    Some(_) => Residue::Inactive,
                }),
                Err(error) => Err(error.clone()),
            };
            results.insert(unit, result);
        }
        results
    }

    async fn residue(&self, units: &[UnitName]) -> Result<BTreeMap<UnitName, UnitReport>, SystemdError> {
        if units.is_empty() {
            return Ok(BTreeMap::new());
        }
        let held = self.in_memory(units).await?;
        let mut failed = false;
        for unit in held.iter().filter(|(_, report)| report.active == "failed").map(|(unit, _)| unit) {
            failed = true;
            let reset = self.manager.reset_failed_unit(unit.as_str()).await.map_err(error);
            // Any other error means that it is gone by itself.
            if let Err(error @ SystemdError::Disconnected(_)) = reset {
                return Err(error);
            }
        }
        // systemd lets go of a unit once nothing keeps it, which a failure does.
        if failed || !held.is_empty() { self.in_memory(units).await } else { Ok(held) }
    }

    async fn get(&self, unit: &UnitName, interface: &str, name: &str) -> Option<OwnedVariant> {
        let proxy = PropertiesProxy::builder(&self.connection).path(path_of(unit)).build().await.ok()?;
        proxy.get(interface, name).await.ok()
    }

    /// The id of a unit's run.
    pub(super) async fn invocation(&self, unit: &UnitName) -> Option<String> {
        self.get(unit, UNIT, "InvocationID").await.and_then(|value| invocation(&value))
    }

    /// When systemd itself started, by CLOCK_MONOTONIC, in microseconds; executing itself anew does not change it.
    pub(super) async fn started(&self) -> Result<u64, SystemdError> {
        let manager = "/org/freedesktop/systemd1";
        let proxy = PropertiesProxy::builder(&self.connection).path(manager).build().await.map_err(error)?;
        let value =
            proxy.get("org.freedesktop.systemd1.Manager", "UserspaceTimestampMonotonic").await.map_err(error)?;
        u64::try_from(&value).map_err(|_| SystemdError::Refused("systemd does not say when it started".into()))
    }

    /// Everything about a unit, on top of what is known.
    pub(super) async fn inspect(&self, unit: &UnitName, mut report: UnitReport) -> UnitReport {
        let kind = interface_of(unit);
        let (since, id, result) = futures::join!(
            self.get(unit, UNIT, "StateChangeTimestamp"),
            self.get(unit, UNIT, "InvocationID"),
            self.get(unit, &kind, "Result"),
        );
        let number = |v: &OwnedVariant| u64::try_from(v).ok();
        if report.active != "deactivating" || report.since == 0 {
            report.since = since.as_ref().and_then(number).map_or(report.since, |us| us / 1000);
        }
        report.invocation = id.as_ref().and_then(|v| invocation(v)).unwrap_or(report.invocation);
        report.result = result.and_then(|v| String::try_from(v).ok()).unwrap_or(report.result);
        if unit.unit_type() == "service" {
            let (pid, restarts, timeout) = futures::join!(
                self.get(unit, &kind, "MainPID"),
                self.get(unit, &kind, "NRestarts"),
                self.get(unit, &kind, "TimeoutStopUSec"),
            );
            let small = |v: OwnedVariant| u32::try_from(v).ok();
            report.main_pid = pid.and_then(small).unwrap_or(report.main_pid);
            report.n_restarts = restarts.and_then(small).unwrap_or(report.n_restarts);
            report.stop_bound_ms = match timeout.as_ref().and_then(number) {
                Some(timeout) if timeout != u64::MAX => Some(self.stop_bound(unit, &kind, timeout).await),
                _ => None,
            };
        }
        report
    }

    /// systemd grants the time-out to each stage of stopping: every command, SIGTERM, SIGKILL, and once more for both.
    async fn stop_bound(&self, unit: &UnitName, kind: &str, timeout_us: u64) -> u64 {
        let count = async |name| {
            let value = self.get(unit, kind, name).await;
            match value.as_deref() {
                Some(Variant::Array(array)) => array.len() as u64,
                _ => 0,
            }
        };
        let commands = count("ExecStop").await + count("ExecStopPost").await;
        (commands + 4).saturating_mul(timeout_us / 1000).saturating_add(1000)
    }
}

fn matters_now((_, link, _): &LinkChange) -> bool {
    let directory = Path::new(link).parent().and_then(Path::file_name).and_then(|d| d.to_str()).unwrap_or_default();
    let target = directory.strip_suffix(".wants").or_else(|| directory.strip_suffix(".requires"));
    target.is_some_and(|target| !BOOT_TARGETS.contains(&target))
}

fn reports(listed: Vec<Listed>) -> BTreeMap<UnitName, UnitReport> {
    let report = |(name, _, load, active, sub, ..): Listed| {
        Some((UnitName::parse(&name).ok()?, UnitReport { load, active, sub, ..UnitReport::default() }))
    };
    listed.into_iter().filter_map(report).collect()
}
