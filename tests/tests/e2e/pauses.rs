//! Processes that stand still without knowing it, and go on as if no time had passed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::{Cluster, Registry};

use crate::support::{Person, SLEEPER, Watched, leader, once, runs, settled, throughout, until};

const UNITS: [&str; 6] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service", "u@5.service", "u@6.service"];

/// A person would have units twice for good where fleetd hung for a while (a disk that does not answer, a machine that
/// swaps): what it had is given to others after the lease, and once it goes on it gives that up, and nothing else.
#[test]
fn a_fleetd_that_stood_still_gives_up_what_others_have() {
    Cluster::builder().machines(3).agent_ttl("2s").run(|cluster| {
        settled(cluster, 1, 3)?;
        let person = Person::at(cluster, 1);
        let pinned = format!("{SLEEPER}[X-Fleet]\nMachineID={}\n", cluster.node(2).machine_id());
        person.save("pinned.service", pinned)?;
        person.fleetctl("start pinned.service")?;
        let pinned = once(cluster, &["pinned.service"])?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        let moving = watched.on(2)?;

        cluster.node(2).pause("fleetd")?;
        watched.loses_touch(2);
        until("units are not given to others", || doubled(cluster, &moving, 2))?;
        cluster.node(2).resume("fleetd")?;
        watched.settles(1, &moving)?;
        settled(cluster, 1, 3)?;
        assert_eq!(runs(cluster, &["pinned.service"])?, pinned, "what is still its own was touched");
        Ok(())
    });
}

/// Everybody would lose what they rely on if two machines decided at once: a leader that stood still for longer than its
/// lease goes on in the middle of what it was about to write, and nothing of that is written any more.
#[test]
fn a_leader_that_stood_still_decides_nothing_any_more() {
    Cluster::builder().machines(4).registry(Registry::Etcd(1)).agent_ttl("2s").run(|cluster| {
        settled(cluster, 1, 4)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        let old = until("no machine leads", || leader(cluster, 1))?;
        let moving = watched.on(old)?;
        let witness = cluster.nodes().map(|node| node.number()).find(|&n| n != old).context("no machine is left")?;
        let person = Person::at(cluster, witness);

        // It has something to decide when it stops: units that it was asked for a moment ago.
        let new: Vec<String> = (10..30).map(|i| format!("u@{i}.service")).collect();
        let start = person.follows(&format!("start --no-block {}", new.join(" ")))?;
        cluster.node(old).pause("fleetd")?;
        watched.loses_touch(old);
        until("its units are not given to others", || doubled(cluster, &moving, old))?;
        let leads = until("no other machine leads", || {
            let leads = leader(cluster, witness)?;
            ensure!(leads != old);
            Ok(leads)
        })?;
        drop(start);
        person.fleetctl(&format!("start --no-block {}", new.join(" ")))?;
        let names: Vec<&str> = new.iter().map(String::as_str).collect();
        let others = || names.iter().copied().filter(|unit| cluster.running_on(unit).iter().any(|&n| n != old)).count();
        until("new units do not run", || {
            ensure!(others() == names.len(), "{} of {}", others(), names.len());
            Ok(())
        })?;

        cluster.node(old).resume("fleetd")?;
        settled(cluster, witness, 4)?;
        let after = watched.settles(witness, &moving)?;
        assert!(after.values().all(|run| run.machine != old), "{after:?}");
        let after = once(cluster, &names)?;
        throughout(Duration::from_secs(3), "units were moved again", || {
            ensure!(runs(cluster, &names)? == after);
            watched.untouched_but(&moving)
        })?;
        assert_eq!(leader(cluster, witness)?, leads, "the old leader took over again");
        Ok(())
    });
}

/// The owner of a first cluster would lose what runs everywhere when the registry's machine hangs: for several leases
/// nobody can renew anything, and then all leases are over at once. Nothing is touched, and all goes on.
#[test]
fn a_registry_that_stood_still_moves_nothing() {
    Cluster::builder().machines(3).agent_ttl("2s").run(|cluster| {
        settled(cluster, 1, 3)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        cluster.node(1).pause("fleetd")?;
        throughout(Duration::from_secs(6), "a unit was touched during the pause", || watched.untouched())?;
        cluster.node(1).resume("fleetd")?;
        settled(cluster, 2, 3)?;
        throughout(Duration::from_secs(4), "a unit was touched after the pause", || watched.untouched())?;
        Person::at(cluster, 2).fleetctl("start u@7.service")?;
        once(cluster, &["u@7.service"])?;
        watched.settles(2, &[])?;
        Ok(())
    });
}

/// Each of the units runs on this machine still, and on another one.
fn doubled(cluster: &Cluster, units: &[&str], machine: u8) -> Result<()> {
    units.iter().try_for_each(|unit| {
        let on = cluster.running_on(unit);
        ensure!(on.len() == 2 && on.contains(&machine), "{unit} runs on {on:?}");
        Ok(())
    })
}
