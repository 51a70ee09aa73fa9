//! A unit that changes places, or its identity: never two at once.

use anyhow::{Result, ensure};
use fleet_tests::cluster::Cluster;

use crate::support::{Person, SLEEPER, assert_never_two, once, patch_metadata, runs, spans, telling, until};

/// Whoever runs a unit that must not run twice (a database, a scheduler) would lose their data: however slow a machine
/// is to start or stop a unit, it starts elsewhere only after its end.
#[test]
fn a_unit_that_moves_is_never_two() {
    let builder = Cluster::builder().machines(3).metadata_on(1, "role=none").metadata_on(2, "role=web");
    builder.metadata_on(3, "role=none").run(|cluster| {
        cluster.wait_machines(3)?;
        let person = Person::at(cluster, 1);
        let wanted = "\n[X-Fleet]\nMachineMetadata=role=web\n";
        // One that takes its time to end, and one that takes its time to begin.
        person.save("ends.service", telling("ExecStop=/bin/sleep 2") + wanted)?;
        person.save("begins.service", telling("ExecStartPre=/bin/sleep 3") + wanted)?;
        person.fleetctl("start ends.service")?;
        person.fleetctl("start --no-block begins.service")?;
        until("begins.service does not begin", || {
            ensure!(spans(cluster, "begins.service")?.len() == 1);
            Ok(())
        })?;

        // In the middle of its start.
        swap(cluster, 2, 3)?;
        let moved = once(cluster, &["ends.service", "begins.service"])?;
        assert!(moved.values().all(|run| run.machine == 3), "{moved:?}");
        assert_never_two(&spans(cluster, "ends.service")?, &[2, 3]);
        assert_never_two(&spans(cluster, "begins.service")?, &[2, 3]);

        // And back.
        swap(cluster, 3, 2)?;
        until("units do not move back", || {
            let runs = runs(cluster, &["ends.service", "begins.service"])?;
            ensure!(runs.values().all(|run| run.machine == 2), "{runs:?}");
            Ok(())
        })?;
        assert_never_two(&spans(cluster, "ends.service")?, &[2, 3, 2]);
        assert_never_two(&spans(cluster, "begins.service")?, &[2, 3, 2]);
        Ok(())
    });
}

/// Makes `to` the machine that the units want, instead of `from`.
fn swap(cluster: &Cluster, from: u8, to: u8) -> Result<()> {
    patch_metadata(cluster, to, "role", "web")?;
    patch_metadata(cluster, from, "role", "none")
}

/// A person who destroys a unit and submits it again to have it fresh would keep the old process, or have two: the same
/// name and text is another unit all the same.
#[test]
fn a_unit_submitted_again_is_another_process() {
    Cluster::builder().machines(2).run(|cluster| {
        cluster.wait_machines(2)?;
        let person = Person::at(cluster, 2);
        person.save("again.service", SLEEPER)?;
        person.fleetctl("start again.service")?;
        let first = once(cluster, &["again.service"])?;
        person.fleetctl("destroy again.service")?;
        assert_eq!(cluster.running_on("again.service"), Vec::<u8>::new());
        person.fleetctl("start again.service")?;
        let second = once(cluster, &["again.service"])?;
        assert_ne!(first["again.service"].invocation, second["again.service"].invocation);
        assert_ne!(first["again.service"].pid, second["again.service"].pid);

        // Without waiting in between, and slow to end: as a script does it.
        person.save("slow.service", telling("ExecStop=/bin/sleep 2"))?;
        person.fleetctl("start slow.service")?;
        let first = once(cluster, &["slow.service"])?;
        person.fleetctl("destroy --no-block slow.service")?;
        person.fleetctl("start slow.service")?;
        let second = once(cluster, &["slow.service"])?;
        assert_ne!(first["slow.service"].invocation, second["slow.service"].invocation, "start returned for the old");
        let machines = [first["slow.service"].machine, second["slow.service"].machine];
        assert_never_two(&spans(cluster, "slow.service")?, &machines);
        Ok(())
    });
}
