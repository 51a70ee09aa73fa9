//! Units that do not run: each says why, and delays no other.

use anyhow::{Result, ensure};
use fleet_tests::cluster::Cluster;
use fleet_tests::lab::Output;

use crate::support::{Person, SLEEPER, once, sleeper_with, until};

/// A person would lose healthy units to broken ones beside them, as in CoreOS fleet, where one file that systemd
/// refused held up its whole machine for ever; and an hour to find out what is wrong.
#[test]
fn a_broken_unit_says_why_and_delays_no_other() {
    Cluster::builder().machines(1).run(|cluster| {
        cluster.wait_machines(1)?;
        let person = Person::at(cluster, 1);
        // Names that come first would be tried first.
        person.save("a-refused.service", "[Service]\nExecStart=not/absolute\n")?;
        person
            .save("a-fails.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo out of cheese; exit 7'\n")?;
        person.save("a-hangs.service", "[Service]\nType=notify\nExecStart=/bin/sleep infinity\n")?;
        person.save("once.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")?;
        person.save("z-good.service", SLEEPER)?;

        let start = person.types("start --block-attempts=4 a-refused a-fails a-hangs once z-good")?;
        let said = start.stdout.clone();
        assert!(said.contains("Unit z-good.service launched on f1ee7001.../192.0.2.1"), "{start:?}");
        assert!(said.contains("Unit once.service launched"), "a oneshot that went well is no failure: {start:?}");
        let said = start.refused(1)?;
        for (unit, reason) in [
            ("a-refused.service is not launched", "bad unit file setting"),
            ("a-fails.service is not launched", "exit-code"),
            ("a-fails.service", "out of cheese"),
            ("timed out waiting for unit a-hangs.service", "activating"),
        ] {
            assert!(said.contains(unit) && said.contains(reason), "nothing of {unit} and {reason:?} in:\n{said}");
        }
        once(cluster, &["z-good.service"])?;

        // Once mended, they run.
        person.save("a-refused.service", SLEEPER)?;
        person.fleetctl("start --replace a-refused")?;
        once(cluster, &["a-refused.service"])?;
        person.fleetctl("destroy a-refused a-fails a-hangs once z-good")?;
        assert_eq!(person.fleetctl("list-units --no-legend")?, "");
        Ok(())
    });
}

/// A person would lose the sight of why a unit does not run: of two that must not share a machine, the second waits,
/// says for whom, and runs once it can.
#[test]
fn a_unit_in_conflict_waits_says_why_and_runs_later() {
    Cluster::builder().machines(1).run(|cluster| {
        cluster.wait_machines(1)?;
        let person = Person::at(cluster, 1);
        person.save("first.service", SLEEPER)?;
        person.save("second.service", sleeper_with("Conflicts=first.service"))?;
        person.fleetctl("start first.service")?;

        let said = person.refused(1, "start --block-attempts=1 second.service")?;
        assert!(said.contains("timed out waiting for unit second.service") && said.contains("first.service"), "{said}");
        let line = line_of(person.types("list-unit-files --no-legend --fields=unit,dstate,state,target")?, "second")?;
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["second.service", "launched", "inactive", "-"]);
        assert!(person.refused(1, "status second.service")?.contains("first.service"));
        assert_eq!(cluster.running_on("second.service"), Vec::<u8>::new());

        person.fleetctl("destroy first.service")?;
        once(cluster, &["second.service"])?;

        // It holds the other way round, and for a unit that is only loaded.
        person.save("third.service", sleeper_with("Conflicts=*.service"))?;
        assert!(person.refused(1, "load --block-attempts=1 third.service")?.contains("second.service"));
        person.fleetctl("unload second.service")?;
        until("third.service is not loaded", || {
            let line = line_of(person.types("list-unit-files --no-legend")?, "third")?;
            ensure!(line.contains("192.0.2.1"), "{line}");
            Ok(())
        })
    });
}

fn line_of(list: Output, unit: &str) -> Result<String> {
    let list = list.ok()?;
    let line = list.lines().find(|line| line.starts_with(unit));
    line.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("there is no {unit} in:\n{list}"))
}
