//! Machines that lose their power.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::{Cluster, Registry};

use crate::support::{Person, Watched, leader, once, settled, until, within};

const UNITS: [&str; 8] = [
    "u@1.service",
    "u@2.service",
    "u@3.service",
    "u@4.service",
    "u@5.service",
    "u@6.service",
    "u@7.service",
    "u@8.service",
];

const LEASE: Duration = Duration::from_secs(4);

/// Beside the lease: etcd lets half a second pass before it takes it away, and the machines of this test share two cores.
const SLACK: Duration = Duration::from_secs(4);

/// Everybody would lose what fleet is for. The machine that decides loses its power: what ran there runs elsewhere
/// after the lease, and nothing else is touched; once it is back, it has nothing twice.
#[test]
fn units_of_the_leaders_machine_run_elsewhere_after_its_power_loss() {
    Cluster::builder().machines(4).registry(Registry::Etcd(3)).agent_ttl("4s").run(|cluster| {
        settled(cluster, 1, 4)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        let lost = until("no machine leads", || leader(cluster, 1))?;
        let witness = cluster.nodes().map(|node| node.number()).find(|&n| n != lost).context("no machine is left")?;

        lose(cluster, &watched, &[lost], witness)?;
        assert_ne!(until("no machine leads", || leader(cluster, witness))?, lost);

        cluster.node(lost).boot()?;
        settled(cluster, witness, 4)?;
        Person::at(cluster, witness).fleetctl("start u@9.service")?;
        let next = once(cluster, &["u@9.service"])?;
        assert_eq!(next["u@9.service"].machine, lost, "the empty machine is given the next");
        watched.settles(witness, &watched.on(lost)?)?;
        Ok(())
    });
}

/// The same for a machine that only runs units.
#[test]
fn units_of_an_agents_machine_run_elsewhere_after_its_power_loss() {
    Cluster::builder().machines(3).agent_ttl("4s").run(|cluster| {
        settled(cluster, 1, 3)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        // Neither the registry's machine nor the one that decides.
        let leads = until("no machine leads", || leader(cluster, 1))?;
        let lost = if leads == 2 { 3 } else { 2 };
        lose(cluster, &watched, &[lost], 1)?;

        cluster.node(lost).boot()?;
        settled(cluster, 1, 3)?;
        watched.settles(1, &watched.on(lost)?)?;
        Ok(())
    });
}

/// Whoever loses a rack would wait for a person to release a brake that is there for the loss of most machines: of five,
/// two are lost at once, and what ran there moves as after the loss of one.
#[test]
fn units_of_two_machines_of_five_move_at_once() {
    Cluster::builder().machines(5).agent_ttl("4s").run(|cluster| {
        settled(cluster, 1, 5)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        lose(cluster, &watched, &[4, 5], 1)?;
        assert!(Person::at(cluster, 1).fleetctl("brake")?.contains("off"));

        for machine in [4, 5] {
            cluster.node(machine).boot()?;
        }
        settled(cluster, 1, 5)?;
        let moved: Vec<&str> = watched.on(4)?.into_iter().chain(watched.on(5)?).collect();
        watched.settles(1, &moved)?;
        Ok(())
    });
}

/// Cuts the power of these machines, and waits until what they ran runs elsewhere: after the lease, and not before.
fn lose(cluster: &Cluster, watched: &Watched<'_>, lost: &[u8], witness: u8) -> Result<()> {
    let mut moving = Vec::new();
    for machine in lost {
        moving.extend(watched.on(*machine)?);
    }
    let begin = Instant::now();
    for machine in lost {
        cluster.node(*machine).power_off_hard()?;
    }
    within(LEASE + SLACK, "units do not run elsewhere in time", || {
        moving.iter().try_for_each(|unit| {
            let on = cluster.running_on(unit);
            ensure!(on.len() == 1, "{unit} runs on {on:?}");
            Ok(())
        })
    })?;
    let took = begin.elapsed();
    ensure!(took > LEASE / 2, "moved after {took:?}: before the lease could have run out");
    watched.settles(witness, &moving)?;
    Ok(())
}
