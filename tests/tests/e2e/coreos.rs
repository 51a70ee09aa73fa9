//! A cluster of CoreOS fleet that becomes one of this fleet's.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use fleet_tests::cluster::{Cluster, Registry};
use fleet_tests::lab::Node;
use fleet_units::UnitFile;

use crate::support::{Person, once, runs, settled, until};

const ETCD: &str = "http://192.0.2.251:2379";
const PREFIX: &str = "/v2/keys/_coreos.com/fleet";
/// A machine of the old cluster on which nobody installs the new fleet.
const ELSEWHERE: &str = "0123456789abcdef0123456789abcdef";

/// Writes a key as CoreOS fleet did.
fn put(node: Node<'_>, key: &str, value: &str, ttl: Option<u32>) -> Result<()> {
    let url = format!("{ETCD}{PREFIX}/{key}");
    let ttl = ttl.map(|ttl| format!("ttl={ttl}"));
    let more = ttl.iter().flat_map(|ttl| ["--data", ttl.as_str()]);
    let command = ["curl", "--silent", "--show-error", "--fail", "--request", "PUT", "--data-urlencode", "value@-"];
    let command = command.into_iter().chain(more).chain([url.as_str()]);
    node.exec_with(command, value.as_bytes().to_vec(), Duration::from_secs(30))?.ok().map(drop)
}

/// A unit in the old tree; `machine` is where it is scheduled.
fn submit(node: Node<'_>, name: &str, text: &str, state: &str, machine: Option<&str>) -> Result<()> {
    let file = UnitFile::parse(text)?;
    let hash = file.hash().to_string();
    let bytes: Vec<u8> = (0..20).map(|i| u8::from_str_radix(&hash[2 * i..2 * i + 2], 16)).collect::<Result<_, _>>()?;
    put(node, &format!("unit/{hash}"), &serde_json::json!({ "Raw": file.canonical() }).to_string(), None)?;
    let object = serde_json::json!({ "Name": name, "UnitHash": bytes }).to_string();
    put(node, &format!("job/{name}/object"), &object, None)?;
    put(node, &format!("job/{name}/target-state"), state, None)?;
    match machine {
        Some(machine) => put(node, &format!("job/{name}/target"), machine, None),
        None => Ok(()),
    }
}

/// What CoreOS fleet's agent did with a unit.
fn run(node: Node<'_>, name: &str, text: &str, starts: bool) -> Result<()> {
    let text = UnitFile::parse(text)?.canonical();
    let path = format!("/run/fleet/units/{name}");
    let write = format!("mkdir -p /run/fleet/units && cat > {path} && systemctl --quiet link --runtime {path}");
    node.exec_with(["sh", "-c", &write], text.into_bytes(), Duration::from_secs(30))?.ok()?;
    if starts {
        node.exec(["systemctl", "start", name])?.ok()?;
    }
    Ok(())
}

/// Whoever replaces CoreOS fleet by this one would lose units, what is wanted of them, or every process: all of it is
/// taken over, and not one process is restarted.
#[test]
fn a_cluster_of_coreos_fleet_is_taken_over_without_restarting_a_process() {
    Cluster::builder().machines(2).registry(Registry::Etcd(1)).without_fleetd_at_boot().run(|cluster| {
        let [first, second] = [cluster.node(1), cluster.node(2)];
        let sleeper = |what: &str| format!("[Service]\nExecStart=/bin/sleep {what}\n");
        let global = "[Service]\nExecStart=/bin/sleep 30d\n\n[X-Fleet]\nGlobal=true\n";
        let (one, two) = (first.machine_id(), second.machine_id());
        for (name, text, state, node) in [
            ("a.service", sleeper("20d"), "launched", Some(first)),
            ("b.service", sleeper("21d"), "launched", Some(second)),
            ("idle.service", sleeper("22d"), "loaded", Some(first)),
            ("web@.service", sleeper("23d"), "inactive", None),
            ("web@1.service", sleeper("23d"), "launched", Some(second)),
            ("new.service", sleeper("24d"), "launched", None),
        ] {
            let machine = node.map(|node| node.machine_id());
            submit(first, name, &text, state, machine.as_deref())?;
            if let Some(node) = node {
                run(node, name, &text, state == "launched")?;
            }
        }
        submit(first, "all.service", global, "launched", None)?;
        submit(first, "far.service", &sleeper("25d"), "launched", Some(ELSEWHERE))?;
        put(first, "job/husk.service/job-state", &one, None)?;
        put(first, &format!("machines/{ELSEWHERE}/object"), r#"{"PublicIP":"192.0.2.77"}"#, Some(600))?;
        put(first, &format!("machines/{two}/metadata/zone"), "b", None)?;
        for node in [first, second] {
            run(node, "all.service", global, true)?;
        }
        let moving = ["a.service", "b.service", "web@1.service"];
        let before = runs(cluster, &moving)?;
        let everywhere = || [first, second].map(|node| node.processes_of("all.service"));
        let all = everywhere();

        for node in [first, second] {
            node.exec(["systemctl", "start", "fleet.socket", "fleet.service"])?.ok()?;
        }
        settled(cluster, 1, 2)?;
        let person = Person::at(cluster, 1);
        let orphans = || -> Result<BTreeSet<String>> {
            let list = person.fleetctl("orphans")?;
            let names = list.lines().skip(1).filter_map(|line| line.split_whitespace().next());
            Ok(names.map(str::to_owned).collect())
        };
        until("what CoreOS fleet left is not found", || {
            let found = orphans()?;
            ensure!(
                moving.iter().chain(&["all.service", "idle.service"]).all(|name| found.contains(*name)),
                "{found:?}"
            );
            Ok(())
        })?;

        let shown = person.types(&format!("import --etcd2 {ETCD} --dry-run"))?.ok()?;
        assert!(shown.contains("a.service would be launched"), "{shown}");
        assert_eq!(person.fleetctl("list-unit-files --no-legend")?, "", "a look changes nothing");
        let said = person.refused(1, &format!("import --etcd2 {ETCD}"))?;
        assert!(said.contains("far.service is inactive here") && said.contains("192.0.2.77"), "{said}");

        until("not all is as it was", || {
            let left = orphans()?;
            ensure!(left.is_empty(), "still orphans: {left:?}");
            let files = person.fleetctl("list-unit-files --no-legend --fields=unit,dstate,state")?;
            let files: Vec<String> =
                files.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            let expected = [
                "a.service launched launched",
                "all.service launched launched(2/2)",
                "b.service launched launched",
                "far.service inactive inactive",
                "idle.service loaded loaded",
                "new.service launched launched",
                "web@.service inactive inactive",
                "web@1.service launched launched",
            ];
            ensure!(files == expected, "{files:?}");
            Ok(())
        })?;
        once(cluster, &["new.service"])?;
        let untouched = || -> Result<()> {
            assert_eq!(runs(cluster, &moving)?, before, "a process was restarted, or moved");
            assert_eq!(everywhere(), all, "a global unit was restarted");
            assert_eq!(cluster.running_on("idle.service"), Vec::<u8>::new());
            assert_eq!(cluster.running_on("far.service"), Vec::<u8>::new());
            Ok(())
        };
        untouched()?;
        let zone = person.fleetctl("list-machines --no-legend --full --fields=machine,metadata")?;
        assert!(zone.lines().any(|line| line.starts_with(&two) && line.contains("zone=b")), "{zone}");

        for node in [first, second] {
            node.exec(["systemctl", "restart", "fleet.service"])?.ok()?;
        }
        settled(cluster, 1, 2)?;
        untouched()?;
        person.refused(1, &format!("import --etcd2 {ETCD}"))?;
        untouched()?;
        // From now on they are units like any other.
        person.fleetctl("stop a.service")?;
        assert_eq!(cluster.running_on("a.service"), Vec::<u8>::new());
        let none = person.refused(1, &format!("import --etcd2 {ETCD} --etcd-key-prefix /other"))?;
        assert!(none.contains("--etcd-key-prefix"), "{none}");
        Ok(())
    });
}
