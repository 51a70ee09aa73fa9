//! What people meet while the registry is away.

use anyhow::{Result, ensure};
use fleet_tests::cluster::Cluster;

use super::{Person, curl};

/// At this machine the units can still be read, with a word on it that they may be out of date, and nothing can be changed:
/// fleetd says 503, and why.
pub(crate) fn stale_and_refused(cluster: &Cluster, machine: u8, units: &[&str]) -> Result<()> {
    let list = Person::at(cluster, machine).types("list-units --no-legend")?;
    ensure!(list.success() && units.iter().all(|unit| list.stdout.contains(unit)), "cannot be read: {list:?}");
    ensure!(list.stderr.contains("out of date"), "nothing is said of the outage: {list:?}");
    let unit =
        br#"{"desiredState":"launched","options":[{"section":"Service","name":"ExecStart","value":"/bin/true"}]}"#;
    let put = ["--request", "PUT", "--header", "Content-Type: application/json", "--data-binary", "@-"];
    let refused = curl(cluster, machine, "/fleet/v1/units/new.service", &put, unit)?;
    ensure!(refused.status == 503, "{refused:?}");
    let why = refused.message()?;
    ensure!(why.contains("registry") || why.contains("etcd"), "the reason is not said: {why}");
    Ok(())
}

/// What each machine's fleetd has said so far.
pub(crate) fn said(cluster: &Cluster) -> Result<Vec<Vec<String>>> {
    let journal = ["journalctl", "--unit=fleet.service", "--output=cat", "--no-pager"];
    let lines = |text: String| text.lines().map(str::to_owned).collect();
    cluster.nodes().map(|node| Ok(lines(node.exec(journal)?.ok()?))).collect()
}
