//! The calls that keep the fence of units with `OnDisconnect=stop`.

use std::collections::BTreeSet;
use std::time::Duration;

use fleet_registry::Mono;
use fleet_registry::shell::slept;
use fleet_units::{Fence, UnitName};
use zbus::wire::Variant;

use super::calls::{Calls, error};
use crate::effect::{FenceReport, SystemdError};

/// Any instance of the service that takes the target down.
const SAMPLE: &str = "fleet-fence@0.service";

/// Everything of the fence that systemd may have in memory.
const PATTERNS: [&str; 2] = ["fleet-fence@*.timer", "fleet-fence@*.service"];

fn timer(number: u64) -> String {
    format!("fleet-fence@{number}.timer")
}

/// The number of one of the fence's units.
fn number(unit: &UnitName, kind: &str) -> Option<u64> {
    unit.as_str().strip_prefix("fleet-fence@")?.strip_suffix(kind)?.parse().ok()
}

/// What does not exist does not run.
fn unless_missing<T>(result: zbus::Result<T>) -> Result<Option<T>, SystemdError> {
    match result.map_err(error) {
        Ok(value) => Ok(Some(value)),
        Err(SystemdError::NoSuchUnit) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Calls {
    /// How the fence stands; an error where systemd lacks the units that fleet ships for it.
    pub(super) async fn look_at_fence(&self) -> Result<FenceReport, SystemdError> {
        let needed = [Fence::TARGET, SAMPLE].map(|name| UnitName::parse(name).ok()).into_iter().flatten();
        let needed: Vec<UnitName> = needed.collect();
        for (unit, report) in self.list(&needed).await? {
            if report.load != "loaded" {
                return Err(SystemdError::Refused(format!(
                    "OnDisconnect=stop needs {} and fleet-fence@.service, which come with fleet, and this machine's \
                     systemd has no {unit} ({})",
                    Fence::TARGET,
                    report.load
                )));
            }
        }
        self.fence_in_memory().await
    }

    async fn fence_in_memory(&self) -> Result<FenceReport, SystemdError> {
        let mut report = FenceReport::default();
        for (unit, state) in self.matching(&PATTERNS).await? {
            if let Some(number) = number(&unit, ".timer") {
                report.timers.insert(number);
                report.highest = report.highest.max(number);
            } else if let Some(number) = number(&unit, ".service") {
                report.fired |= state.may_run();
                report.highest = report.highest.max(number);
            }
        }
        report.connected = self.run_of_target().await?;
        Ok(report)
    }

    /// The id of the target's run, while it is active.
    pub(super) async fn run_of_target(&self) -> Result<Option<String>, SystemdError> {
        let Ok(target) = UnitName::parse(Fence::TARGET) else { return Ok(None) };
        let listed = self.list(std::slice::from_ref(&target)).await?;
        if listed.get(&target).is_none_or(|report| report.active != "active") {
            return Ok(None);
        }
        Ok(self.invocation(&target).await)
    }

    /// Queues the start of a timer that fires at this time, and gives the job's path.
    ///
    /// systemd is told the time as counted from its own start: it counts a time from now anew at every reload.
    pub(super) async fn arm(&self, number: u64, deadline: Mono, wake: bool) -> Result<String, SystemdError> {
        let start = self.started().await?;
        let at = deadline.saturating_sub(slept()).saturating_sub(Duration::from_micros(start));
        // Zero would be no time at all.
        let at = u64::try_from(at.as_micros()).unwrap_or(u64::MAX).max(1);
        let description = "Take units with OnDisconnect=stop down unless fleet renews its lease";
        let properties = [
            ("Description", Variant::from(description)),
            ("DefaultDependencies", Variant::from(false)),
            ("OnStartupSec", Variant::from(at)),
            ("AccuracyUSec", Variant::from(1000_u64)),
            ("WakeSystem", Variant::from(wake)),
        ];
        let job = self.manager.start_transient_unit(&timer(number), "fail", &properties, &[]).await;
        job.map(|path| path.to_string()).map_err(error)
    }

    /// Forgets a timer that could not be started, so that another of its name can be.
    pub(super) async fn forget_timer(&self, number: u64) {
        // One that is gone by itself need not be forgotten.
        let _ = self.manager.reset_failed_unit(&timer(number)).await;
    }

    /// Stops timers.
    pub(super) async fn disarm(&self, numbers: BTreeSet<u64>) -> Result<FenceReport, SystemdError> {
        for number in numbers {
            unless_missing(self.manager.stop_unit(&timer(number), "replace").await)?;
        }
        Ok(FenceReport::default())
    }

    /// Queues the start of the target and gives the job's path; none, and nothing done, where a fence has fallen.
    pub(super) async fn connect(&self) -> Result<Result<String, FenceReport>, SystemdError> {
        let report = self.fence_in_memory().await?;
        if report.fired {
            return Ok(Err(report));
        }
        let path = self.manager.start_unit(Fence::TARGET, "replace").await.map_err(error)?;
        Ok(Ok(path.to_string()))
    }

    /// Queues the stop of the target and gives the job's path; none where there is no such unit.
    pub(super) async fn disconnect(&self) -> Result<Option<String>, SystemdError> {
        let path = unless_missing(self.manager.stop_unit(Fence::TARGET, "replace").await)?;
        Ok(path.map(|path| path.to_string()))
    }

    /// Stops all timers and clears away the fences that have fallen.
    pub(super) async fn clear_fence(&self) -> Result<FenceReport, SystemdError> {
        for (unit, _) in self.matching(&PATTERNS).await? {
            unless_missing(self.manager.stop_unit(unit.as_str(), "replace").await)?;
        }
        Ok(FenceReport::default())
    }
}
