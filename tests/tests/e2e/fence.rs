//! `OnDisconnect=stop`: a unit that never runs twice, whatever happens to its machine's fleetd and network.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::{Cluster, Registry};
use fleet_tests::lab::Node;
use nix::sys::signal::Signal;

use crate::support::{Person, SLEEPER, patch_metadata, settled, until, view, within};

/// What every machine of these tests has.
const LEASE: Duration = Duration::from_secs(4);

/// Machines of these tests share two cores.
const SLACK: Duration = Duration::from_secs(8);

/// Stops at once: its bound is 4 × 0.5 s + 1 s.
const SINGLE: &str = "[Service]\nExecStart=/bin/sleep infinity\nTimeoutStopSec=500ms\n[X-Fleet]\nOnDisconnect=stop\n";

/// Does not want to stop: systemd kills it after 2 s. Its bound is (1 + 4) × 2 s + 1 s.
const SLOW: &str = "[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 60\nTimeoutStopSec=2s\n\
                    [X-Fleet]\nOnDisconnect=stop\n";
/// May run twice.
const KEPT: &str = "[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\n";

const SLOW_BOUND: Duration = Duration::from_secs(11);

/// The machine where a unit runs.
fn host(cluster: &Cluster, unit: &str) -> Result<u8> {
    until("the unit does not run", || {
        let on = cluster.running_on(unit);
        ensure!(on.len() == 1, "{unit} runs on {on:?}");
        Ok(on[0])
    })
}

/// Units on machine 2 that may run on machine 3 as well: two that may never run twice, and one that is kept.
fn with_units(test: impl FnOnce(&Cluster, Node<'_>) -> Result<()>) {
    let builder = Cluster::builder().machines(3).registry(Registry::Etcd(1)).agent_ttl("4s");
    builder.metadata_on(2, "spot=a").metadata_on(3, "spot=b").run(|cluster| {
        cluster.wait_machines(3)?;
        let person = Person::at(cluster, 1);
        for (name, text) in [("db", SINGLE), ("slow", SLOW), ("kept", KEPT)] {
            person.save(&format!("{name}.service"), format!("{text}MachineMetadata=spot=a\n"))?;
        }
        person.fleetctl("start db.service slow.service kept.service")?;
        for unit in ["db.service", "slow.service", "kept.service"] {
            assert_eq!(host(cluster, unit)?, 2);
        }
        patch_metadata(cluster, 3, "spot", "a")?;
        test(cluster, cluster.node(2))
    });
}

/// Waits until the fenced units are gone from their machine, and then run elsewhere, the slow one after its bound only.
fn moves(cluster: &Cluster, node: Node<'_>, begin: Instant) -> Result<()> {
    let kept = node.processes_of("kept.service");
    within(LEASE, "db.service is not stopped within its lease", || {
        ensure!(node.processes_of("db.service").is_empty(), "it runs");
        Ok(())
    })?;
    let stopped = begin.elapsed();
    until("nobody is told what slow.service waits for", || {
        let note = view(cluster, 1, "slow.service")?.note.context("no note")?;
        ensure!(note.reason.contains("must have stopped"), "{note:?}");
        Ok(())
    })?;
    // An operator who has the machine forgotten now would have the unit run twice.
    let words = Person::at(cluster, 1).refused(1, &format!("forget {}", node.machine_id()))?;
    assert!(words.contains("may still be stopping slow.service") && words.contains("forget it after that"), "{words}");
    within(LEASE + SLOW_BOUND + SLACK, "slow.service does not run elsewhere", || {
        let on = cluster.running_on("slow.service");
        ensure!(on.len() == 1 && on[0] != node.number(), "it runs on {on:?}");
        Ok(())
    })?;
    let slow = begin.elapsed();
    assert!(slow >= SLOW_BOUND, "slow.service runs elsewhere after {slow:?}, and may take {SLOW_BOUND:?} to stop");
    assert_ne!(host(cluster, "db.service")?, node.number());
    println!("db.service stopped {stopped:?} after the fault, slow.service ran elsewhere {slow:?} after it");
    assert_eq!(node.processes_of("kept.service"), kept, "a unit that is to be kept was touched");
    Ok(())
}

/// Somebody's database would have two writers: fleetd hangs, and another machine is given the unit while the old one
/// still runs it. systemd stops it before the lease has ended, without fleetd; a unit beside it that does not ask for
/// this is not touched, and one that takes long to stop is waited for.
#[test]
fn a_machine_whose_fleetd_hangs_stops_what_must_not_run_twice() {
    with_units(|cluster, node| {
        let begin = Instant::now();
        node.pause("fleetd")?;
        moves(cluster, node, begin)?;
        node.resume("fleetd")?;
        settled(cluster, 1, 3)
    });
}

/// The same with a fleetd that is dead and cannot start again.
#[test]
fn a_machine_whose_fleetd_is_dead_stops_what_must_not_run_twice() {
    with_units(|cluster, node| {
        let begin = Instant::now();
        lame(node, true)?;
        moves(cluster, node, begin)?;
        lame(node, false)?;
        settled(cluster, 1, 3)
    });
}

/// An installation without the fence's units would run them unfenced, or say nothing: it runs everything else, and says
/// what is missing.
#[test]
fn without_its_units_nothing_is_fenced_and_people_are_told_why() {
    Cluster::builder().machines(1).agent_ttl("4s").without_fence_units().run(|cluster| {
        cluster.wait_machines(1)?;
        let person = Person::at(cluster, 1);
        person.save("db.service", SINGLE)?;
        person.save("web.service", SLEEPER)?;
        person.fleetctl("start --no-block db.service web.service")?;
        host(cluster, "web.service")?;
        until("nobody is told why it does not run", || {
            let states = view(cluster, 1, "db.service")?.states;
            let error = states.first().and_then(|state| state.error.clone()).unwrap_or_default();
            ensure!(error.contains("fleet-connected.target") && error.contains("come with fleet"), "{states:?}");
            Ok(())
        })?;
        assert!(cluster.running_on("db.service").is_empty());
        Ok(())
    });
}

/// Kills fleetd so that it cannot start again, or lets it.
pub(crate) fn lame(node: Node<'_>, lame: bool) -> Result<()> {
    node.exec(["chmod", if lame { "-x" } else { "+x" }, "/usr/bin/fleetd"])?.ok()?;
    // It may be between two attempts to start.
    if lame && !node.processes_named("fleetd").is_empty() {
        let _ = node.signal("fleetd", Signal::SIGKILL);
    }
    Ok(())
}
