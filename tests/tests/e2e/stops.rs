//! fleetd is stopped, or its machine is, in all the ways that are not for good, or take their time.

use std::time::Duration;

use anyhow::{Context, ensure};
use fleet_tests::cluster::{Cluster, Registry};

use crate::support::{Person, Watched, assert_never_two, leader, once, settled, spans, telling, throughout, until};

const UNITS: [&str; 6] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service", "u@5.service", "u@6.service"];

/// An operator would lose units to a package's upgrade: `try-restart`, which is what packages do, leaves them alone on
/// every machine, and so does a restart that comes while the last one is still going on.
#[test]
fn a_try_restart_on_every_machine_touches_nothing() {
    Cluster::builder().machines(3).agent_ttl("3s").run(|cluster| {
        settled(cluster, 1, 3)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        for node in cluster.nodes() {
            node.exec(["systemctl", "daemon-reload"])?.ok()?;
            node.exec(["systemctl", "try-restart", "fleet.service"])?.ok()?;
            node.exec(["systemctl", "try-restart", "--no-block", "fleet.service"])?.ok()?;
        }
        throughout(Duration::from_secs(4), "a unit was touched", || watched.untouched())?;
        settled(cluster, 1, 3)?;
        watched.settles(1, &[])?;
        Ok(())
    });
}

/// Whoever runs a unit that must not run twice would lose their data when its machine is switched off: a stop that takes
/// longer than the lease is awaited, however long nobody hears of anything else, and only then does the unit run
/// elsewhere; what stops quickly does not wait for it.
#[test]
fn a_machine_is_off_only_when_its_slowest_unit_has_stopped() {
    Cluster::builder().machines(3).registry(Registry::Etcd(1)).agent_ttl("2s").run(|cluster| {
        settled(cluster, 1, 3)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        let person = Person::at(cluster, 1);
        person.save("slow.service", telling("ExecStop=/bin/sleep 6"))?;
        person.fleetctl("start slow.service")?;
        let off = once(cluster, &["slow.service"])?["slow.service"].machine;
        let moving = watched.on(off)?;
        let witness = if off == 1 { 2 } else { 1 };
        // With the machine that decides it takes another leader as well.
        until("no machine leads", || leader(cluster, witness))?;

        let node = cluster.node(off);
        node.exec(["systemctl", "start", "--no-block", "poweroff.target"])?;
        until("what stops quickly does not run elsewhere", || {
            moving.iter().try_for_each(|unit| {
                let on = cluster.running_on(unit);
                ensure!(on.len() == 1 && on[0] != off, "{unit} runs on {on:?}");
                Ok(())
            })
        })?;
        let slow = spans(cluster, "slow.service")?;
        assert!(slow.len() == 1 && slow[0].end.is_none(), "it was not slow: {slow:?}");
        node.await_off()?;
        let after = once(cluster, &["slow.service"])?["slow.service"].machine;
        assert_never_two(&spans(cluster, "slow.service")?, &[off, after]);
        watched.settles(witness, &moving)?;
        Ok(())
    });
}

/// Whoever sets `on_stop=keep` wants to stop fleetd for a moment without anything being moved: units run on, and a fleetd
/// that is back within the lease finds its place kept.
#[test]
fn a_stop_that_keeps_touches_nothing() {
    Cluster::builder().machines(3).agent_ttl("6s").option("on_stop", "keep").run(|cluster| {
        settled(cluster, 1, 3)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        watched.on(2)?;
        let node = cluster.node(2);
        node.exec(["systemctl", "stop", "fleet.service"])?.ok()?;
        ensure!(node.processes_named("fleetd").is_empty(), "fleetd runs on");
        throughout(Duration::from_secs(1), "a unit was touched", || watched.untouched())?;
        node.exec(["systemctl", "start", "fleet.service"])?.ok()?;
        settled(cluster, 1, 3)?;
        throughout(Duration::from_secs(6), "a unit was touched", || watched.untouched())?;
        watched.settles(1, &[])?;
        Ok(())
    });
}

/// An operator would lose units by a stop at a bad time: without the registry nothing can be given back, so nothing is
/// stopped, and fleetd says why.
#[test]
fn a_stop_without_a_registry_touches_nothing() {
    Cluster::builder().machines(3).registry(Registry::Etcd(1)).agent_ttl("2s").run(|cluster| {
        settled(cluster, 1, 3)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        watched.on(2)?;
        let etcd = cluster.etcd().context("this cluster has an etcd")?;
        etcd.pause(1)?;
        let node = cluster.node(2);
        until("fleetd does not notice", || {
            let log = node.exec(["journalctl", "--no-pager", "-u", "fleet", "-o", "cat"])?.ok()?;
            ensure!(log.contains("lease is lost"), "{log}");
            Ok(())
        })?;
        node.exec(["systemctl", "stop", "fleet.service"])?.ok()?;
        let log = node.exec(["journalctl", "--no-pager", "-u", "fleet", "-o", "cat"])?.ok()?;
        ensure!(log.contains("nothing can be given back"), "{log}");
        watched.untouched()?;
        etcd.resume(1)?;
        node.exec(["systemctl", "start", "fleet.service"])?.ok()?;
        settled(cluster, 1, 3)?;
        watched.settles(1, &[])?;
        Ok(())
    });
}
