//! Machines whose network is cut: both ways or one way, for less than the lease or for longer.

use std::time::Duration;

use anyhow::{Result, ensure};
use fleet_tests::cluster::Cluster;

use crate::support::{Person, SLEEPER, Watched, machines, once, runs, settled, throughout, until};

const UNITS: [&str; 6] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service", "u@5.service", "u@6.service"];

/// The machine that carries the registry.
const REGISTRY: u8 = 1;

/// The machine whose network is cut.
const CUT: u8 = 2;

/// What of the network between the registry and a machine is cut.
#[derive(Clone, Copy)]
enum Cut {
    /// Everything: the machine's cable.
    Cable,
    /// What the machine sends to the registry.
    Sending,
    /// What the registry's machine sends to it.
    Receiving,
}

impl Cut {
    fn begin(self, cluster: &Cluster) -> Result<()> {
        let (registry, cut) = (cluster.node(REGISTRY), cluster.node(CUT));
        match self {
            Self::Cable => cut.cut_network(),
            Self::Sending => cut.blackhole(registry.ip()),
            Self::Receiving => registry.blackhole(cut.ip()),
        }
    }

    fn end(self, cluster: &Cluster) -> Result<()> {
        let (registry, cut) = (cluster.node(REGISTRY), cluster.node(CUT));
        match self {
            Self::Cable => cut.restore_network(),
            Self::Sending => cut.unblackhole(registry.ip()),
            Self::Receiving => registry.unblackhole(cut.ip()),
        }
    }
}

/// Whoever has a switch that restarts would have units moved by it: a cut that is shorter than the lease moves nothing.
#[test]
fn a_short_cut_moves_nothing() {
    shorter_than_the_lease(Cut::Cable);
}

/// The same where only what a machine sends gets lost.
#[test]
fn a_short_loss_of_what_a_machine_sends_moves_nothing() {
    shorter_than_the_lease(Cut::Sending);
}

/// The same where only what a machine is sent gets lost.
#[test]
fn a_short_loss_of_what_a_machine_is_sent_moves_nothing() {
    shorter_than_the_lease(Cut::Receiving);
}

/// A person would have units twice for good: a machine that was cut off for longer than the lease runs on, as nobody can
/// tell it otherwise; back again, it gives up what was given to others meanwhile, and nothing else.
#[test]
fn a_machine_that_was_cut_off_gives_up_what_others_have() {
    longer_than_the_lease(Cut::Cable);
}

/// The same where only what the machine sends gets lost: it still hears of changes, and cannot answer.
#[test]
fn a_machine_that_nobody_heard_gives_up_what_others_have() {
    longer_than_the_lease(Cut::Sending);
}

/// The same where only what the machine is sent gets lost: what it asks is done, and it never knows.
#[test]
fn a_machine_that_heard_nobody_gives_up_what_others_have() {
    longer_than_the_lease(Cut::Receiving);
}

fn shorter_than_the_lease(cut: Cut) {
    Cluster::builder().machines(3).agent_ttl("5s").run(|cluster| {
        settled(cluster, 1, 3)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        watched.on(CUT)?;
        cut.begin(cluster)?;
        throughout(Duration::from_secs(2), "a unit was touched during the cut", || watched.untouched())?;
        cut.end(cluster)?;
        // Had the machine been taken for lost, units would have moved by then.
        throughout(Duration::from_secs(5), "a unit was touched after the cut", || watched.untouched())?;
        settled(cluster, 1, 3)?;
        watched.settles(1, &[])?;
        Ok(())
    });
}

fn longer_than_the_lease(cut: Cut) {
    Cluster::builder().machines(3).agent_ttl("2s").run(|cluster| {
        settled(cluster, 1, 3)?;
        let person = Person::at(cluster, 1);
        let pinned = format!("{SLEEPER}[X-Fleet]\nMachineID={}\n", cluster.node(CUT).machine_id());
        person.save("pinned.service", pinned)?;
        person.fleetctl("start pinned.service")?;
        let pinned = once(cluster, &["pinned.service"])?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        let moving = watched.on(CUT)?;

        cut.begin(cluster)?;
        watched.loses_touch(CUT);
        until("units are not given to others", || {
            moving.iter().try_for_each(|unit| {
                let on = cluster.running_on(unit);
                ensure!(on.len() == 2 && on.contains(&CUT), "{unit} runs on {on:?}");
                Ok(())
            })
        })?;
        assert_eq!(runs(cluster, &["pinned.service"])?, pinned);
        cut.end(cluster)?;
        let after = watched.settles(1, &moving)?;
        assert!(after.values().all(|run| run.machine != CUT), "{after:?}");
        settled(cluster, 1, 3)?;
        assert_eq!(runs(cluster, &["pinned.service"])?, pinned, "what is still its own was touched");
        Ok(())
    });
}

/// An operator whose switch fails would see everything pile up on the few machines that still have a network, and move
/// again when it is back: when most machines are lost at once nothing moves, and the log says so.
#[test]
fn when_most_machines_are_lost_at_once_nothing_moves() {
    Cluster::builder().machines(4).agent_ttl("3s").run(|cluster| {
        settled(cluster, 1, 4)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        for machine in 2..=4 {
            cluster.node(machine).cut_network()?;
        }
        until("the machines are not lost", || {
            let list = machines(cluster, 1)?;
            ensure!(list.machines.len() == 1, "{list:?}");
            Ok(())
        })?;
        throughout(Duration::from_secs(5), "units were touched", || watched.untouched())?;
        let log = cluster.node(1).exec(["journalctl", "--no-pager", "-u", "fleet", "-o", "cat"])?.ok()?;
        assert!(log.contains("brake"), "nothing of it in the log: {log}");
        for machine in 2..=4 {
            cluster.node(machine).restore_network()?;
        }
        settled(cluster, 1, 4)?;
        throughout(Duration::from_secs(3), "units were touched", || watched.untouched())?;
        Person::at(cluster, 1).fleetctl("start u@9.service")?;
        once(cluster, &["u@9.service"])?;
        watched.settles(1, &[])?;
        Ok(())
    });
}
