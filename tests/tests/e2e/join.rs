//! A machine that finds another cluster's registry.

use std::time::Duration;

use anyhow::ensure;
use fleet_tests::cluster::Cluster;

use crate::support::{Person, once, runs, sleeper_with, throughout, until};

const UNITS: [&str; 2] = ["same.service", "other.service"];

/// Who points a machine at the wrong registry would lose what runs there, if fleetd took the other cluster's word for
/// it; and who means it would have no way to move a machine to another cluster without stopping everything first.
#[test]
fn a_machine_joins_another_cluster_and_what_runs_is_left_alone() {
    Cluster::builder().machines(3).agent_ttl("2s").run(|cluster| {
        cluster.wait_machines(3)?;
        let (there, here) = (Person::at(cluster, 3), Person::at(cluster, 1));
        let point_at = |registry: &str| {
            let config = format!("{registry}\npublic_ip=192.0.2.3\nagent_ttl=2s\n");
            cluster.node(3).write_file("/etc/fleet/fleet.conf", config)?;
            cluster.node(3).exec(["systemctl", "restart", "fleet"])?.ok()?;
            until("it does not see that this is another registry", || {
                let shown = there.fleetctl("join")?;
                ensure!(shown.contains("--accept"), "{shown}");
                Ok(shown)
            })
        };
        ensure!(there.refused(1, "join --accept")?.contains("nothing to accept"));

        // One machine is to have a cluster of its own: its registry is empty, and it does not take that for its cluster.
        let shown = point_at("registry=embedded\nregistry_listen=192.0.2.3:2379\nregistry_insecure=true")?;
        ensure!(shown.contains("is empty"), "{shown}");
        cluster.wait_machines(2)?;
        there.fleetctl("join --accept")?;
        let pinned = sleeper_with(&format!("MachineID={}", cluster.node(3).machine_id()));
        for unit in UNITS {
            there.save(unit, pinned.as_str())?;
        }
        there.fleetctl(&format!("start {}", UNITS.join(" ")))?;
        let before = once(cluster, &UNITS)?;
        let unchanged = || {
            let now = runs(cluster, &UNITS)?;
            ensure!(now == before, "before: {before:#?}\nnow: {now:#?}");
            Ok(())
        };

        // It is pointed at the other cluster's registry again, by mistake or not.
        let shown = point_at("etcd_servers=http://192.0.2.1:2379")?;
        ensure!(UNITS.iter().all(|unit| shown.contains(unit)), "{shown}");
        throughout(Duration::from_secs(5), "what runs was touched", unchanged)?;
        cluster.wait_machines(2)?;

        // It is meant.
        let joined = there.fleetctl("join --accept")?;
        ensure!(joined.contains("is a member of cluster"), "{joined}");
        cluster.wait_machines(3)?;
        until("the orphans are not shown", || {
            let orphans = here.fleetctl("orphans")?;
            ensure!(UNITS.iter().all(|unit| orphans.contains(unit)), "{orphans}");
            Ok(())
        })?;
        ensure!(here.refused(1, "cluster status").is_ok(), "orphans are something that is wrong");
        throughout(Duration::from_secs(5), "what runs was touched", unchanged)?;

        // The same unit is taken over as it runs; another one of the same name is not started over it.
        here.save("same.service", pinned.as_str())?;
        here.fleetctl("start same.service")?;
        here.save("other.service", format!("# Another text.\n{pinned}"))?;
        let words = here.refused(1, "start --block-attempts=10 other.service")?;
        ensure!(words.contains("orphan"), "{words}");
        unchanged()?;
        let orphans = here.fleetctl("orphans")?;
        ensure!(!orphans.contains("same.service") && orphans.contains("other.service"), "{orphans}");

        // Until a person says so, from any machine.
        here.fleetctl("orphans stop other.service")?;
        here.fleetctl("start other.service")?;
        let after = once(cluster, &UNITS)?;
        ensure!(after["same.service"] == before["same.service"], "{after:#?}");
        ensure!(after["other.service"] != before["other.service"], "{after:#?}");
        ensure!(here.fleetctl("orphans")?.lines().count() == 1);
        Ok(())
    });
}
