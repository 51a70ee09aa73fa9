//! fleetd is replaced by another version of itself, machine by machine.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::Cluster;
use fleet_tests::find_program;
use fleet_tests::lab::FileSpec;

use crate::support::{Person, Watched, leader, machines, settled, telling, until};

const UNITS: [&str; 6] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service", "u@5.service", "u@6.service"];

/// Where the new version lies on every machine before it is installed.
const NEW: &str = "/root/fleetd";

/// An operator would lose the courage to upgrade: what a package does on every machine, the leader's included, touches no
/// unit; and while versions are mixed, the cluster works and says which machine has which.
#[test]
fn fleetd_is_upgraded_under_running_units() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = another_version(dir.path()).unwrap();
    let file = FileSpec::executable(NEW, dir.path().join("fleetd"));
    Cluster::builder().machines(3).agent_ttl("4s").lab(|lab| lab.file(file)).run(|cluster| {
        settled(cluster, 1, 3)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        let person = Person::at(cluster, 1);
        assert!(!person.fleetctl("cluster status")?.contains(&new));

        // The one that decides first, so that another one takes over from a newer version.
        let first = until("no machine leads", || leader(cluster, 1))?;
        let order: Vec<u8> = [first].into_iter().chain((1..=3).filter(|&n| n != first)).collect();
        for machine in &order {
            let node = cluster.node(*machine);
            node.exec(["install", "-m", "0755", NEW, "/usr/bin/fleetd"])?.ok()?;
            node.exec(["systemctl", "try-restart", "fleet.service"])?.ok()?;
            until("the new version is not seen", || {
                let list = machines(cluster, 1)?;
                let seen = list.machines.iter().find(|seen| seen.id == node.machine_id()).context("it is not there")?;
                ensure!(!list.stale && seen.version == new, "{list:?}");
                Ok(())
            })?;
            settled(cluster, 1, 3)?;
            watched.untouched().with_context(|| format!("after machine {machine} was upgraded"))?;

            let status = until("nothing is said of the cluster", || person.fleetctl("cluster status"))?;
            let mixed = status.contains(&format!("{old} on ")) && status.contains(&format!("{new} on "));
            assert_eq!(mixed, Some(machine) != order.last(), "{status}");
            // What is decided by either is done by either.
            let (unit, on) = (format!("u@1{machine}.service"), cluster.node(*machine).machine_id());
            let pinned = format!("{}[X-Fleet]\nMachineID={on}\n", telling(""));
            person.save(&unit, pinned)?;
            person.fleetctl(&format!("start {unit}"))?;
        }
        watched.settles(1, &[])?;
        Ok(())
    });
}

/// The fleetd under test with another version written into it, as long as its own: both versions.
fn another_version(dir: &Path) -> Result<(String, String)> {
    let old = env!("CARGO_PKG_VERSION");
    let new = old.replacen('2', "3", 1);
    let rename = format!("s/{}/{new}/g", old.replace('.', "[.]"));
    let out = File::create(dir.join("fleetd"))?;
    let sed = Command::new("sed").env("LC_ALL", "C").arg(rename).arg(find_program("fleetd")?).stdout(out).status()?;
    ensure!(sed.success(), "sed failed: {sed}");
    Ok((old.to_owned(), new))
}
