//! When a change has come true.
//!
//! What a watch says goes in, what became of each unit comes out. There is no I/O here, and no clock.

mod empty;
mod judge;
mod moves;

use std::collections::BTreeMap;

use fleet_api::v2::{MachineRef, UnitView, WatchLine};

pub use empty::Emptying;
pub use judge::judge;
pub use moves::{Moved, Moves};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// On a machine, and active there, or a oneshot that has finished well.
    Launched,
    /// On a machine, and known to its systemd.
    Loaded,
    /// No process of it runs, and it is loaded where it belongs.
    Stopped,
    /// On no machine.
    Unloaded,
    /// Destroyed, and stopped everywhere.
    Gone,
}

impl Goal {
    /// The word of fleet for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Launched => "launched",
            Self::Loaded | Self::Stopped => "loaded",
            Self::Unloaded => "inactive",
            Self::Gone => "destroyed",
        }
    }
}

/// A unit that is waited for.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Which unit of that name.
    pub uid: i64,
    /// What was known of it before the change that is waited for. None where nothing was changed or it is new: then
    /// what is seen is to be taken at its word.
    pub before: Option<UnitView>,
}

/// What can be said of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not there yet; this is what it is at.
    Pending(String),
    /// It is there.
    Reached {
        /// On this machine.
        machine: Option<MachineRef>,
        /// And a person should know this.
        remark: Option<String>,
    },
    /// It will not get there by itself.
    Failed {
        /// Because of this.
        reason: String,
        /// On this machine, whose journal may tell more.
        machine: Option<MachineRef>,
    },
}

/// A unit that is no longer waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The unit.
    pub name: String,
    /// Not [`Verdict::Pending`].
    pub verdict: Verdict,
}

/// Waits for some units.
#[derive(Debug)]
pub struct Wait {
    goal: Goal,
    pending: BTreeMap<String, Pending>,
    /// fleetd has lost touch with the registry: what it says may be old.
    is_stale: bool,
}

/// A unit that is still waited for.
#[derive(Debug)]
struct Pending {
    target: Target,
    /// None before the first snapshot, and once the unit is gone.
    view: Option<UnitView>,
    /// What it is at.
    at: String,
}

impl Wait {
    /// Begins to wait.
    pub fn new(goal: Goal, targets: Vec<Target>) -> Self {
        let pending = targets.into_iter().map(|target| {
            let at = "no word of it yet".to_owned();
            (target.name.clone(), Pending { target, view: None, at })
        });
        Self { goal, pending: pending.collect(), is_stale: false }
    }

    /// Takes the next line of a watch of these units.
    pub fn observe(&mut self, line: WatchLine) -> Vec<Finished> {
        match line {
            WatchLine::Snapshot { units, .. } => {
                self.is_stale = false;
                for pending in self.pending.values_mut() {
                    pending.view = None;
                }
                for unit in units {
                    self.take(unit);
                }
                self.judge_all()
            }
            WatchLine::Unit { unit, .. } => {
                let name = unit.name.clone();
                self.take(*unit);
                self.judge_one(&name, false).into_iter().collect()
            }
            WatchLine::Gone { name, .. } => {
                if let Some(pending) = self.pending.get_mut(&name) {
                    pending.view = None;
                }
                self.judge_one(&name, false).into_iter().collect()
            }
            WatchLine::Stale { why } => {
                self.is_stale = true;
                for pending in self.pending.values_mut() {
                    pending.at = format!("fleetd has lost touch with the registry: {why}");
                }
                Vec::new()
            }
            WatchLine::Other => Vec::new(),
        }
    }

    /// Says that the change has had its time to show: what is the same as before is the result. Nothing is concluded
    /// from what may be old, or about a unit of which nothing was said yet.
    pub fn settle(&mut self) -> Vec<Finished> {
        if self.is_stale {
            return Vec::new();
        }
        let seen = self.pending.values().filter(|pending| pending.view.is_some());
        let names: Vec<_> = seen.map(|pending| pending.target.name.clone()).collect();
        names.iter().filter_map(|name| self.judge_one(name, true)).collect()
    }

    /// The units that are still waited for, and what each is at.
    pub fn pending(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pending.iter().map(|(name, pending)| (name.as_str(), pending.at.as_str()))
    }

    /// Whether nothing is waited for any more.
    pub fn is_over(&self) -> bool {
        self.pending.is_empty()
    }

    fn take(&mut self, unit: UnitView) {
        if let Some(pending) = self.pending.get_mut(&unit.name) {
            pending.view = Some(unit);
        }
    }

    fn judge_all(&mut self) -> Vec<Finished> {
        let names: Vec<_> = self.pending.keys().cloned().collect();
        names.iter().filter_map(|name| self.judge_one(name, false)).collect()
    }

    fn judge_one(&mut self, name: &str, settled: bool) -> Option<Finished> {
        let pending = self.pending.get_mut(name)?;
        match judge(self.goal, &pending.target, pending.view.as_ref(), settled) {
            Verdict::Pending(at) => {
                pending.at = at;
                None
            }
            verdict => {
                self.pending.remove(name);
                Some(Finished { name: name.to_owned(), verdict })
            }
        }
    }
}

#[cfg(test)]
mod tests;
