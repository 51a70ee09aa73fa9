//! Two machines with one machine-id.

use std::time::Duration;

use anyhow::{Result, ensure};
use fleet_tests::cluster::Cluster;

use crate::support::{Person, Watched, settled, throughout, until};

const UNITS: [&str; 4] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service"];

/// Whoever copies a machine's disk would have two machines that fight for one schedule, each unit twice: the clone is
/// refused, and says which two machines these are; the original and all that runs there are not touched by it.
#[test]
fn a_clone_is_refused_and_the_original_is_not_touched() {
    const CLONE: u8 = 3;
    Cluster::builder().machines(3).agent_ttl("2s").without_fleetd_at_boot().lab(|lab| lab.cloned_id(CLONE, 2)).run(
        |cluster| {
            for machine in [1, 2] {
                cluster.node(machine).exec(["systemctl", "start", "fleet.socket", "fleet.service"])?.ok()?;
            }
            settled(cluster, 1, 2)?;
            let watched = Watched::start(cluster, 1, &UNITS)?;
            watched.on(2)?;
            let clone = cluster.node(CLONE);
            clone.exec(["systemctl", "start", "fleet.socket", "fleet.service"])?.ok()?;
            let (ours, theirs) = (clone.ip().to_string(), cluster.node(2).ip().to_string());
            let refusal = |said: &str| -> Result<()> {
                let named = said.contains(&format!("node2 at {theirs} there, node3 at {ours} here"));
                ensure!(said.contains("machine-id") && named, "{said}");
                Ok(())
            };
            until("the log does not name both machines", || {
                refusal(&clone.exec(["journalctl", "--no-pager", "-u", "fleet", "-o", "cat"])?.ok()?)
            })?;
            until("its status does not name both machines", || {
                let status = Person::at(cluster, CLONE).types("cluster status")?;
                ensure!(status.status.code() == Some(1), "a script is not told: {status:?}");
                refusal(&status.stdout)
            })?;
            throughout(Duration::from_secs(5), "a unit was touched", || {
                ensure!(clone.processes_named("sleep").is_empty(), "the clone runs units");
                watched.untouched()
            })?;
            // It knows the cluster, is no part of it, and the original does its work.
            let machines = Person::at(cluster, CLONE).fleetctl("list-machines --no-legend")?;
            ensure!(machines.lines().count() == 2 && !machines.contains(&ours), "{machines}");
            Person::at(cluster, 1).fleetctl("start u@5.service u@6.service")?;
            settled(cluster, 1, 2)?;
            watched.settles(1, &[])?;

            // With an id of its own it is a machine like any other.
            clone.write_file("/etc/machine-id", format!("{}\n", clone.machine_id()))?;
            clone.exec(["systemctl", "restart", "fleet.service"])?.ok()?;
            settled(cluster, 1, 3)?;
            watched.settles(1, &[])?;
            Ok(())
        },
    );
}
