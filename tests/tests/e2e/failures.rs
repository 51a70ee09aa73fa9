//! Units that systemd gives up on: shown as they are, moved where they ask for it, and no burden to others.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::{Cluster, Registry};

use crate::support::{Person, SLEEPER, curl, once, runs, sleeper_with, until, view};

/// A service that runs only where this file is, and that systemd gives up on after two attempts.
fn needs(file: &str, requirements: &str) -> String {
    format!(
        "[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=2\n\n[Service]\nRestart=on-failure\nRestartSec=100ms\n\
         ExecStart=/bin/sh -c 'test -e {file} && exec sleep infinity'\n\n[X-Fleet]\n{requirements}\n"
    )
}

/// A service would stay down though another machine could run it: a broken disk, a missing device, a port that something
/// else took. And one that fails everywhere would be thrown from machine to machine for ever.
#[test]
fn a_unit_that_fails_on_its_machine_ends_where_it_runs() {
    Cluster::builder().machines(3).run(|cluster| {
        cluster.wait_machines(3)?;
        let person = Person::at(cluster, 1);
        cluster.node(3).write_file("/opt/data", "")?;
        person.save("peaceful.service", SLEEPER)?;
        person.fleetctl("start peaceful.service")?;
        let peaceful = once(cluster, &["peaceful.service"])?;
        person.save("picky.service", needs("/opt/data", "OnFailure=move"))?;
        person.save("hopeless.service", needs("/opt/nowhere", "OnFailure=move\nMaxMoves=2"))?;
        person.save("resigned.service", needs("/opt/nowhere", "OnFailure=stay"))?;
        person.fleetctl("start --no-block picky hopeless resigned")?;

        // It waits before it moves, and says until when.
        until("nothing is said of a move to come", || {
            let note = view(cluster, 1, "hopeless.service")?.note.context("there is no note")?;
            let not_before = note.not_before.context("it waits for nothing")?;
            ensure!(not_before >= note.since && note.reason.contains("is to be moved in a while"), "{note:?}");
            Ok(())
        })?;
        let picky = until("it does not come to where it can run", || {
            let runs = runs(cluster, &["picky.service"])?;
            ensure!(runs["picky.service"].machine == 3, "{runs:?}");
            Ok(runs)
        })?;

        // What fails everywhere stays failed, and says so wherever people look.
        until("it is moved on and on", || {
            let view = view(cluster, 1, "hopeless.service")?;
            let note = view.note.context("there is no note")?;
            ensure!(note.reason.contains("stays there: it was moved 2 times (MaxMoves=2)"), "{note:?}");
            ensure!(note.moves == 2 && note.not_before.is_none(), "{note:?}");
            ensure!(view.states.len() == 1 && view.states[0].active == "failed", "{:?}", view.states);
            Ok(())
        })?;
        let list = person.fleetctl("list-units --no-legend --fields=unit,active,sub")?;
        for line in ["hopeless.service failed failed", "resigned.service failed failed", "picky.service active running"]
        {
            let has = |words: &str| list.lines().any(|l| l.split_whitespace().collect::<Vec<_>>().join(" ") == words);
            assert!(has(line), "there is no {line:?} in\n{list}");
        }
        let states = curl(cluster, 2, "/fleet/v1/state", &[], b"")?.body;
        assert_eq!(states.matches(r#""systemdActiveState":"failed""#).count(), 2, "{states}");
        let status = person.types("status hopeless.service")?;
        assert!(!status.success() && status.stdout.contains("failed"), "{status:?}");
        assert!(status.stderr.contains("it was moved 2 times"), "{status:?}");
        let status = person.types("cluster status")?;
        assert!(!status.success() && status.stdout.contains("WRONG: unit hopeless.service failed on"), "{status:?}");
        let resigned = view(cluster, 1, "resigned.service")?;
        assert!(resigned.note.is_none_or(|note| note.moves == 0), "one that does not ask for it is moved");

        // A person who mends it and starts it has it tried again, wherever it is.
        for node in cluster.nodes() {
            node.write_file("/opt/nowhere", "")?;
        }
        person.fleetctl("start hopeless.service")?;
        once(cluster, &["hopeless.service"])?;
        assert_eq!(runs(cluster, &["peaceful.service"])?, peaceful, "a unit was touched for others' failures");
        assert_eq!(runs(cluster, &["picky.service"])?, picky);
        Ok(())
    });
}

/// A service that fails when told to.
fn fails_at(file: &str, requirements: &str) -> String {
    let text = "[Service]\nExecStart=/bin/sh -c 'until test -e FILE; do sleep 0.05; done; exit 3'\n\n[X-Fleet]\n";
    format!("{}{requirements}\n", text.replace("FILE", file))
}

/// A person would believe that a unit runs that does not: a start that ended at once, and a failure that nobody saw
/// because fleetd was dead, or because the registry was away.
#[test]
fn what_failed_unseen_is_shown_as_failed() {
    Cluster::builder().machines(2).metadata_on(1, "name=one").metadata_on(2, "name=two").run(|cluster| {
        cluster.wait_machines(2)?;
        let person = Person::at(cluster, 1);
        // What ends at once, and what is not even there: systemd calls both active for a moment.
        for (name, command) in [("ends", "/bin/false"), ("missing", "/bin/none-such")] {
            person.save(&format!("{name}.service"), format!("[Service]\nExecStart={command}\n"))?;
            let start = person.types(&format!("start {name}.service"))?;
            let said = start.refused(1)?;
            assert!(said.contains("it failed with result \"exit-code\""), "{said}");
            assert!(said.contains(&format!("fleetctl journal {name}.service")), "{said}");
        }

        person.save("a.service", fails_at("/run/break-a", "MachineMetadata=name=two"))?;
        person.save("b.service", fails_at("/run/break-b", "MachineMetadata=name=two"))?;
        person.fleetctl("start a.service b.service")?;
        let is_failed = |unit: &str| -> Result<()> {
            let state = cluster.node(2).exec(["systemctl", "show", "--value", "--property=ActiveState", unit])?.ok()?;
            ensure!(state.trim() == "failed", "{state}");
            Ok(())
        };
        let is_shown = |unit: &str| -> Result<()> {
            let list = person.fleetctl("list-units --no-legend --fields=unit,active")?;
            let line = list.lines().find(|line| line.starts_with(unit)).context("it is not listed")?;
            ensure!(line.ends_with("failed"), "{line}");
            Ok(())
        };

        // fleetd is dead while it happens.
        let node = cluster.node(2);
        node.pause("fleetd")?;
        node.write_file("/run/break-a", "")?;
        until("a.service does not fail", || is_failed("a.service"))?;
        node.signal("fleetd", nix::sys::signal::Signal::SIGKILL)?;
        until("a failure that nobody saw is not shown", || is_shown("a.service"))?;

        // The registry, which is in the other's fleetd, is away while it happens.
        cluster.node(1).pause("fleetd")?;
        node.write_file("/run/break-b", "")?;
        until("b.service does not fail", || is_failed("b.service"))?;
        cluster.node(1).resume("fleetd")?;
        until("a failure during an outage is not shown", || is_shown("b.service"))
    });
}

/// A unit that flaps would fill the registry's disk and keep every watcher busy, and nobody could tell how it is.
#[test]
fn a_unit_that_flaps_costs_a_bounded_number_of_writes() {
    const SPAN: Duration = Duration::from_secs(10);
    Cluster::builder().machines(1).registry(Registry::Etcd(1)).run(|cluster| {
        cluster.wait_machines(1)?;
        let person = Person::at(cluster, 1);
        let flaps =
            "[Unit]\nStartLimitIntervalSec=0\n\n[Service]\nRestart=always\nRestartSec=0\nExecStart=/bin/false\n";
        person.save("flaps.service", flaps)?;
        person.save("calm.service", sleeper_with(""))?;
        person.fleetctl("start --no-block flaps.service")?;
        let restarts = || -> Result<u32> {
            let show = ["systemctl", "show", "--value", "--property=NRestarts", "flaps.service"];
            Ok(cluster.node(1).exec(show)?.ok()?.trim().parse()?)
        };
        until("it does not flap", || {
            let restarts = restarts()?;
            ensure!(restarts > 20, "{restarts} restarts");
            Ok(())
        })?;
        let etcd = cluster.etcd().context("there is an etcd")?;
        let key = format!("/_coreos.com/fleet/v3/states/{}/flaps.service", cluster.node(1).machine_id());
        let look = || -> Result<(u64, u64)> {
            let answer: serde_json::Value =
                serde_json::from_str(&etcd.etcdctl(["get", &key, "--write-out=json"])?.ok()?)?;
            let revision = answer["header"]["revision"].as_u64().context("there is no revision")?;
            Ok((answer["kvs"][0]["version"].as_u64().context("it has no state")?, revision))
        };
        let (before, begin, flapped) = (look()?, std::time::Instant::now(), restarts()?);
        // Others start beside it as ever.
        person.fleetctl("start calm.service")?;
        until("the time is not over", || {
            ensure!(begin.elapsed() >= SPAN);
            Ok(())
        })?;
        let (after, span, flapped) = (look()?, begin.elapsed(), restarts()? - flapped);
        let bound = 10 + 2 * span.as_secs();
        let (states, all) = (after.0 - before.0, after.1 - before.1);
        ensure!(flapped > 100, "{flapped} restarts in {span:?} are no flapping");
        ensure!(states <= bound, "{states} writes of its state in {span:?}, for {flapped} restarts");
        // The rest is the start of the other unit: its text, the schedule, its state, and what was said of them.
        ensure!(all <= bound + 20, "{all} writes in all in {span:?}");
        // What it is at when it ends is seen at once.
        person.fleetctl("stop flaps.service")?;
        let list = person.fleetctl("list-units --no-legend --fields=unit,active")?;
        let line = list.lines().find(|line| line.starts_with("flaps.service")).context("it is not listed")?;
        ensure!(line.ends_with("failed") || line.ends_with("inactive"), "{line}");
        Ok(())
    });
}
