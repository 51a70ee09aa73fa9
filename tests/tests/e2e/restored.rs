//! A registry that is lost for good, and one from a backup in its place.

use std::time::Duration;

use anyhow::{Context, ensure};
use fleet_tests::cluster::{Cluster, Registry};

use crate::support::{Person, Watched, once, runs, settled, throughout, until};

const KEPT: [&str; 4] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service"];

/// Begun after the backup.
const YOUNGER: [&str; 4] = ["u@11.service", "u@12.service", "u@13.service", "u@14.service"];

/// Operators would lose what runs to the very act that is to save them: an etcd restored from its snapshot does not know
/// what was begun after it. All of that runs on and is shown as what no record knows; what the backup knows is adopted
/// where it runs; and what was destroyed after it is there again, as the backup says.
#[test]
fn an_etcd_restored_from_a_snapshot_stops_nothing() {
    restored("another");
}

/// The same where the restored etcd has the old one's cluster id, so that nothing but its revisions tells of it.
#[test]
fn an_etcd_restored_under_its_old_id_stops_nothing() {
    restored("");
}

/// Operators without a backup would lose what runs, too: an etcd that comes back empty is no cluster of theirs, and says
/// nothing about what is to run. Nothing is touched until a person accepts it, on each machine, and nothing then.
#[test]
fn an_etcd_that_comes_back_empty_stops_nothing() {
    Cluster::builder().machines(2).registry(Registry::Etcd(1)).agent_ttl("2s").run(|cluster| {
        let etcd = cluster.etcd().context("this cluster has an etcd")?;
        settled(cluster, 1, 2)?;
        let watched = Watched::start(cluster, 1, &KEPT)?;
        etcd.begin_anew()?;
        for machine in [1, 2] {
            let person = Person::at(cluster, machine);
            until("nobody says that the registry is empty", || {
                let status = person.types("cluster status")?;
                let said = status.stdout.contains("the store holds none: nothing is touched");
                ensure!(said && status.status.code() == Some(1), "{status:?}");
                Ok(())
            })?;
        }
        throughout(Duration::from_secs(5), "a unit was touched", || watched.untouched())?;
        for machine in [1, 2] {
            until("the registry is not accepted", || Person::at(cluster, machine).fleetctl("join --accept").map(drop))?;
        }
        settled(cluster, 1, 2)?;
        until("what runs is not shown", || {
            let orphans = Person::at(cluster, 1).fleetctl("orphans")?;
            ensure!(KEPT.iter().all(|unit| orphans.contains(unit)), "{orphans}");
            Ok(())
        })?;
        throughout(Duration::from_secs(3), "a unit was touched", || watched.untouched())?;
        watched.settles(1, &[])?;
        Ok(())
    });
}

/// An empty `token` is that of the lost etcd.
fn restored(token: &str) {
    Cluster::builder().machines(3).registry(Registry::Etcd(1)).agent_ttl("2s").run(|cluster| {
        let etcd = cluster.etcd().context("this cluster has an etcd")?;
        settled(cluster, 1, 3)?;
        let person = Person::at(cluster, 1);
        let kept = Watched::start(cluster, 1, &KEPT)?;
        person.fleetctl("start u@9.service")?;
        once(cluster, &["u@9.service"])?;
        etcd.save_snapshot("backup")?;

        person.fleetctl("destroy u@9.service")?;
        person.fleetctl(&format!("start {}", YOUNGER.join(" ")))?;
        let younger = once(cluster, &YOUNGER)?;
        let token = if token.is_empty() { cluster.lab().name() } else { token };
        etcd.restore("backup", token)?;

        let status = until("what no record knows is not shown", || {
            let status = person.types("cluster status")?.stdout;
            for unit in YOUNGER {
                ensure!(status.contains(&format!("{unit} runs on")), "nothing of {unit}:\n{status}");
            }
            Ok(status)
        })?;
        ensure!(KEPT.iter().all(|unit| !status.contains(unit)), "{status}");
        settled(cluster, 1, 3)?;
        throughout(Duration::from_secs(5), "a unit was stopped", || {
            let now = runs(cluster, &YOUNGER)?;
            ensure!(now == younger, "before: {younger:#?}\nnow: {now:#?}");
            kept.untouched()
        })?;
        // As the backup says.
        once(cluster, &["u@9.service"])?;
        kept.settles(1, &[])?;

        // Not even a fleetd that knows of it only what it wrote down.
        for node in cluster.nodes() {
            node.exec(["systemctl", "restart", "fleet.service"])?.ok()?;
        }
        settled(cluster, 1, 3)?;
        person.fleetctl("start u@10.service")?;
        throughout(Duration::from_secs(3), "a unit was stopped", || {
            ensure!(runs(cluster, &YOUNGER)? == younger);
            kept.untouched()
        })?;
        Ok(())
    });
}
