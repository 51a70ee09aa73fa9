//! The runs of units, as each machine's systemd tells them apart.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use fleet_tests::cluster::Cluster;

use super::until;

/// One run of a service: restarted, it would be another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The machine.
    pub machine: u8,
    /// Its main process, as its machine numbers it.
    pub pid: u32,
    /// systemd's ExecMainStartTimestamp, in microseconds of the clock that all machines share.
    pub started: u64,
    /// systemd's name for this run.
    pub invocation: String,
}

/// The one run of each unit.
pub(crate) type Runs = BTreeMap<String, Run>;

/// Every run of these units on all machines that are on.
pub(crate) fn all_runs(cluster: &Cluster, units: &[&str]) -> Result<BTreeMap<String, Vec<Run>>> {
    let show = ["systemctl", "show", "--property=Id,MainPID,ExecMainStartTimestampMonotonic,InvocationID", "--"];
    let mut found: BTreeMap<String, Vec<Run>> = units.iter().map(|&unit| (unit.to_owned(), Vec::new())).collect();
    for node in cluster.nodes().filter(|node| node.leader().is_some()) {
        let shown = node.exec(show.into_iter().chain(units.iter().copied()))?.ok()?;
        for block in shown.split("\n\n") {
            let field = |name: &str| {
                let value = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
                value.with_context(|| format!("systemctl shows no {name} in {block:?}"))
            };
            let pid = field("MainPID")?.parse()?;
            if pid != 0 {
                let started = field("ExecMainStartTimestampMonotonic")?.parse()?;
                let run = Run { machine: node.number(), pid, started, invocation: field("InvocationID")?.to_owned() };
                found.entry(field("Id")?.to_owned()).or_default().push(run);
            }
        }
    }
    Ok(found)
}

/// The one run of each of these units; an error where a unit runs nowhere or twice.
pub(crate) fn runs(cluster: &Cluster, units: &[&str]) -> Result<Runs> {
    let one = |(unit, runs): (String, Vec<Run>)| match <[Run; 1]>::try_from(runs) {
        Ok([run]) => Ok((unit, run)),
        Err(runs) => bail!("{unit} has {} runs: {runs:?}", runs.len()),
    };
    all_runs(cluster, units)?.into_iter().map(one).collect()
}

/// Waits until each of these units runs once.
pub(crate) fn once(cluster: &Cluster, units: &[&str]) -> Result<Runs> {
    until("units do not run", || runs(cluster, units))
}
