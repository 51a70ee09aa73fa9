//! What scripts written for fleet, and people who know it, type beside the everyday commands.

use anyhow::{Result, ensure};
use fleet_tests::cluster::Cluster;

use crate::support::{LIMIT, Person, Run, SLEEPER, all_runs, settled, sleeper_with, until};

/// A person would be left with half of what fleet's help promised: patterns of names, folders, standard input, drop-ins
/// beside a unit, and global units in every command.
#[test]
fn patterns_folders_drop_ins_and_global_units() {
    Cluster::builder().machines(2).run(|cluster| {
        settled(cluster, 1, 2)?;
        let person = Person::at(cluster, 1);
        folders_and_patterns(cluster, person)?;
        standard_input(cluster, person)?;
        drop_ins(cluster, person)?;
        global(cluster, person)
    });
}

fn folders_and_patterns(cluster: &Cluster, person: Person<'_>) -> Result<()> {
    for name in ["web@.service", "web@1.service", "web@2.service", "db.service"] {
        person.save(&format!("site/{name}"), SLEEPER)?;
    }
    person.save("site/README.md", "no unit")?;
    let said = person.fleetctl("submit site")?;
    assert_eq!(said.lines().count(), 4, "{said}");
    let said = person.fleetctl("start site/")?;
    assert_eq!(said.matches(" launched on ").count(), 3, "the template is no unit to start: {said}");
    // What a pattern matches and nobody has started is not in the way.
    person.fleetctl("submit web@3")?;
    person.refused(1, "stop web@3")?;
    let stopped = person.types("stop web@*")?;
    assert_eq!(stopped.stderr, "Successfully stopped units [web@1.service web@2.service].\n");
    assert_eq!(cluster.running_on("db.service").len(), 1, "it was not meant");
    let loaded = person.types("load db")?;
    assert!(loaded.success() && loaded.stderr.contains("is launched already"), "{loaded:?}");
    assert_eq!(cluster.running_on("db.service").len(), 1, "load stopped it");
    person.fleetctl("start web@?.service")?;
    assert_eq!(cluster.running_on("web@2.service").len(), 1);
    // A beginning that was unique in fleet is so still.
    person.fleetctl("dest web@[1-3]")?;
    let left = person.fleetctl("list-unit-files --no-legend --fields=unit")?;
    assert_eq!(left, "db.service\nweb@.service\n", "a pattern does not mean the template");
    person.fleetctl("destroy db web@.service")?;
    Ok(())
}

fn standard_input(cluster: &Cluster, person: Person<'_>) -> Result<()> {
    let typed = |words: &[&str], input: String| -> Result<String> {
        let command = ["env", "--chdir", "/root", "fleetctl"].iter().chain(words).copied();
        cluster.node(1).exec_with(command, input.into_bytes(), LIMIT)?.ok()
    };
    typed(&["submit", "--name=in", "-"], SLEEPER.to_owned())?;
    assert_eq!(person.fleetctl("cat in.service")?, SLEEPER);
    // What systemctl prints can be submitted.
    let shown = cluster.node(1).exec(["systemctl", "cat", "systemd-journald.service"])?.ok()?;
    typed(&["submit", "-"], shown.replace("systemd-journald", "copy"))?;
    assert!(person.fleetctl("cat copy.service")?.contains("ExecStart="));
    typed(&["start", "-"], format!("# two.service\n{SLEEPER}# /etc/three.service\n{SLEEPER}"))?;
    assert_eq!([cluster.running_on("two.service").len(), cluster.running_on("three.service").len()], [1, 1]);
    person.fleetctl("destroy in copy two three")?;
    Ok(())
}

fn drop_ins(cluster: &Cluster, person: Person<'_>) -> Result<()> {
    let hash = || -> Result<String> {
        let list = person.fleetctl("list-unit-files --no-legend --fields=unit,hash")?;
        let line = list.lines().find(|line| line.starts_with("site@1.service"));
        Ok(line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or_default().to_owned())
    };
    person.save("site@.service", "[Service]\nExecStart=/bin/sh -c 'echo $WORD; exec sleep infinity'\n")?;
    person.fleetctl("start site@1.service")?;
    let plain = hash()?;
    person.save("site@.service.d/10-word.conf", "[Service]\nEnvironment=WORD=first\n")?;
    person.save("site@1.service.d/20-place.conf", "[X-Fleet]\nMachineID=f1ee7002\n")?;
    let warned = person.types("start site@1.service")?;
    assert!(warned.stderr.contains("Add --replace to override"), "{warned:?}");
    person.fleetctl("start --replace site@1.service")?;
    assert_eq!(cluster.running_on("site@1.service"), [2], "what a drop-in asks of the cluster does not count");
    assert_ne!(hash()?, plain, "HASH does not tell one from the other");
    until("the drop-in is not used", || {
        let journal = person.fleetctl("journal --output=cat -n 5 site@1.service")?;
        ensure!(journal.lines().any(|line| line == "first"), "{journal}");
        Ok(())
    })?;
    let text = person.fleetctl("cat site@1.service")?;
    assert!(
        text.contains("# 10-word.conf") && text.contains("WORD=first") && text.contains("# 20-place.conf"),
        "{text}"
    );
    let same = person.fleetctl("start --replace site@1.service")?;
    assert!(same.contains("Found same Unit(site@1.service) in Registry, nothing to do"), "{same}");
    // Instances have the drop-ins of their template in the cluster.
    person.fleetctl("submit site@.service")?;
    cluster.node(1).exec(["sh", "-c", "rm -r /root/site@*"])?.ok()?;
    person.fleetctl("start site@2.service")?;
    assert!(person.fleetctl("cat site@2.service")?.contains("WORD=first"));
    person.fleetctl("destroy site@1 site@2 site@.service")?;
    Ok(())
}

fn global(cluster: &Cluster, person: Person<'_>) -> Result<()> {
    person.save("all.service", sleeper_with("Global=true").replace("[Service]", "[Service]\nExecStop=/bin/sleep 1"))?;
    assert_eq!(
        person.fleetctl("start all.service")?,
        "Unit all.service inactive\nTriggered global unit all.service start\n"
    );
    until("it is not shown to run everywhere", || {
        let list = person.fleetctl("list-unit-files --no-legend")?;
        ensure!(list.contains("launched(2/2)\tglobal"), "{list}");
        Ok(())
    })?;
    let status = person.fleetctl("status all.service")?;
    assert_eq!(status.matches("Active: active (running)").count(), 2, "{status}");
    let one = person.fleetctl("status --machine=f1ee7002 all.service")?;
    assert_eq!(one.matches("Active: active (running)").count(), 1, "{one}");
    let journal = person.fleetctl("journal all.service")?;
    assert!(journal.contains(" node1 ") && journal.contains(" node2 "), "{journal}");
    let journal = person.fleetctl("journal --machine=f1ee7002 all.service")?;
    assert!(!journal.contains(" node1 ") && journal.contains(" node2 "), "{journal}");

    let before = everywhere(cluster)?;
    let said = person.fleetctl("restart all.service")?;
    assert_eq!(said, "Triggered global unit all.service restart\nUnit all.service launched\n");
    let after = everywhere(cluster)?;
    for (before, after) in before.iter().zip(&after) {
        assert_ne!(before.invocation, after.invocation, "restart returned before machine {} did", after.machine);
    }
    assert_eq!(after.len(), 2);
    person.fleetctl("stop all.service")?;
    assert_eq!(cluster.running_on("all.service"), Vec::<u8>::new(), "stop returned before the processes were gone");
    person.fleetctl("start all.service")?;
    until("it does not run again", || {
        ensure!(cluster.running_on("all.service").len() == 2);
        Ok(())
    })?;
    person.fleetctl("unload all.service")?;
    assert_eq!(cluster.running_on("all.service"), Vec::<u8>::new(), "unload returned before the processes were gone");
    person.fleetctl("destroy all.service")?;
    Ok(())
}

/// The runs of the global unit, by machine.
fn everywhere(cluster: &Cluster) -> Result<Vec<Run>> {
    let mut runs = all_runs(cluster, &["all.service"])?.remove("all.service").unwrap_or_default();
    runs.sort_by_key(|run| run.machine);
    Ok(runs)
}
