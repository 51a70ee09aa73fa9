//! `OnDisconnect=stop`: a unit that never runs twice, whatever happens to its machine's fleetd and network.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::{Cluster, Registry};

use crate::support::{Person, SLEEPER, until, within};

/// What every machine of these tests has.
const LEASE: Duration = Duration::from_secs(4);

/// Machines of these tests share two cores.
const SLACK: Duration = Duration::from_secs(6);

/// One that may never run twice: it stops at once, which bounds its stop at 4 × 0.5 s + 1 s.
fn single(lines: &str) -> String {
    format!("{SLEEPER}TimeoutStopSec=500ms\n{lines}\n[X-Fleet]\nOnDisconnect=stop\n")
}

/// The machine where a unit runs.
fn host(cluster: &Cluster, unit: &str) -> Result<u8> {
    within(Duration::from_secs(60), "the unit does not run", || {
        let on = cluster.running_on(unit);
        ensure!(on.len() == 1, "{unit} runs on {on:?}");
        Ok(on[0])
    })
}

/// Somebody's database would have two writers: fleetd hangs, and a new machine is given the unit while the old one runs
/// it. systemd stops it before the lease has ended, without fleetd; a unit beside it that does not ask for this is not
/// touched.
#[test]
fn a_machine_whose_fleetd_hangs_has_stopped_its_unit_before_another_starts_it() {
    Cluster::builder().machines(3).registry(Registry::Etcd(1)).agent_ttl("4s").run(|cluster| {
        cluster.wait_machines(3)?;
        let person = Person::at(cluster, 1);
        person.save("db.service", single(""))?;
        person.save("kept@.service", SLEEPER)?;
        person.fleetctl("start db.service")?;
        let old = host(cluster, "db.service")?;
        let node = cluster.node(old);
        person.save("kept.service", format!("{SLEEPER}[X-Fleet]\nMachineID={}\n", node.machine_id()))?;
        person.fleetctl("start kept.service")?;
        let kept = node.processes_of("kept.service");

        let begin = Instant::now();
        node.pause("fleetd")?;
        within(LEASE, "the unit is not stopped within its lease", || {
            ensure!(node.processes_of("db.service").is_empty(), "it runs");
            Ok(())
        })?;
        let stopped = begin.elapsed();
        let witness = cluster.nodes().map(|node| node.number()).find(|n| *n != old).context("no other machine")?;
        within(LEASE + SLACK, "the unit does not run elsewhere", || {
            let on = cluster.running_on("db.service");
            ensure!(on.len() == 1 && on[0] != old, "it runs on {on:?}");
            Ok(())
        })?;
        println!("stopped {stopped:?} and running elsewhere {:?} after its fleetd hung", begin.elapsed());
        assert_eq!(node.processes_of("kept.service"), kept, "a unit that is to be kept was touched");
        node.resume("fleetd")?;
        until("the machine does not come back", || {
            let list = Person::at(cluster, witness).fleetctl("list-machines --no-legend --full")?;
            ensure!(list.lines().count() == 3, "{list}");
            Ok(())
        })
    });
}
