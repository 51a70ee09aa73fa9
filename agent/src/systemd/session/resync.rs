//! Looking anew, where signals may have been missed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_units::UnitName;

use super::{Asked, Done, Session};
use crate::effect::{SystemdError, SystemdEvent, UnitReport};

/// A job's end may be on its way while systemd answers already that there is no such job: answers and signals come over
/// two connections. For so long it is waited for.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// What systemd says where signals may have been missed.
pub(super) struct Resync {
    asked: Asked,
    /// Why it was asked.
    why: Why,
    states: Result<BTreeMap<UnitName, UnitReport>, SystemdError>,
    /// Jobs that were waited for when it was asked.
    waited: Vec<String>,
    /// Jobs that there are.
    jobs: Result<BTreeSet<String>, SystemdError>,
}

/// Why systemd is asked anew.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It read its files anew, or executed itself anew.
    Reloaded,
    /// It is time to be sure.
    Routine,
    /// Jobs were gone whose ends had not been heard of.
    Suspicion,
}

impl Session<'_> {
    /// Asks anew how watched units are, and which jobs there are.
    pub(super) fn resync(&self, why: Why) {
        let units: Vec<UnitName> = self.watched.iter().cloned().collect();
        let (asked, waited): (_, Vec<String>) = (self.signals, self.jobs.keys().cloned().collect());
        self.spawn(|calls| async move {
            if why == Why::Suspicion {
                tokio::time::sleep(UNDER_WAY).await;
            }
            let (states, jobs) = futures::join!(calls.list(&units), calls.jobs());
            Done::Resynced(Box::new(Resync { asked, why, states, waited, jobs }))
        });
    }

    pub(super) fn on_resynced(&mut self, resync: Resync) {
        let missed = |what: &str| {
            if resync.why == Why::Routine {
                tracing::warn!("a signal of systemd's was missed, which is a bug: {what}");
            }
        };
        for (unit, listed) in resync.states.unwrap_or_default() {
            if self.watched.contains(&unit) && self.take_listed(&unit, resync.asked, &listed) {
                missed(unit.as_str());
                self.details.insert(unit);
            }
        }
        let jobs = resync.jobs.unwrap_or_else(|_| resync.waited.iter().cloned().collect());
        let gone = resync.waited.into_iter().filter(|path| !jobs.contains(path) && self.jobs.contains_key(path));
        let gone: Vec<String> = gone.collect();
        if gone.is_empty() {
            return self.inspect();
        }
        if resync.why != Why::Suspicion {
            self.resync(Why::Suspicion);
            return self.inspect();
        }
        for path in gone {
            for op in self.jobs.remove(&path).unwrap_or_default() {
                // How it ended is not known: the agent looks at what there is, and asks again.
                let error = SystemdError::Disconnected("the end of its job was missed".into());
                if self.is_fence(op) {
                    self.fence_done(op, Err(error));
                    continue;
                }
                let Some((unit, _)) = self.close_job(op) else { continue };
                let result = Err(error);
                let report = self.reports.get(&unit).cloned();
                self.send(SystemdEvent::JobDone { op, unit, result, report });
            }
        }
        self.inspect();
    }
}
