//! Machines that lose their power.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fleet_tests::cluster::{Cluster, Registry};

use crate::support::{Person, Run, Runs, SLEEPER, leader, once, runs, until, within};

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
        cluster.wait_machines(4)?;
        // It has been given the next unit: so it has carried out all that was wanted of it before.
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
