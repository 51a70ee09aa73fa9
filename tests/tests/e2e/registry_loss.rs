//! The machine that carries the embedded registry goes and comes back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::Cluster;

use crate::support::{Person, Runs, SLEEPER, once, runs, throughout, until};

const UNITS: [&str; 6] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service", "u@5.service", "u@6.service"];

/// The owner of a first cluster, with the registry on one of its machines, would lose what runs on the others when that
/// machine is restarted or loses its power; or the cluster for good, if it did not heal afterwards.
#[test]
fn the_registrys_machine_is_lost_and_returns() {
    Cluster::builder().machines(3).agent_ttl("2s").run(|cluster| {
        cluster.wait_machines(3)?;
        let person = Person::at(cluster, 2);
        person.save("u@.service", SLEEPER)?;
        person.fleetctl("submit u@.service")?;
        person.fleetctl(&format!("start {}", UNITS.join(" ")))?;
        let before = once(cluster, &UNITS)?;
        let carrier = cluster.node(1);
        assert!(before.values().any(|run| run.machine == 1), "nothing runs beside the registry: {before:?}");

        // The registry's process alone, for as long as it takes to restart.
        carrier.exec(["systemctl", "restart", "fleet"])?.ok()?;
        cluster.wait_machines(3)?;
        throughout(Duration::from_secs(4), "units were touched", || unchanged(cluster, &before))?;
        person.fleetctl("start u@7.service")?;
        person.fleetctl("destroy u@7.service")?;

        // Its whole machine, for several leases.
        let elsewhere: Runs =
            before.iter().filter(|(_, run)| run.machine != 1).map(|(unit, run)| (unit.clone(), run.clone())).collect();
        carrier.power_off_hard()?;
        throughout(Duration::from_secs(6), "units elsewhere were touched", || unchanged(cluster, &elsewhere))?;
        carrier.boot()?;
        cluster.wait_machines(3)?;
        throughout(Duration::from_secs(4), "units elsewhere were touched", || unchanged(cluster, &elsewhere))?;

        // It heals: what was lost with that machine runs again, once; and what was acknowledged is known.
        once(cluster, &UNITS)?;
        let known = until("list-unit-files does not answer", || person.fleetctl("list-unit-files --no-legend"))?;
        for unit in UNITS.iter().chain(&["u@.service"]) {
            assert!(known.contains(unit), "the registry forgot {unit}:\n{known}");
        }
        person.fleetctl("start u@8.service")?;
        once(cluster, &["u@8.service"])?;
        let (unit, _) = elsewhere.first_key_value().context("nothing ran elsewhere")?;
        person.fleetctl(&format!("destroy {unit}"))?;
        assert_eq!(cluster.running_on(unit), Vec::<u8>::new());
        Ok(())
    });
}

fn unchanged(cluster: &Cluster, before: &Runs) -> Result<()> {
    let units: Vec<&str> = before.keys().map(String::as_str).collect();
    let now = runs(cluster, &units)?;
    ensure!(now == *before, "before: {before:#?}\nnow: {now:#?}");
    Ok(())
}
