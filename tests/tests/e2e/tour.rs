//! The tour: all that a person does with a unit from the first submit to the end.

use std::time::Duration;

use anyhow::Result;
use fleet_tests::cluster::{Cluster, Registry};

use crate::support::{Person, once, runs, until};

const HELLO: &str = "\
[Unit]
Description=Hello World

[Service]
# Says hello for ever.
ExecStart=/bin/sh -c \"while true; do echo Hello World; sleep 0.2; done\"
";

/// A person would lose fleet's main job: a unit is submitted, started, watched, stopped, and destroyed, from any
/// machine, and every step says what it did. Scripts written for fleet would lose its columns and messages.
#[test]
fn a_unit_from_submit_to_destroy() {
    // Among equals the machine that carries the registry comes last.
    Cluster::builder().machines(3).run(|cluster| tour(cluster, 2));
}

/// A person with an etcd of their own would lose the same.
#[test]
fn a_unit_from_submit_to_destroy_on_etcd() {
    Cluster::builder().machines(3).registry(Registry::Etcd(3)).run(|cluster| tour(cluster, 1));
}

/// `home` is the machine that the unit gets.
fn tour(cluster: &Cluster, home: u8) -> Result<()> {
    cluster.wait_machines(3)?;
    let person = Person::at(cluster, 3);
    let place = format!("f1ee7{home:03}.../192.0.2.{home}");

    let machines = person.fleetctl("list-machines")?;
    assert_eq!(
        machines,
        "MACHINE\t\tIP\t\tMETADATA\n\
         f1ee7001...\t192.0.2.1\t-\nf1ee7002...\t192.0.2.2\t-\nf1ee7003...\t192.0.2.3\t-\n"
    );
    let full = person.fleetctl("list-machines --no-legend --full --fields=machine")?;
    assert_eq!(full.lines().nth(1), Some(cluster.node(2).machine_id().as_str()));

    person.save("hello.service", HELLO)?;
    assert_eq!(person.fleetctl("submit hello.service")?, "Unit hello.service inactive\n");
    assert_eq!(person.fleetctl("cat hello")?, HELLO, "cat prints what was submitted, byte for byte");
    assert_eq!(
        rows(&person.fleetctl("list-unit-files --fields=unit,dstate,state,target,desc")?),
        [
            vec!["UNIT", "DSTATE", "STATE", "TARGET", "DESC"],
            vec!["hello.service", "inactive", "inactive", "-", "Hello", "World"]
        ]
    );
    assert_eq!(person.fleetctl("list-units --no-legend")?, "");

    assert_eq!(person.fleetctl("load hello.service")?, format!("Unit hello.service loaded on {place}\n"));
    assert_eq!(
        rows(&person.fleetctl("list-units --no-legend --fields=unit,load,active,sub")?),
        [["hello.service", "loaded", "inactive", "dead"]]
    );
    assert_eq!(cluster.running_on("hello.service"), Vec::<u8>::new());

    assert_eq!(person.fleetctl("start hello.service")?, format!("Unit hello.service launched on {place}\n"));
    assert_eq!(cluster.running_on("hello.service"), [home]);
    assert_eq!(
        rows(&person.fleetctl("list-units")?),
        [["UNIT", "MACHINE", "ACTIVE", "SUB"], ["hello.service", &place, "active", "running"]]
    );
    let files = person.fleetctl("list-unit-files")?;
    let files = rows(&files);
    assert_eq!(files[0], ["UNIT", "HASH", "DSTATE", "STATE", "TARGET"]);
    assert_eq!([files[1][0], files[1][2], files[1][3], files[1][4]], ["hello.service", "launched", "launched", &place]);
    assert!(files[1][1].len() == 7 && files[1][1].bytes().all(|b| b.is_ascii_hexdigit()), "{files:?}");

    // A second start changes nothing, and says so by ending well.
    let before = once(cluster, &["hello.service"])?;
    person.fleetctl("start hello.service")?;
    assert_eq!(runs(cluster, &["hello.service"])?, before);

    for machine in 1..=3 {
        logs_of(Person::at(cluster, machine))?;
    }

    restart(cluster, person)?;
    end(cluster, person, &place)
}

/// What a person reads of the unit, at whichever machine they sit.
fn logs_of(person: Person<'_>) -> Result<()> {
    let status = person.fleetctl("status hello.service")?;
    assert!(status.contains("hello.service - Hello World") && status.contains("Active: active (running)"), "{status}");
    let journal = until("the journal has too few lines", || {
        let journal = person.fleetctl("journal -n 3 hello.service")?;
        anyhow::ensure!(journal.lines().count() == 3, "{journal}");
        Ok(journal)
    })?;
    assert!(journal.lines().all(|line| line.contains("Hello World")), "{journal}");
    assert_eq!(person.fleetctl("journal --lines=1 --output=cat hello")?, "Hello World\n");

    let follow = person.follows("journal -f -n 1 --output=cat hello.service")?;
    for _ in 0..4 {
        assert_eq!(follow.next_line(Duration::from_secs(20))?, "Hello World");
    }
    Ok(())
}

/// `restart` gives the unit another process, on the same machine.
fn restart(cluster: &Cluster, person: Person<'_>) -> Result<()> {
    let before = once(cluster, &["hello.service"])?;
    person.fleetctl("restart hello.service")?;
    let after = runs(cluster, &["hello.service"])?;
    let (before, after) = (&before["hello.service"], &after["hello.service"]);
    assert_eq!(after.machine, before.machine);
    assert_ne!(after.invocation, before.invocation, "restart did not restart");
    Ok(())
}

fn end(cluster: &Cluster, person: Person<'_>, place: &str) -> Result<()> {
    let stop = person.types("stop hello.service")?;
    assert_eq!(stop.stdout, format!("Unit hello.service loaded on {place}\n"));
    assert_eq!(stop.stderr, "Successfully stopped units [hello.service].\n");
    assert!(stop.success());
    assert_eq!(cluster.running_on("hello.service"), Vec::<u8>::new(), "stop returned before the process was gone");
    let status = person.types("status hello.service")?;
    assert_eq!(status.status.code(), Some(3), "systemctl's own exit code for a unit that is not active");

    let unload = person.types("unload hello.service")?;
    assert_eq!(unload.stdout, "Unit hello.service inactive\n");
    assert_eq!(unload.stderr, "Successfully unloaded units [hello.service].\n");
    assert_eq!(person.fleetctl("list-units --no-legend")?, "");
    assert!(person.refused(1, "status hello.service")?.contains("does not appear to be loaded"));

    // From wherever it is, in one step.
    person.fleetctl("start hello.service")?;
    assert_eq!(person.fleetctl("destroy hello.service")?, "Destroyed hello.service\n");
    assert_eq!(cluster.running_on("hello.service"), Vec::<u8>::new(), "destroy returned before the process was gone");
    for machine in 1..=3 {
        let person = Person::at(cluster, machine);
        assert_eq!(person.fleetctl("list-unit-files --no-legend")?, "");
        assert_eq!(person.fleetctl("list-units --no-legend")?, "");
        let left = cluster.node(machine).exec(["systemctl", "list-unit-files", "hello.service"])?.stdout;
        assert!(left.contains("0 unit files listed"), "machine {machine} still has it: {left}");
    }
    assert!(person.refused(1, "cat hello.service")?.contains("Unit hello.service not found"));

    assert_eq!(person.fleetctl("version")?, format!("fleetctl version {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(person.fleetctl("--version")?, format!("fleetctl version {}\n", env!("CARGO_PKG_VERSION")));
    let help = person.fleetctl("help")?;
    assert!(help.contains(env!("CARGO_PKG_VERSION")) && help.contains("list-unit-files"), "{help}");
    assert!(person.fleetctl("help start")?.contains("--block-attempts"));
    Ok(())
}

/// The words of each line, as scripts split them.
fn rows(list: &str) -> Vec<Vec<&str>> {
    list.lines().map(|line| line.split_whitespace().collect()).collect()
}
