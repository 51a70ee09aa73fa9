//! Templates, replaced units, and many units at once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fleet_tests::cluster::Cluster;

use crate::support::{Person, SLEEPER, once, runs, until};

/// Whoever writes one file for many units would lose that; and whoever mends a unit would find it on another machine,
/// without what it had on its disk there.
#[test]
fn templates_make_instances_and_replacing_keeps_the_machine() {
    Cluster::builder().machines(3).run(|cluster| {
        cluster.wait_machines(3)?;
        let person = Person::at(cluster, 2);
        let text = |word: &str| format!("[Service]\nExecStart=/bin/sh -c 'echo {word} %i; exec sleep infinity'\n");
        person.save("web@.service", text("first"))?;
        // Not submitted: the file beside it will do.
        person.fleetctl("start web@1.service web@2.service")?;
        let units = ["web@1.service", "web@2.service"];
        let before = once(cluster, &units)?;
        said(person, "web@2", "first 2")?;
        assert!(person.refused(1, "start web@.service")?.contains("cannot activate template \"web@.service\""));

        // Another text: a warning, and nothing else, until it is asked for.
        person.save("web@.service", text("second"))?;
        let warned = person.types("start web@1.service")?;
        assert!(warned.success() && warned.stderr.contains("Add --replace to override"), "{warned:?}");
        assert_eq!(runs(cluster, &units)?, before);
        person.fleetctl("start --replace web@1.service")?;
        let after = runs(cluster, &units)?;
        said(person, "web@1", "second 1")?;
        assert_eq!(after["web@1.service"].machine, before["web@1.service"].machine, "--replace moved the unit");
        assert_ne!(after["web@1.service"].invocation, before["web@1.service"].invocation);
        assert_eq!(after["web@2.service"], before["web@2.service"], "the other instance was touched");

        // The same text again is no change.
        let again = person.fleetctl("start --replace web@1.service")?;
        assert!(again.contains("Found same Unit(web@1.service) in Registry, nothing to do"), "{again}");
        assert_eq!(runs(cluster, &units)?, after);
        Ok(())
    });
}

/// Waits until the unit's journal has this line.
fn said(person: Person<'_>, unit: &str, line: &str) -> Result<()> {
    until("the unit does not say it", || {
        let journal = person.fleetctl(&format!("journal --output=cat {unit}"))?;
        ensure!(journal.lines().any(|said| said == line), "{journal}");
        Ok(())
    })
}

/// A person with many units would lose their patience: two hundred are started by one command, spread evenly, listed,
/// and destroyed by another.
#[test]
fn two_hundred_units_at_once() {
    Cluster::builder().machines(3).run(|cluster| {
        cluster.wait_machines(3)?;
        let person = Person::at(cluster, 1);
        person.save("many@.service", SLEEPER)?;
        let names: Vec<String> = (1..=200).map(|i| format!("many@{i}.service")).collect();
        let begin = Instant::now();
        let said = person.fleetctl(&format!("start {}", names.join(" ")))?;
        let took = begin.elapsed();
        assert_eq!(said.lines().filter(|line| line.contains(" launched on ")).count(), 200, "{said}");
        // The benchmark measures it; this is what nobody would bear, on a busy machine of two cores.
        assert!(took < Duration::from_secs(40), "it took {took:?}");

        let list = person.fleetctl("list-units --no-legend")?;
        let running = list.lines().filter(|line| line.contains("active") && line.contains("running"));
        let listed: BTreeSet<&str> = running.filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(listed, names.iter().map(String::as_str).collect());
        for machine in 1..=3 {
            let here = list.matches(&format!("/192.0.2.{machine}\t")).count();
            assert!((66..=67).contains(&here), "machine {machine} has {here} of 200");
        }
        assert_eq!(cluster.running_on("many@200.service").len(), 1);

        person.fleetctl(&format!("destroy {}", names.join(" ")))?;
        until("units are left", || {
            let left = names.iter().filter(|name| !cluster.running_on(name).is_empty()).count();
            ensure!(left == 0, "{left} units still run");
            Ok(())
        })?;
        assert_eq!(person.fleetctl("list-units --no-legend")?, "");
        Ok(())
    });
}
