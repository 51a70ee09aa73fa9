//! Disks that get full, and have room again.

use std::time::Duration;

use anyhow::{Result, ensure};
use fleet_tests::cluster::Cluster;

use crate::support::{Person, Watched, once, settled, telling, throughout, until};

const UNITS: [&str; 4] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service"];

/// Room for what is there at first, and for nothing that a test writes beside it.
const SMALL: u64 = 4 << 20;

/// A person would see a unit that does not start and look for the reason for an hour: where its file cannot be written,
/// fleet names file and reason, goes on with everything else, and starts the unit once there is room.
#[test]
fn a_full_folder_of_units_stops_nothing_and_is_named() {
    let folder = "/run/fleet/units";
    Cluster::builder().machines(2).agent_ttl("2s").lab(|lab| lab.small_folder(2, folder, SMALL)).run(|cluster| {
        settled(cluster, 1, 2)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        watched.on(2)?;
        fill(cluster, 2, folder)?;
        let person = Person::at(cluster, 1);
        let pinned = telling("") + &format!("[X-Fleet]\nMachineID={}\n", cluster.node(2).machine_id());
        person.save("p@.service", pinned)?;
        let said = person.refused(1, "start --block-attempts=3 p@1.service")?;
        let named = said.contains(&format!("{folder}/")) && said.contains("No space left on device");
        ensure!(named, "neither the file nor the reason is named:\n{said}");
        // Others of the cluster, and what runs there already, go on; nobody takes the machine for lost.
        person.fleetctl("start u@5.service u@6.service --block-attempts=2").ok();
        throughout(Duration::from_secs(3), "a unit was touched", || watched.untouched())?;
        settled(cluster, 1, 2)?;
        // Even a new fleetd on that machine touches nothing.
        cluster.node(2).exec(["systemctl", "restart", "fleet.service"])?.ok()?;
        settled(cluster, 1, 2)?;
        watched.untouched()?;

        make_room(cluster, 2, folder)?;
        once(cluster, &["p@1.service", "u@5.service", "u@6.service"])?;
        watched.settles(1, &[])?;
        person.fleetctl("destroy p@1.service u@5.service u@6.service")?;
        Ok(())
    });
}

/// A person would lose what runs, or the machine: where fleetd cannot remember anything, it says so, and does its work.
#[test]
fn a_full_state_folder_stops_nothing_and_is_named() {
    let folder = "/var/lib/fleet";
    Cluster::builder().machines(2).agent_ttl("2s").lab(|lab| lab.small_folder(2, folder, SMALL)).run(|cluster| {
        settled(cluster, 1, 2)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        let on = watched.on(2)?;
        fill(cluster, 2, folder)?;
        let person = Person::at(cluster, 1);
        let pinned = telling("") + &format!("[X-Fleet]\nMachineID={}\n", cluster.node(2).machine_id());
        person.save("p@.service", pinned)?;
        person.fleetctl("start p@1.service")?;
        person.fleetctl("destroy p@1.service")?;
        until("the file and the reason are not named", || {
            let log = log(cluster, 2)?;
            ensure!(log.contains(&format!("{folder}/")) && log.contains("No space left on device"), "{log}");
            Ok(())
        })?;
        watched.untouched()?;
        cluster.node(2).exec(["systemctl", "restart", "fleet.service"])?.ok()?;
        settled(cluster, 1, 2)?;
        throughout(Duration::from_secs(3), "a unit was touched", || watched.untouched())?;
        person.fleetctl("start p@2.service")?;
        once(cluster, &["p@2.service"])?;

        make_room(cluster, 2, folder)?;
        cluster.node(2).exec(["systemctl", "restart", "fleet.service"])?.ok()?;
        settled(cluster, 1, 2)?;
        watched.settles(1, &[])?;
        person.fleetctl(&format!("destroy {}", on.join(" ")))?;
        Ok(())
    });
}

/// The owner of a first cluster would lose all that runs, or what was acknowledged: a registry whose disk is full refuses
/// changes and says why, and what runs goes on for as long as that takes; with room again, everything goes on.
#[test]
fn a_full_disk_of_the_registry_moves_nothing_and_is_named() {
    let folder = "/var/lib/fleet";
    Cluster::builder().machines(3).agent_ttl("2s").lab(|lab| lab.small_folder(1, folder, 16 << 20)).run(|cluster| {
        settled(cluster, 1, 3)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        let person = Person::at(cluster, 2);
        fill(cluster, 1, folder)?;
        let mut refused = String::new();
        // What the file has room for is taken.
        until("the registry does not get full", || {
            let text = format!("# {}\n{}", "x".repeat(900_000), telling(""));
            person.save("big.service", text)?;
            let submit = person.types("submit big.service")?;
            if submit.success() {
                person.fleetctl("destroy big.service")?;
            } else {
                refused = submit.stderr.clone();
            }
            ensure!(!submit.success(), "it takes more");
            Ok(())
        })?;
        ensure!(refused.contains("space"), "the reason is not named: {refused}");
        throughout(Duration::from_secs(5), "a unit was touched", || watched.untouched())?;
        let log = log(cluster, 1)?;
        ensure!(log.contains(folder) && log.contains("No space left on device"), "{log}");

        make_room(cluster, 1, folder)?;
        settled(cluster, 2, 3)?;
        until("changes are not taken again", || person.fleetctl("start u@5.service").map(drop))?;
        once(cluster, &["u@5.service"])?;
        watched.settles(2, &[])?;
        Ok(())
    });
}

const FILLER: &str = "filler";

/// Leaves no room in a folder that is a file system of its own.
fn fill(cluster: &Cluster, machine: u8, folder: &str) -> Result<()> {
    let file = format!("{folder}/{FILLER}");
    let script = r#"dd if=/dev/zero of="$0" bs=64k 2>&1; dd if=/dev/zero of="$0.rest" bs=1k 2>&1"#;
    let said = cluster.node(machine).exec(["sh", "-c", script, &file])?.stdout;
    ensure!(said.contains("No space left on device"), "{said}");
    Ok(())
}

fn make_room(cluster: &Cluster, machine: u8, folder: &str) -> Result<()> {
    let file = format!("{folder}/{FILLER}");
    cluster.node(machine).exec(["rm", &file, &format!("{file}.rest")])?.ok()?;
    Ok(())
}

fn log(cluster: &Cluster, machine: u8) -> Result<String> {
    cluster.node(machine).exec(["journalctl", "--no-pager", "-u", "fleet", "-o", "cat"])?.ok()
}
