//! What the agent was told in the course of a story, without times and numbers that differ by nature.

use std::collections::BTreeMap;

use fleet_agent::UnitReport;
use serde::{Deserialize, Serialize};

/// A unit as the agent was told that it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// LoadState, ActiveState, SubState and Result; of one that does not run, the first two.
    pub state: String,
    /// Whether it has a main process.
    pub process: bool,
    /// How often systemd restarted it by itself.
    pub restarts: u32,
    /// Which of the runs that the story saw it is in; 0 is none.
    pub run: usize,
    /// The bound on stopping, in milliseconds.
    pub stop_bound_ms: Option<u64>,
}

/// A state that a unit was seen in, and for how long at least.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// ActiveState and SubState.
    pub state: String,
    /// For how long.
    pub lasted_ms: u64,
}

/// All that the agent was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The answer to each step that asks, by the step's number.
    pub answers: BTreeMap<usize, String>,
    /// How the units were whenever nothing went on, by the step's number.
    pub settled: BTreeMap<usize, BTreeMap<String, Snapshot>>,
    /// Which states each unit went through.
    pub seen: BTreeMap<String, Vec<Seen>>,
    /// What was waited for in vain.
    pub in_vain: Vec<String>,
}

/// Marks an answer about a unit that does not run: how long systemd keeps such a unit in memory is not certain.
pub(super) const IDLE: &str = " while idle";

/// Runs are numbered in the order in which they are seen.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<String>);

impl Runs {
    fn number(&mut self, invocation: &str) -> usize {
        if invocation.is_empty() {
            return 0;
        }
        let known = self.0.iter().position(|known| known == invocation);
        1 + known.unwrap_or_else(|| {
            self.0.push(invocation.to_owned());
            self.0.len() - 1
        })
    }
}

impl Snapshot {
    pub(super) fn of(report: &UnitReport, runs: &mut Runs) -> Self {
        let UnitReport { load, active, sub, result, n_restarts, main_pid, invocation, stop_bound_ms, .. } = report;
        let run = runs.number(invocation);
        match active.as_str() {
            // systemd lets go of an idle unit sooner or later, and of its last run with it.
            "inactive" => {
                let state = format!("{load} inactive");
                Self { state, process: false, restarts: 0, run: 0, stop_bound_ms: *stop_bound_ms }
            }
            _ => Self {
                state: format!("{load} {active} {sub} {result}"),
                process: *main_pid != 0,
                restarts: *n_restarts,
                run,
                stop_bound_ms: *stop_bound_ms,
            },
        }
    }
}

impl Observation {
    pub(super) fn see(&mut self, unit: &str, report: &UnitReport, now_ms: u64, last: &mut BTreeMap<String, u64>) {
        let state = format!("{} {}", report.active, report.sub);
        let seen = self.seen.entry(unit.to_owned()).or_default();
        let since = last.get(unit).copied().unwrap_or(now_ms);
        match seen.last_mut() {
            Some(before) if before.state == state => return,
            Some(before) => before.lasted_ms = now_ms - since,
            None => {}
        }
        last.insert(unit.to_owned(), now_ms);
        seen.push(Seen { state, lasted_ms: u64::MAX });
    }
}
