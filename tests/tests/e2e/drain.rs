//! A machine that is stopped for good gives its units away, one after the other.

use anyhow::{Result, ensure};
use fleet_tests::cluster::Cluster;

use crate::support::{Person, assert_never_two, leader, once, settled, spans, telling, until};

const UNITS: [&str; 4] = ["t@1.service", "t@2.service", "t@3.service", "t@4.service"];

/// An operator who takes machines down for maintenance would lose units with them, or run them twice: `systemctl stop
/// fleet` and a shutdown stop what the machine has, and only then does it run elsewhere.
#[test]
fn units_move_when_fleetd_is_stopped_and_when_a_machine_shuts_down() {
    Cluster::builder().machines(4).run(|cluster| {
        cluster.wait_machines(4)?;
        let person = Person::at(cluster, 1);
        // Slow to stop, so that a start that does not wait for the end is seen.
        person.save("t@.service", telling("ExecStop=/bin/sleep 1"))?;
        person.fleetctl(&format!("start {}", UNITS.join(" ")))?;
        let mut homes = homes(cluster)?;

        // The leader's machine among them, if it is not the registry's.
        let first = until("no machine leads", || leader(cluster, 1))?.max(2);
        let second = if first == 2 { 3 } else { 2 };

        cluster.node(first).exec(["systemctl", "stop", "fleet.service"])?.ok()?;
        let left = |unit: &&str| !cluster.node(first).processes_of(unit).is_empty();
        assert!(!UNITS.iter().any(left), "a stopped fleetd left units");
        follow(cluster, &mut homes, first)?;
        cluster.wait_machines(3)?;

        cluster.node(second).poweroff()?;
        follow(cluster, &mut homes, second)?;
        cluster.wait_machines(2)?;

        // Back again, they are given what comes next, and nothing is moved for their sake.
        cluster.node(first).exec(["systemctl", "start", "fleet.service"])?.ok()?;
        cluster.node(second).boot()?;
        settled(cluster, 1, 4)?;
        person.fleetctl("start t@5.service t@6.service")?;
        let runs = once(cluster, &["t@5.service", "t@6.service"])?;
        let mut new: Vec<u8> = runs.values().map(|run| run.machine).collect();
        new.sort_unstable();
        assert_eq!(new, [first.min(second), first.max(second)], "the empty machines are given the next units");
        follow(cluster, &mut homes, first)
    });
}

/// Where each unit has been, in order.
type Homes = Vec<(&'static str, Vec<u8>)>;

fn homes(cluster: &Cluster) -> Result<Homes> {
    let runs = once(cluster, &UNITS)?;
    Ok(UNITS.iter().map(|&unit| (unit, vec![runs[unit].machine])).collect())
}

/// Waits until no unit is on the machine that left, and makes sure that those that were there ran on without overlap,
/// and that no other moved.
fn follow(cluster: &Cluster, homes: &mut Homes, left: u8) -> Result<()> {
    let runs = until("units are not moved", || {
        let runs = once(cluster, &UNITS)?;
        ensure!(runs.values().all(|run| run.machine != left), "{runs:?}");
        Ok(runs)
    })?;
    for (unit, been) in homes {
        let now = runs[*unit].machine;
        if been.last() == Some(&left) {
            been.push(now);
        }
        assert_never_two(&spans(cluster, unit)?, been);
    }
    Ok(())
}
