//! People who reach machines by ssh, and a fleetd of old that can be asked for nothing else.

use anyhow::{Result, ensure};
use fleet_tests::cluster::Cluster;

use crate::support::{
    ENDPOINT, KNOWN_HOSTS, Person, SLEEPER, once, open_version_one, runs, settled, sleeper_with, until, with_sshd,
};

/// Whoever works from outside the cluster, or against a CoreOS fleet's fleetd, would lose every command: shells and
/// commands on machines, a tunnel for all else, with the person's own ssh and what fleet's flags say of it.
#[test]
fn people_reach_machines_by_their_own_ssh() {
    with_sshd(Cluster::builder().machines(2)).expect("keys can be made").run(|cluster| {
        settled(cluster, 1, 2)?;
        let person = Person::at(cluster, 1);
        sessions(cluster, person)?;
        tunnels(cluster, person)?;
        open_version_one(cluster.node(1))?;
        version_one(cluster, person)
    });
}

/// `ssh` to a machine, to a unit's machine, and to every machine of a global unit.
fn sessions(cluster: &Cluster, person: Person<'_>) -> Result<()> {
    let other = cluster.node(2).machine_id();
    let root = format!("--ssh-username=root --known-hosts-file={KNOWN_HOSTS}");
    until("nobody can log in", || person.fleetctl(&format!("{root} ssh {other} true")).map(drop))?;
    assert_eq!(person.fleetctl(&format!("{root} ssh f1ee7002 hostname"))?, "node2\n", "the beginning of an id will do");
    assert_eq!(person.fleetctl(&format!("{root} ssh node2 -- echo -l a"))?, "-l a\n", "the command is left alone");
    assert_eq!(person.fleetctl(&format!("{root} ssh -A --ssh-port=22 --machine={other} hostname"))?, "node2\n");
    assert_eq!(person.types(&format!("{root} ssh node2 exit 7"))?.status.code(), Some(7));

    person.save("there.service", sleeper_with("MachineID=f1ee7002"))?;
    person.save("all.service", sleeper_with("Global=true"))?;
    person.fleetctl("start there.service all.service")?;
    assert_eq!(person.fleetctl(&format!("{root} ssh there.service hostname"))?, "node2\n");
    assert_eq!(person.fleetctl(&format!("{root} ssh --unit=there hostname"))?, "node2\n");
    until("the global unit is not everywhere", || {
        let said = person.fleetctl(&format!("{root} ssh all.service hostname"))?;
        ensure!(said == "node1\nnode2\n", "{said}");
        Ok(())
    })?;

    // A key that nobody has told of is not believed, unless that is asked for; and nothing is remembered then.
    let words = person.refused(255, "--ssh-username=root ssh node2 true")?;
    assert!(words.contains("Host key verification failed"), "{words}");
    person.fleetctl("--ssh-username=root --strict-host-key-checking=false ssh node2 true")?;
    person.refused(255, "--ssh-username=root ssh node2 true")?;
    // Nobody is called core here, who is who logs in unless the person's configuration says otherwise.
    let words = person.refused(255, "--strict-host-key-checking=false ssh node2 true")?;
    assert!(words.contains("core@192.0.2.2"), "{words}");
    person.save(".ssh/config", "Host 192.0.2.*\n  User root\n")?;
    person.fleetctl("--strict-host-key-checking=false ssh node2 true")?;

    for (words, expected) in [
        ("ssh", "Unable to proceed: one machine or unit must be provided"),
        ("ssh nobody true", "Unable to proceed: could not find matching unit or machine"),
        ("ssh f1ee7 true", "Unable to proceed: found more than one machine"),
        ("ssh --machine=nobody true", "Unable to proceed: machine does not exist"),
        ("ssh --unit=nobody true", "Unable to proceed: unit does not exist"),
        ("ssh all.service", "a shell is on one"),
    ] {
        let said = person.refused(1, words)?;
        assert!(said.contains(expected), "`fleetctl {words}` says: {said}");
    }
    Ok(())
}

/// Everything through another machine.
fn tunnels(cluster: &Cluster, person: Person<'_>) -> Result<()> {
    // A socket that is only there.
    cluster.node(2).exec(["ln", "-s", "/run/fleet.sock", "/run/there.sock"])?.ok()?;
    let tunnel = format!("--tunnel=192.0.2.2 --endpoint=unix:///run/there.sock --known-hosts-file={KNOWN_HOSTS}");
    let machines = person.fleetctl(&format!("{tunnel} list-machines --no-legend"))?;
    assert_eq!(machines.lines().count(), 2, "{machines}");
    person.save("far.service", SLEEPER)?;
    let said = person.fleetctl(&format!("{tunnel} start far.service"))?;
    assert!(said.contains("Unit far.service launched on "), "{said}");
    assert!(person.fleetctl(&format!("{tunnel} status far.service"))?.contains("Active: active (running)"));
    assert!(person.fleetctl(&format!("{tunnel} journal far.service"))?.contains("far.service"));
    assert_eq!(person.fleetctl(&format!("{tunnel} ssh node1 hostname"))?, "node1\n", "through one to another");
    person.fleetctl(&format!("{tunnel} destroy far.service"))?;
    let said = person.refused(1, &format!("{tunnel} --ssh-timeout=1 --tunnel=192.0.2.99 list-machines"))?;
    assert!(said.contains("through ssh 192.0.2.99"), "{said}");
    Ok(())
}

/// A fleetd that speaks API v1 alone.
fn version_one(cluster: &Cluster, person: Person<'_>) -> Result<()> {
    let old = |words: &str| format!("--endpoint={ENDPOINT} --known-hosts-file={KNOWN_HOSTS} {words}");
    let fleetctl = |words: &str| person.fleetctl(&old(words));
    assert_eq!(fleetctl("list-machines --no-legend --fields=ip")?, "192.0.2.1\n192.0.2.2\n");
    person.save("old@.service", "[Service]\nExecStart=/bin/sh -c 'echo I am %i; exec sleep infinity'\n")?;
    assert_eq!(fleetctl("submit old@.service")?, "Unit old@.service inactive\n");
    assert!(fleetctl("cat old@.service")?.contains("echo I am %i"));
    let said = fleetctl("start old@1.service old@2.service")?;
    assert_eq!(said.matches(" launched on f1ee700").count(), 2, "{said}");
    let units = ["old@1.service", "old@2.service"];
    let before = once(cluster, &units)?;
    assert_eq!(fleetctl("list-units --no-legend --fields=unit,active,sub")?.matches("active").count(), 5);
    let files = fleetctl("list-unit-files --no-legend --fields=unit,dstate,state,target")?;
    assert!(files.contains("all.service\tlaunched\tlaunched(2)\tglobal"), "{files}");

    // Wherever they are, by ssh or without where it is this machine.
    for unit in units {
        assert!(fleetctl(&format!("status {unit}"))?.contains("Active: active (running)"));
        let instance = unit.trim_start_matches("old@").trim_end_matches(".service");
        until("the journal lacks it", || {
            let journal = fleetctl(&format!("journal --output=cat -n 5 --sudo=false {unit}"))?;
            ensure!(journal.lines().any(|line| line == format!("I am {instance}")), "{journal}");
            Ok(())
        })?;
    }
    fleetctl("restart old@1.service")?;
    let after = runs(cluster, &units)?;
    assert_ne!(after["old@1.service"].invocation, before["old@1.service"].invocation, "restart did not restart");
    assert_eq!(after["old@2.service"], before["old@2.service"]);

    let stopped = person.types(&old("stop old@*"))?;
    assert_eq!(stopped.stderr, "Successfully stopped units [old@1.service old@2.service].\n");
    assert_eq!(cluster.running_on("old@1.service"), Vec::<u8>::new(), "stop returned before the process was gone");
    assert_eq!(person.types(&old("status old@1.service"))?.status.code(), Some(3));
    person.save("old@.service", "[Service]\nExecStart=/bin/sleep infinity\n")?;
    fleetctl("start --replace old@1.service")?;
    assert!(!fleetctl("cat old@1.service")?.contains("echo"), "it was not replaced");
    fleetctl("unload old@1.service")?;
    assert_eq!(fleetctl("destroy old@1.service old@2.service old@.service")?.matches("Destroyed ").count(), 3);
    assert_eq!(cluster.running_on("old@1.service"), Vec::<u8>::new());
    Ok(())
}
