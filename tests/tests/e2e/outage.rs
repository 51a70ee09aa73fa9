//! The registry is away for a while, and everything else is not.

use std::time::Duration;

use fleet_tests::cluster::{Cluster, Registry};

use crate::support::{Person, Watched, once, settled, throughout};

const UNITS: [&str; 6] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service", "u@5.service", "u@6.service"];

/// Operators would lose what CoreOS fleet took from them most often: an etcd that stands still for longer than the
/// lease made it stop and move healthy units. Nothing is touched, and afterwards all goes on.
#[test]
fn an_outage_of_etcd_for_three_leases_moves_nothing() {
    Cluster::builder().machines(3).registry(Registry::Etcd(3)).agent_ttl("2s").run(|cluster| {
        settled(cluster, 2, 3)?;
        let person = Person::at(cluster, 2);
        let watched = Watched::start(cluster, 2, &UNITS)?;

        let etcd = cluster.etcd().ok_or_else(|| anyhow::anyhow!("this cluster has an etcd"))?;
        for member in 1..=etcd.members() {
            etcd.pause(member)?;
        }
        throughout(Duration::from_secs(6), "units were touched during the outage", || watched.untouched())?;
        // What fleetd last knew can be read all the while, with a word on it.
        let list = person.types("list-units --no-legend")?;
        assert!(
            !list.success() || list.stderr.contains("out of date"),
            "fleetctl says nothing of the outage: {list:?}"
        );
        for member in 1..=etcd.members() {
            etcd.resume(member)?;
        }
        etcd.wait_ready(Duration::from_secs(30))?;
        cluster.wait_machines(3)?;
        throughout(Duration::from_secs(5), "units were touched after the outage", || watched.untouched())?;

        settled(cluster, 1, 3)?;
        person.fleetctl("start u@7.service")?;
        once(cluster, &["u@7.service"])?;
        watched.settles(1, &[])?;
        Ok(())
    });
}
