//! Starts that are ordered across machines.

use anyhow::{Result, ensure};
use fleet_tests::cluster::Cluster;

use crate::support::{Person, Watched, once, sleeper_with, until};

/// An application would start before its database, on another machine, where systemd's own After= does not reach; or it
/// would wait, and nobody would say for what; or it would be stopped once what it required is gone.
#[test]
fn starts_wait_for_units_on_other_machines() {
    Cluster::builder().machines(2).run(|cluster| {
        cluster.wait_machines(2)?;
        let person = Person::at(cluster, 2);
        let [first, second] = [1, 2].map(|machine| cluster.node(machine).machine_id());
        // It starts for as long as a person has not said that it may run.
        let start = "ExecStartPre=/bin/sh -c 'until [ -e /run/may-run ]; do sleep 0.05; done'";
        person.save("db.service", format!("{}[Service]\n{start}\n", sleeper_with(&format!("MachineID={first}"))))?;
        person.save("app.service", sleeper_with(&format!("MachineID={second}\nRequires=db.service")))?;
        person.save("web.service", sleeper_with(&format!("MachineID={first}\nAfter=app.service")))?;
        person.save("late.service", sleeper_with(&format!("MachineID={second}\nRequires=db.service")))?;

        person.fleetctl("start --no-block db.service app.service web.service")?;
        let words = format!("its start waits for db.service, which is starting on {}", &first[..8]);
        said_everywhere(cluster, "app.service", &words)?;
        let said = person.refused(1, "start --block-attempts=1 app.service")?;
        ensure!(said.contains(&words), "{said}");
        said_everywhere(cluster, "web.service", "its start waits for app.service, whose start waits too")?;
        ensure!(cluster.running_on("app.service").is_empty(), "it runs before what it requires");
        ensure!(cluster.running_on("web.service").is_empty(), "it runs before what it comes after");

        cluster.node(1).write_file("/run/may-run", "")?;
        person.fleetctl("start db.service app.service web.service")?;
        let units = ["db.service", "app.service", "web.service"];
        let runs = once(cluster, &units)?;
        let [db, app, web] = units.map(|unit| (runs[unit].machine, runs[unit].started));
        ensure!((db.0, app.0, web.0) == (1, 2, 1), "{runs:?}");
        ensure!(db.1 < app.1 && app.1 < web.1, "they did not start one after the other: {runs:?}");

        // What was required dies: what runs goes on, and who comes later says why it does not start.
        let watched = Watched::begin(cluster, &["app.service", "web.service"])?;
        cluster.node(1).exec(["systemctl", "kill", "--signal=KILL", "db.service"])?.ok()?;
        until("nobody says that it failed", || {
            let listed = person.fleetctl("list-units --fields=unit,active --no-legend")?;
            ensure!(listed.lines().any(|line| line.split_whitespace().eq(["db.service", "failed"])), "{listed}");
            Ok(())
        })?;
        person.fleetctl("start --no-block late.service")?;
        said_everywhere(
            cluster,
            "late.service",
            &format!("its start waits for db.service, which failed on {}", &first[..8]),
        )?;
        watched.untouched()?;
        ensure!(cluster.running_on("late.service").is_empty(), "it runs though what it requires has failed");
        person.fleetctl("restart db.service")?;
        once(cluster, &["db.service", "late.service"])?;
        watched.untouched()
    });
}

/// Waits until any fleetd explains by these words why a unit does not start, and the list of units says so as well.
fn said_everywhere(cluster: &Cluster, unit: &str, words: &str) -> Result<()> {
    until("nobody says why it waits", || {
        for machine in 1..=2 {
            let person = Person::at(cluster, machine);
            let said = person.fleetctl(&format!("explain {unit}"))?;
            ensure!(said.contains(words), "explain: {said}");
            let listed = person.types("list-units")?;
            let note = format!("NOTE: {unit}: {words}");
            ensure!(listed.success() && listed.stderr.contains(&note), "list-units: {listed:?}");
        }
        Ok(())
    })
}
