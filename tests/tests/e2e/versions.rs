//! This version of fleet and the next one in one cluster, whose registry both write.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use fleet_tests::cluster::{Cluster, Registry};
use fleet_tests::find_program;
use fleet_tests::lab::FileSpec;
use fleet_tests::next::{FIELD, VERSION};
use serde_json::Value;

use crate::support::{Person, SLEEPER, Stored, Watched, leader, machines, once, settled, until};

const UNITS: [&str; 6] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service", "u@5.service", "u@6.service"];
const MACHINES: [u8; 3] = [1, 2, 3];

/// Where both versions lie on every machine. The next one is an example of this package: `cargo build --examples`.
const THIS: &str = "/root/fleetd-this";
const NEXT: &str = "/root/fleetd-next";

/// An operator who upgrades machine by machine, or goes back on one of them, would lose what the next version wrote as soon
/// as this one writes the same record: a promise to a unit, half kept. Whoever leads and whoever is asked, what only the
/// next version knows is still there, the skew is shown, and no unit is touched.
#[test]
fn what_the_next_version_wrote_survives_this_one() {
    let this = FileSpec::executable(THIS, find_program("fleetd").unwrap());
    let next = FileSpec::executable(NEXT, find_program("examples/fleetd-next").unwrap());
    let builder = Cluster::builder().machines(3).registry(Registry::Etcd(1)).agent_ttl("4s");
    builder.lab(|lab| lab.file(this).file(next)).run(|cluster| {
        settled(cluster, 1, 3)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        // The first machine is upgraded, the others are not.
        install(cluster, 1, NEXT)?;
        both_write(cluster, "up", &[1], &[2, 3])?;
        watched.untouched().context("after one machine was upgraded")?;
        install(cluster, 2, NEXT)?;
        install(cluster, 3, NEXT)?;
        ensure!(!skewed(cluster)?, "all machines have the next version");
        // One goes back.
        install(cluster, 2, THIS)?;
        both_write(cluster, "down", &[1, 3], &[2])?;
        watched.settles(1, &[])?;
        Ok(())
    });
}

/// Puts a version where a package puts it, as it does.
fn install(cluster: &Cluster, machine: u8, version: &str) -> Result<()> {
    let node = cluster.node(machine);
    node.exec(["install", "-m", "0755", version, "/usr/bin/fleetd"])?.ok()?;
    node.exec(["systemctl", "try-restart", "fleet.service"])?.ok()?;
    let expected = if version == NEXT { VERSION } else { env!("CARGO_PKG_VERSION") };
    until("the version is not seen", || {
        let list = machines(cluster, machine)?;
        let seen = list.machines.iter().find(|seen| seen.id == node.machine_id()).context("it is not there")?;
        ensure!(!list.stale && seen.version == expected, "{list:?}");
        Ok(())
    })?;
    settled(cluster, machine, MACHINES.len())
}

/// Whether versions are said to be mixed.
fn skewed(cluster: &Cluster) -> Result<bool> {
    let status = until("nothing is said of the cluster", || Person::at(cluster, 1).fleetctl("cluster status"))?;
    Ok(status.contains(&format!("{VERSION} on ")) && status.contains(&format!("{} on ", env!("CARGO_PKG_VERSION"))))
}

/// The next version writes every record that is ever written again, and then this one does.
fn both_write(cluster: &Cluster, round: &str, next: &[u8], this: &[u8]) -> Result<()> {
    ensure!(skewed(cluster)?, "the skew is not shown");
    let stored = Stored::of(cluster)?;
    led_by(cluster, next)?;
    let theirs = start_everywhere(cluster, next[0], &format!("{round}-next"))?;
    let operator = format!("operator/{}", cluster.node(3).machine_id());
    let role = |role: &str| format!("machine metadata {} role={role}", cluster.node(3).machine_id());
    Person::at(cluster, next[0]).fleetctl(&role("next"))?;
    let kept: Vec<String> = theirs.iter().map(|unit| format!("units/{unit}")).chain([operator.clone()]).collect();
    for key in &kept {
        ensure!(record(stored, key)?[FIELD].is_object(), "the next version did not write {key}");
    }
    let before = given(stored, cluster)?;
    ensure!(theirs.iter().all(|unit| before.contains(unit)), "the next version did not assign {theirs:?}: {before:?}");

    led_by(cluster, this)?;
    // The same texts as before, so that those are touched, too.
    let ours = start_everywhere(cluster, this[0], &format!("{round}-this"))?;
    let person = Person::at(cluster, this[0]);
    person.fleetctl(&role("this"))?;
    person.fleetctl(&format!("restart {}", theirs.join(" ")))?;
    let after = given(stored, cluster)?;
    ensure!(after.is_superset(&before), "lost of schedules: {:?}", before.difference(&after));
    ensure!(ours.iter().all(|unit| !after.contains(unit)), "this version did not assign {ours:?}: {after:?}");
    for key in kept.iter().chain(&stored.keys("contents/")?) {
        // Texts that this version wrote first are its own.
        let record = record(stored, key)?;
        let own = record["text"].as_str().is_some_and(|text| !text.contains("MachineID="));
        ensure!(own || record[FIELD].is_object(), "lost of {key}: {record}");
    }
    ensure!(record(stored, &operator)?["metadata"]["role"] == "this", "this version did not write {operator}");
    let written = record(stored, &kept[0])?;
    ensure!(written["restarts"] == 1, "this version did not write {}: {written}", kept[0]);
    Ok(())
}

/// Starts a unit on each machine, from this one.
fn start_everywhere(cluster: &Cluster, from: u8, name: &str) -> Result<Vec<String>> {
    let person = Person::at(cluster, from);
    let mut units = Vec::new();
    for machine in MACHINES {
        let unit = format!("{name}-{machine}.service");
        let pinned = format!("{SLEEPER}[X-Fleet]\nMachineID={}\n", cluster.node(machine).machine_id());
        person.save(&unit, pinned)?;
        units.push(unit);
    }
    person.fleetctl(&format!("start {}", units.join(" ")))?;
    let names: Vec<&str> = units.iter().map(String::as_str).collect();
    once(cluster, &names)?;
    Ok(units)
}

/// One of these machines leads. A fleetd that restarts hands over.
fn led_by(cluster: &Cluster, wanted: &[u8]) -> Result<()> {
    // Each that restarts stands in line again, behind the others or not far from it.
    for _ in 0..12 {
        let leads = until("no machine leads", || leader(cluster, wanted[0]))?;
        if wanted.contains(&leads) {
            return settled(cluster, wanted[0], MACHINES.len());
        }
        cluster.node(leads).exec(["systemctl", "restart", "fleet.service"])?.ok()?;
        until("no other takes over", || {
            ensure!(leader(cluster, wanted[0])? != leads);
            Ok(())
        })?;
        settled(cluster, wanted[0], MACHINES.len())?;
    }
    bail!("none of {wanted:?} leads")
}

/// What of the schedules says more than this version knows: machines, and units of theirs.
fn given(stored: Stored<'_>, cluster: &Cluster) -> Result<BTreeSet<String>> {
    let mut given = BTreeSet::new();
    for node in cluster.nodes() {
        let schedule = record(stored, &format!("schedule/{}", node.machine_id()))?;
        given.extend(schedule[FIELD].is_object().then(|| node.machine_id()));
        let units = schedule["units"].as_object().with_context(|| format!("{schedule} lists no units"))?;
        given.extend(units.iter().filter(|(_, unit)| unit[FIELD].is_object()).map(|(name, _)| name.clone()));
    }
    Ok(given)
}

fn record(stored: Stored<'_>, key: &str) -> Result<Value> {
    let value = stored.get(key)?.with_context(|| format!("there is no {key}"))?;
    serde_json::from_str(&value).with_context(|| format!("{key} is no JSON: {value}"))
}
