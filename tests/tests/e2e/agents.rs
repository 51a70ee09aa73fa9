//! fleetd comes and goes; what it started stays.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::Cluster;
use nix::sys::signal::Signal;

use crate::support::{Person, Runs, SLEEPER, Watched, machines, once, runs, settled, throughout, until};

const UNITS: [&str; 6] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service", "u@5.service", "u@6.service"];

/// An operator would lose the confidence to upgrade fleetd, or to leave it with a bug that crashes it: no unit may be
/// restarted by it.
#[test]
fn units_run_on_when_fleetd_is_killed_or_restarted() {
    Cluster::builder().machines(3).agent_ttl("4s").run(|cluster| {
        settled(cluster, 1, 3)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        for machine in 1..=3 {
            watched.on(machine)?;
        }
        for node in cluster.nodes() {
            let killed = pid_of_fleetd(cluster, node.number())?;
            node.signal("fleetd", Signal::SIGKILL)?;
            until("fleetd does not come back", || {
                ensure!(pid_of_fleetd(cluster, node.number())? != killed);
                serves(cluster, node.number())
            })?;
            watched.untouched().with_context(|| format!("after fleetd was killed on {}", node.name()))?;
        }
        for node in cluster.nodes() {
            node.exec(["systemctl", "restart", "fleet"])?.ok()?;
            until("fleetd does not serve", || serves(cluster, node.number()))?;
            watched.untouched().with_context(|| format!("after fleetd was restarted on {}", node.name()))?;
        }
        // Every fleetd at once, as an upgrade of all machines does it.
        for node in cluster.nodes() {
            node.signal("fleetd", Signal::SIGKILL)?;
        }
        cluster.wait_machines(3)?;
        // Longer than the lease: had anyone been taken for lost, units would have moved by now.
        throughout(Duration::from_secs(5), "a unit was touched", || watched.untouched())?;
        watched.settles(1, &[])?;

        // And fleet goes on with what it is there for.
        let person = Person::at(cluster, 1);
        person.fleetctl("destroy u@1.service u@4.service")?;
        person.fleetctl("start u@7.service")?;
        once(cluster, &["u@7.service", "u@2.service"])?;
        watched.untouched_but(&["u@1.service", "u@4.service"])
    });
}

/// An operator whose configuration management goes wrong would lose units, or find machines in clusters of their own: a
/// fleetd that cannot know its cluster touches nothing, and says why and what to do.
#[test]
fn a_machine_that_lost_its_configuration_touches_nothing() {
    Cluster::builder().machines(2).agent_ttl("2s").run(|cluster| {
        cluster.wait_machines(2)?;
        let node = cluster.node(2);
        let person = Person::at(cluster, 1);
        // Pinned, so that it is not given to the other machine while this one is out of touch.
        person.save("pinned.service", format!("{SLEEPER}[X-Fleet]\nMachineID={}\n", node.machine_id()))?;
        person.fleetctl("start pinned.service")?;
        let before = once(cluster, &["pinned.service"])?;
        assert_eq!(before["pinned.service"].machine, 2);

        let configuration = node.read_file("/etc/fleet/fleet.conf")?;
        node.exec(["rm", "/etc/fleet/fleet.conf"])?.ok()?;
        node.exec(["systemctl", "restart", "fleet"])?.ok()?;
        until("the log does not name both ways out", || {
            let log = log_of_fleetd(cluster, 2)?;
            ensure!(log.contains("etcd_servers") && log.contains("registry=embedded"), "{log}");
            Ok(())
        })?;
        assert!(Person::at(cluster, 2).refused(1, "list-machines")?.contains("registry"));
        throughout(Duration::from_secs(4), "the unit was touched", || unchanged(cluster, &before))?;

        // The worst of guesses: an empty registry of its own.
        node.write_file("/etc/fleet/fleet.conf", "public_ip=192.0.2.2\nregistry=embedded\nagent_ttl=2s\n")?;
        node.exec(["systemctl", "restart", "fleet"])?.ok()?;
        until("the log does not say that this is another store", || {
            let log = log_of_fleetd(cluster, 2)?;
            ensure!(log.contains("this machine belongs to cluster"), "{log}");
            Ok(())
        })?;
        throughout(Duration::from_secs(4), "the unit was touched", || unchanged(cluster, &before))?;

        node.write_file("/etc/fleet/fleet.conf", configuration)?;
        node.exec(["systemctl", "restart", "fleet"])?.ok()?;
        cluster.wait_machines(2)?;
        throughout(Duration::from_secs(3), "the unit was touched", || unchanged(cluster, &before))?;
        // The machine is one of the cluster again: what is asked of it is done.
        person.fleetctl("stop pinned.service")?;
        assert_eq!(cluster.running_on("pinned.service"), Vec::<u8>::new());
        Ok(())
    });
}

fn unchanged(cluster: &Cluster, before: &Runs) -> Result<()> {
    let units: Vec<&str> = before.keys().map(String::as_str).collect();
    let now = runs(cluster, &units)?;
    ensure!(now == *before, "before: {before:#?}\nnow: {now:#?}");
    Ok(())
}

fn pid_of_fleetd(cluster: &Cluster, machine: u8) -> Result<u32> {
    match cluster.node(machine).processes_named("fleetd")[..] {
        [pid] => Ok(pid),
        ref pids => anyhow::bail!("machine {machine} has {} processes fleetd", pids.len()),
    }
}

/// fleetd answers, and what it answers is of now.
fn serves(cluster: &Cluster, machine: u8) -> Result<()> {
    let list = machines(cluster, machine)?;
    ensure!(!list.stale && list.machines.len() == 3, "{list:?}");
    Ok(())
}

fn log_of_fleetd(cluster: &Cluster, machine: u8) -> Result<String> {
    cluster.node(machine).exec(["journalctl", "--no-pager", "-u", "fleet", "-o", "cat"])?.ok()
}
