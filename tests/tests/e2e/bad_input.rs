//! What a person gets who types nonsense: one clear message, an exit code, and the cluster as it was.

use anyhow::{Result, ensure};
use fleet_tests::cluster::Cluster;

use crate::support::{Person, SLEEPER, curl, sleeper_with, until};

/// The second machine's fleetd has no registry to talk to.
fn cluster(test: impl FnOnce(&Cluster) -> Result<()>) {
    let builder = Cluster::builder().machines(2).option_on(2, "etcd_servers", "http://192.0.2.99:2379");
    builder.run(|cluster| {
        until("the cluster is not up", || {
            let machines = Person::at(cluster, 1).fleetctl("list-machines --no-legend")?;
            ensure!(machines.lines().count() == 1, "{machines}");
            Ok(())
        })?;
        test(cluster)
    });
}

/// A person would lose the way: a mistake must be named, with what to do about it, on standard error and by the exit
/// code, and must have changed nothing.
#[test]
fn mistakes_are_named_and_change_nothing() {
    cluster(|cluster| {
        let person = Person::at(cluster, 1);
        files(cluster, person)?;
        commands(person)?;
        person.save("kept.service", SLEEPER)?;
        let said = person.refused(1, "start kept.service missing.service")?;
        assert!(said.contains("missing.service"), "{said}");
        assert_eq!(person.fleetctl("list-unit-files --no-legend")?, "", "a refused command left units behind");
        warnings(person)?;
        no_fleetd(cluster, person)?;
        Ok(())
    });
}

/// Files that are no units.
fn files(cluster: &Cluster, person: Person<'_>) -> Result<()> {
    person.save("no-section.service", "ExecStart=/bin/true\n")?;
    person.save("no-equals.service", "[Service]\nExecStart\n")?;
    person.save("empty.service", "")?;
    person.save("binary.service", b"\x7fELF\x00\xff".as_slice())?;
    person.save("contradiction.service", sleeper_with("Global=true\nMachineID=1234"))?;
    person.save("peer.service", sleeper_with("MachineOf=a.service\nConflicts=a.*"))?;
    person.save("b%d.service", SLEEPER)?;
    cluster.node(1).exec(["mkdir", "-p", "/root/folder.service"])?.ok()?;
    for (words, expected) in [
        ("submit missing.service", "unable to find Unit(missing.service) in Registry or on filesystem"),
        ("start web@1", "unable to find template Unit(web@.service) in Registry or on filesystem"),
        ("submit folder.service", "cannot read folder.service"),
        ("submit no-section.service", "no section"),
        ("submit no-equals.service", "line 2"),
        ("submit empty.service", "empty"),
        ("submit binary.service", "binary.service"),
        ("start contradiction.service", "MachineID cannot be used with Global"),
        ("load peer.service", "unresolvable requirements: peer \"a.service\" matches conflict \"a.*\""),
        ("submit b%d.service", "invalid character '%' in unit name"),
        ("cat missing.service", "Unit missing.service not found"),
        ("status missing.service", "Unit missing.service does not exist."),
        ("journal missing.service", "Unit missing.service does not exist."),
        ("restart missing.service", "Units not found in registry"),
        ("start missing@*", "no unit in Registry matches \"missing@*\""),
        ("list-units --fields=unit,colour", "Invalid key in output format: \"colour\""),
        ("list-machines --fields=", "Must define output format"),
    ] {
        let said = person.refused(1, words)?;
        assert!(said.contains(expected), "`fleetctl {words}` says: {said}");
    }
    Ok(())
}

/// Command lines that make no sense.
fn commands(person: Person<'_>) -> Result<()> {
    for words in ["frobnicate", "start --frobnicate x.service", "journal --lines=many x.service", "--frobnicate"] {
        let said = person.refused(2, words)?;
        assert!(said.contains("frobnicate") || said.contains("many"), "`fleetctl {words}` says: {said}");
    }
    Ok(())
}

/// What fleet does not know, but bears.
fn warnings(person: Person<'_>) -> Result<()> {
    person.save("future.service", sleeper_with("MachineColour=red"))?;
    let said = person.types("submit future.service")?;
    assert!(said.success() && said.stderr.contains("MachineColour"), "{said:?}");
    assert_eq!(said.stdout, "Unit future.service inactive\n");
    for words in ["start", "stop", "submit", "destroy", "load", "unload"] {
        let said = person.types(words)?;
        assert!(said.success() && said.stderr.contains("No units given"), "`fleetctl {words}`: {said:?}");
    }
    person.fleetctl("destroy future.service")?;
    // What is not there is stopped: scripts that clean up twice go on.
    for words in ["stop missing.service", "unload missing.service", "destroy missing.service", "destroy missing@*"] {
        let said = person.types(words)?;
        assert!(said.success() && said.stderr.contains("Units not found in registry"), "`fleetctl {words}`: {said:?}");
    }
    Ok(())
}

/// Nobody to ask, or nobody behind the one who is asked.
fn no_fleetd(cluster: &Cluster, person: Person<'_>) -> Result<()> {
    for endpoint in ["unix:///run/nothing.sock", "http://127.0.0.1:1"] {
        let said = person.refused(1, &format!("--endpoint={endpoint} list-units"))?;
        assert!(said.contains("Error retrieving list of units from repository"), "{said}");
        assert!(said.contains("systemctl start fleet") && said.contains("--endpoint"), "no way out is named: {said}");
    }
    let said = person.refused(1, "--endpoint=ftp://nowhere list-units")?;
    assert!(said.contains("must begin with unix://"), "{said}");

    let lonely = Person::at(cluster, 2);
    lonely.save("x.service", SLEEPER)?;
    for words in ["list-units", "list-machines", "start x.service", "cat x.service"] {
        let said = lonely.refused(1, words)?;
        assert!(said.contains("registry") || said.contains("etcd"), "`fleetctl {words}` says: {said}");
    }
    let answer = curl(cluster, 2, "/fleet/v1/units", &[], b"")?;
    assert_eq!(answer.status, 503, "{answer:?}");
    answer.message()?;
    Ok(())
}
