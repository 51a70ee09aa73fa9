//! Where units run.

use anyhow::{Result, ensure};
use fleet_tests::cluster::Cluster;

use crate::planning::{planned, rebalanced};
use crate::support::{Person, once, patch_metadata, sleeper_with, until};

/// A person would lose the say over where things run: on every machine, on this one, beside that unit, where there is
/// a disk of that kind, or apart from each other.
#[test]
fn units_run_where_their_files_ask_for() {
    let builder = Cluster::builder().machines(3).without_fleetd_at_boot();
    builder.metadata_on(1, "zone=a").metadata_on(2, "zone=b,disk=ssd").metadata_on(3, "zone=a,disk=ssd").run(
        |cluster| {
            // The third machine joins later.
            for machine in 1..=2 {
                start_fleetd(cluster, machine)?;
            }
            cluster.wait_machines(2)?;
            let person = Person::at(cluster, 1);
            assert!(person.fleetctl("list-machines")?.contains("disk=ssd,zone=b"));

            person.save("everywhere.service", sleeper_with("Global=true"))?;
            person.save("in-a.service", sleeper_with("Global=true\nMachineMetadata=zone=a"))?;
            let said = person.fleetctl("start everywhere.service in-a.service")?;
            assert!(said.contains("Triggered global unit everywhere.service start"), "{said}");
            wait_on(cluster, "everywhere.service", &[1, 2])?;
            wait_on(cluster, "in-a.service", &[1])?;

            // Loads: machine 1 has two global units, machine 2 has one; so `here` would not come to machine 1 by itself.
            person.save("here.service", sleeper_with(&format!("MachineID={}", cluster.node(1).machine_id())))?;
            person.save("beside.service", sleeper_with("MachineOf=here.service"))?;
            person.save("ssd.service", sleeper_with("MachineMetadata=disk=ssd"))?;
            person.save("both.service", sleeper_with("MachineMetadata=zone=a\nMachineMetadata=disk=ssd"))?;
            person.fleetctl("start beside.service here.service ssd.service")?;
            let runs = once(cluster, &["here.service", "beside.service", "ssd.service"])?;
            assert_eq!(
                [runs["here.service"].machine, runs["beside.service"].machine, runs["ssd.service"].machine],
                [1, 1, 2]
            );
            // Nowhere yet, and it says so.
            let said = person.refused(1, "start --block-attempts=1 both.service")?;
            assert!(said.contains("1 of 2 lacks disk=ssd") && said.contains("1 of 2 lacks zone=a"), "{said}");
            explained(cluster)?;

            start_fleetd(cluster, 3)?;
            wait_on(cluster, "everywhere.service", &[1, 2, 3])?;
            wait_on(cluster, "in-a.service", &[1, 3])?;
            wait_on(cluster, "both.service", &[3])?;
            assert_eq!(
                once(cluster, &["here.service", "beside.service", "ssd.service"])?,
                runs,
                "a new machine moved units"
            );
            let list = person.fleetctl("list-units --no-legend")?;
            assert_eq!(list.lines().filter(|line| line.starts_with("everywhere.service")).count(), 3, "{list}");

            apart(cluster, person)?;
            planned(cluster, person)?;
            rebalanced(cluster, person)?;

            // A machine that changes loses what it no longer fits, and keeps the rest.
            patch_metadata(cluster, 3, "zone", "c")?;
            wait_on(cluster, "in-a.service", &[1])?;
            wait_on(cluster, "both.service", &[])?;
            wait_on(cluster, "everywhere.service", &[1, 2, 3])?;

            person.fleetctl("destroy everywhere.service")?;
            wait_on(cluster, "everywhere.service", &[])
        },
    );
}

/// Any fleetd says why a unit is where it is, and why another is nowhere; the leader's is one of the two.
fn explained(cluster: &Cluster) -> Result<()> {
    let [first, second] = [1, 2].map(|node| cluster.node(node).machine_id().to_string());
    for machine in 1..=2 {
        let person = Person::at(cluster, machine);
        let said = person.fleetctl("explain both.service")?;
        for words in [
            "both.service: no machine: 1 of 2 lacks disk=ssd, 1 of 2 lacks zone=a".to_owned(),
            format!("1 machine lacks disk=ssd: {}...", &first[..8]),
            format!("1 machine lacks zone=a: {}...", &second[..8]),
        ] {
            ensure!(said.contains(&words), "machine {machine} does not say {words:?}: {said}");
        }
        let said = person.fleetctl("explain -o json ssd.service")?;
        let found: serde_json::Value = serde_json::from_str(&said)?;
        ensure!(found["decision"] == "placed" && found["places"][0]["id"] == second.as_str(), "{said}");
        ensure!(found["placedAnew"]["reason"] == "no other machine can take it", "{said}");
        ensure!(found["rejections"][0]["reason"] == "lacks disk=ssd", "{said}");
    }
    Ok(())
}

/// One instance a machine, and not one more.
fn apart(cluster: &Cluster, person: Person<'_>) -> Result<()> {
    person.save("apart@.service", sleeper_with("Conflicts=apart@*.service"))?;
    person.fleetctl("start apart@1 apart@2 apart@3")?;
    let runs = once(cluster, &["apart@1.service", "apart@2.service", "apart@3.service"])?;
    let mut machines: Vec<u8> = runs.values().map(|run| run.machine).collect();
    machines.sort_unstable();
    assert_eq!(machines, [1, 2, 3]);
    let said = person.refused(1, "start --block-attempts=1 apart@4")?;
    assert!(said.contains("unscheduled"), "{said}");
    assert_eq!(cluster.running_on("apart@4.service"), Vec::<u8>::new());
    Ok(())
}

fn start_fleetd(cluster: &Cluster, machine: u8) -> Result<()> {
    cluster.node(machine).exec(["systemctl", "start", "fleet.socket", "fleet.service"])?.ok()?;
    Ok(())
}

fn wait_on(cluster: &Cluster, unit: &str, machines: &[u8]) -> Result<()> {
    until("the unit is elsewhere", || {
        let on = cluster.running_on(unit);
        ensure!(on == machines, "{unit} runs on {on:?}, not on {machines:?}");
        Ok(())
    })
}
