//! Machines that lose their power, or their network.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fleet_tests::cluster::{Cluster, Registry};

use crate::support::{Person, Run, Runs, SLEEPER, leader, machines, once, runs, settled, throughout, until, within};

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
        cluster.wait_machines(4)?;
        let person = Person::at(cluster, 1);
        person.save("u@.service", SLEEPER)?;
        person.fleetctl(&format!("start {}", UNITS.join(" ")))?;
        let before = once(cluster, &UNITS)?;
        let lost = until("no machine leads", || leader(cluster, 1))?;
        let there = |run: &Run| run.machine == lost;
        assert!(before.values().any(there), "nothing runs on the leader's machine {lost}: {before:?}");

        let begin = Instant::now();
        cluster.node(lost).power_off_hard()?;
        within(LEASE + SLACK, "units do not run elsewhere in time", || {
            UNITS.iter().try_for_each(|unit| {
                let on = cluster.running_on(unit);
                ensure!(on.len() == 1, "{unit} runs on {on:?}");
                Ok(())
            })
        })?;
        let took = begin.elapsed();
        assert!(took > LEASE / 2, "moved after {took:?}: before the lease could have run out");

        let after = runs(cluster, &UNITS)?;
        let rest = |runs: &Runs| -> Runs {
            runs.iter().filter(|(unit, _)| !there(&before[*unit])).map(|(u, r)| (u.clone(), r.clone())).collect()
        };
        assert_eq!(rest(&after), rest(&before), "units of other machines were touched");
        let witness = cluster.nodes().map(|node| node.number()).find(|&n| n != lost).context("no machine is left")?;
        assert_ne!(until("no machine leads", || leader(cluster, witness))?, lost);

        cluster.node(lost).boot()?;
        settled(cluster, witness, 4)?;
        let person = Person::at(cluster, witness);
        person.save("u@.service", SLEEPER)?;
        person.fleetctl("start u@9.service")?;
        assert_eq!(
            once(cluster, &["u@9.service"])?["u@9.service"].machine,
            lost,
            "the empty machine is given the next"
        );
        assert_eq!(runs(cluster, &UNITS)?, after, "the machine's return touched units");
        Ok(())
    });
}

/// A person would have units twice for good: a machine that was cut off for longer than the lease runs on, as nobody can
/// tell it otherwise; back again, it gives up what was given to others meanwhile, and nothing else.
#[test]
fn a_machine_that_was_cut_off_gives_up_what_others_have() {
    Cluster::builder().machines(3).agent_ttl("2s").run(|cluster| {
        cluster.wait_machines(3)?;
        let person = Person::at(cluster, 1);
        let node = cluster.node(2);
        person.save("u@.service", SLEEPER)?;
        person.save("pinned.service", format!("{SLEEPER}[X-Fleet]\nMachineID={}\n", node.machine_id()))?;
        person.fleetctl("start u@1.service u@2.service u@3.service u@4.service pinned.service")?;
        let units = ["u@1.service", "u@2.service", "u@3.service", "u@4.service"];
        let before = once(cluster, &units)?;
        let pinned = once(cluster, &["pinned.service"])?;
        let moving: Vec<&str> = units.into_iter().filter(|unit| before[*unit].machine == 2).collect();
        assert!(!moving.is_empty(), "nothing runs on the machine to cut off: {before:?}");

        node.cut_network()?;
        until("units are not given to others", || {
            moving.iter().try_for_each(|unit| {
                let on = cluster.running_on(unit);
                ensure!(on.len() == 2 && on.contains(&2), "{unit} runs on {on:?}");
                Ok(())
            })
        })?;
        assert_eq!(runs(cluster, &["pinned.service"])?, pinned);
        node.restore_network()?;
        let after = once(cluster, &units)?;
        assert!(after.values().all(|run| run.machine != 2), "{after:?}");
        for unit in units.iter().filter(|unit| !moving.contains(unit)) {
            assert_eq!(after[*unit], before[*unit], "{unit} was touched");
        }
        cluster.wait_machines(3)?;
        assert_eq!(runs(cluster, &["pinned.service"])?, pinned, "what is still its own was touched");
        // What fleet says of it is what is.
        let list = person.fleetctl("list-units --no-legend --fields=unit,active,machine")?;
        assert_eq!(list.lines().filter(|line| line.contains("active")).count(), 5, "{list}");
        Ok(())
    });
}

/// An operator whose switch fails would see everything pile up on the few machines that still have a network, and move
/// again when it is back: when most machines are lost at once nothing moves, and the log says so.
#[test]
fn when_most_machines_are_lost_at_once_nothing_moves() {
    Cluster::builder().machines(4).agent_ttl("3s").run(|cluster| {
        settled(cluster, 1, 4)?;
        let person = Person::at(cluster, 1);
        person.save("u@.service", SLEEPER)?;
        person.fleetctl(&format!("start {}", UNITS.join(" ")))?;
        let before = once(cluster, &UNITS)?;
        let unchanged = || {
            let now = runs(cluster, &UNITS)?;
            ensure!(now == before, "before: {before:#?}\nnow: {now:#?}");
            Ok(())
        };
        for machine in 2..=4 {
            cluster.node(machine).cut_network()?;
        }
        until("the machines are not lost", || {
            let list = machines(cluster, 1)?;
            ensure!(list.machines.len() == 1, "{list:?}");
            Ok(())
        })?;
        throughout(Duration::from_secs(5), "units were touched", unchanged)?;
        let log = cluster.node(1).exec(["journalctl", "--no-pager", "-u", "fleet", "-o", "cat"])?.ok()?;
        assert!(log.contains("brake"), "nothing of it in the log: {log}");
        for machine in 2..=4 {
            cluster.node(machine).restore_network()?;
        }
        settled(cluster, 1, 4)?;
        throughout(Duration::from_secs(3), "units were touched", unchanged)?;
        person.fleetctl("start u@9.service")?;
        once(cluster, &["u@9.service"])?;
        unchanged()
    });
}
