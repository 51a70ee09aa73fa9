//! Stops that hang: each is shown, ends when its own time-out says so, and holds back nobody else.

use std::time::Duration;

use anyhow::{Context, ensure};
use fleet_tests::cluster::Cluster;

use crate::support::{LIMIT, Person, assert_never_two, once, patch_metadata, sleeper_with, spans, telling, until};

/// How long systemd waits for a unit of this test before it kills it.
const GRACE: Duration = Duration::from_secs(6);

/// A service that does not heed SIGTERM, and that systemd kills in the end.
fn stubborn(requirements: &str) -> String {
    let deaf = telling(&format!("TimeoutStopSec={}", GRACE.as_secs()));
    let deaf =
        deaf.replace("ExecStart=/bin/sleep infinity", "ExecStart=/bin/sh -c 'trap \"\" TERM; exec sleep infinity'");
    format!("{deaf}\n[X-Fleet]\n{requirements}\n")
}

/// An operator would wait without knowing for what, or for how long; other units would wait with them; or the unit would
/// run twice, because somebody lost patience. Whatever takes a unit off its machine waits for its end, which comes with
/// its own time-out: a move, a drain, a replacement, a destruction.
#[test]
fn a_stop_that_hangs_is_shown_bounded_and_holds_back_no_other() {
    let cluster = Cluster::builder().machines(4).metadata_on(2, "role=web,name=two").metadata_on(3, "name=three");
    cluster.metadata_on(4, "name=four").run(|cluster| {
        cluster.wait_machines(4)?;
        let person = Person::at(cluster, 1);
        let units = ["moved.service", "replaced.service", "destroyed.service", "drained.service"];
        person.save(units[0], stubborn("MachineMetadata=role=web"))?;
        person.save(units[1], stubborn("MachineMetadata=name=two"))?;
        person.save(units[2], stubborn("MachineMetadata=name=two"))?;
        // At first both are empty, and the first by id is taken.
        person.save(units[3], stubborn("MachineMetadata=name=three\nMachineMetadata=name=four"))?;
        person.save("quick.service", sleeper_with("MachineMetadata=name=two"))?;
        person.fleetctl(&format!("start {}", units.join(" ")))?;
        let homes = once(cluster, &units)?;
        assert_eq!(units.map(|unit| homes[unit].machine), [2, 2, 2, 3]);

        let three = cluster.node(3).machine_id();
        let drain = cluster.node(1).spawn(["sh", "-c", &format!("fleetctl drain {three} 2>&1; echo ended with $?")])?;
        person.fleetctl("destroy --no-block destroyed.service")?;
        person.save(units[1], stubborn("MachineMetadata=name=two") + "[Unit]\nDescription=Another\n")?;
        person.fleetctl("start --no-block --replace replaced.service")?;
        patch_metadata(cluster, 4, "role", "web")?;
        patch_metadata(cluster, 2, "role", "none")?;

        // All four hang, on two machines; another unit starts on one of those meanwhile.
        until("stops that hang are not shown", || {
            let list = person.types("list-units")?;
            let shown = units.iter().all(|unit| list.stderr.contains(&format!("{unit} is stopping on")));
            ensure!(shown && list.stderr.matches("UTC at the latest").count() == 4, "{list:?}");
            Ok(())
        })?;
        person.fleetctl("start quick.service")?;
        for unit in units {
            let told = spans(cluster, unit)?;
            ensure!(told.len() == 1 && told[0].length().is_none(), "{unit} has ended already: {told:?}");
        }
        once(cluster, &["quick.service"])?;
        let status = person.types("cluster status")?;
        assert_eq!(status.stdout.matches("has been stopping on").count(), 4, "{status:?}");
        assert!(!status.stdout.contains("WRONG"), "a stop within its time is no trouble: {status:?}");

        let mut said = String::new();
        while !said.contains("ended with") {
            said += &drain.next_line(LIMIT)?;
            said.push('\n');
        }
        assert!(said.contains("Waiting for unit drained.service: stopping on"), "{said}");
        assert!(said.ends_with("ended with 0\n") && !said.contains("WARNING"), "it has another machine: {said}");
        once(cluster, &["moved.service", "replaced.service", "drained.service"])?;
        until("a destroyed unit is not stopped", || {
            let told = spans(cluster, units[2])?;
            ensure!(told[0].length().is_some(), "{told:?}");
            Ok(())
        })?;
        // What runs says so in its own time.
        until("the next runs are not told", || {
            for (unit, runs) in units.iter().zip([2, 2, 1, 2]) {
                let told = spans(cluster, unit)?;
                ensure!(told.len() == runs, "{unit}: {told:?}");
            }
            Ok(())
        })?;
        assert_never_two(&spans(cluster, units[0])?, &[2, 4]);
        assert_never_two(&spans(cluster, units[1])?, &[2, 2]);
        assert_never_two(&spans(cluster, units[2])?, &[2]);
        assert_never_two(&spans(cluster, units[3])?, &[3, 4]);
        // Each was killed when its time was up, and not before.
        for unit in units {
            let took = spans(cluster, unit)?[0].length().context("it has not ended")?;
            ensure!(took >= GRACE, "{unit} was given {took:?}");
        }
        let left = person.fleetctl("list-unit-files --no-legend --fields=unit")?;
        assert!(!left.contains("destroyed.service"), "{left}");
        Ok(())
    });
}
