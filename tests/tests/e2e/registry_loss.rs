//! The machine that carries the embedded registry goes and comes back.

use std::time::Duration;

use anyhow::{Context, ensure};
use fleet_tests::cluster::{Cluster, Registry};

use crate::support::{Person, Watched, once, settled, throughout, until};

const UNITS: [&str; 6] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service", "u@5.service", "u@6.service"];

/// The owner of a first cluster, with the registry on one of its machines, would lose what runs on the others when that
/// machine is restarted or loses its power; or the cluster for good, if it did not heal afterwards. The others joined it
/// with a token, which they need once: a machine that needed it again would be lost with its next restart.
#[test]
fn the_registrys_machine_is_lost_and_returns() {
    Cluster::builder().machines(3).registry(Registry::Joined).agent_ttl("2s").run(|cluster| {
        settled(cluster, 2, 3)?;
        let person = Person::at(cluster, 2);
        let words = person.refused(1, "registry token")?;
        ensure!(words.contains("the registry does not run on this machine"), "{words}");
        for machine in [2, 3] {
            cluster.node(machine).exec(["rm", "/etc/fleet/token"])?.ok()?;
            cluster.node(machine).exec(["systemctl", "restart", "fleet"])?.ok()?;
        }
        settled(cluster, 2, 3)?;
        let watched = Watched::start(cluster, 2, &UNITS)?;
        let carrier = cluster.node(1);
        let lost = watched.on(1)?;
        let elsewhere: Vec<&str> = UNITS.into_iter().filter(|unit| !lost.contains(unit)).collect();

        // The registry's process alone, for as long as it takes to restart.
        carrier.exec(["systemctl", "restart", "fleet"])?.ok()?;
        cluster.wait_machines(3)?;
        throughout(Duration::from_secs(4), "units were touched", || watched.untouched())?;
        person.fleetctl("start u@7.service")?;
        person.fleetctl("destroy u@7.service")?;

        // Its whole machine, for several leases.
        carrier.power_off_hard()?;
        throughout(Duration::from_secs(6), "units elsewhere were touched", || watched.untouched_but(&lost))?;
        carrier.boot()?;
        cluster.wait_machines(3)?;
        throughout(Duration::from_secs(4), "units elsewhere were touched", || watched.untouched_but(&lost))?;

        // It heals: what was lost with that machine runs again, once; and what was acknowledged is known.
        watched.settles(2, &lost)?;
        let known = until("list-unit-files does not answer", || person.fleetctl("list-unit-files --no-legend"))?;
        for unit in UNITS.iter().chain(&["u@.service"]) {
            assert!(known.contains(unit), "the registry forgot {unit}:\n{known}");
        }
        person.fleetctl("start u@8.service")?;
        once(cluster, &["u@8.service"])?;
        let unit = elsewhere.first().context("nothing ran elsewhere")?;
        person.fleetctl(&format!("destroy {unit}"))?;
        assert_eq!(cluster.running_on(unit), Vec::<u8>::new());
        Ok(())
    });
}
