//! What an operator does to machines: empties them, spares them, gives them up.

use std::time::Duration;

use anyhow::{Context, ensure};
use fleet_tests::cluster::Cluster;

use crate::support::{
    Person, SLEEPER, Watched, assert_never_two, once, runs, settled, spans, telling, throughout, until,
};

const UNITS: [&str; 6] = ["t@1.service", "t@2.service", "t@3.service", "t@4.service", "t@5.service", "t@6.service"];

/// Whoever takes a machine down for maintenance would run its units twice, or pull the plug too early: `drain` stops
/// each unit there before it begins elsewhere, says what it waits for, and comes back when nothing is left.
#[test]
fn a_drained_machine_is_empty_when_the_command_returns() {
    Cluster::builder().machines(3).run(|cluster| {
        settled(cluster, 1, 3)?;
        let person = Person::at(cluster, 1);
        // Slow to stop, so that a start that does not wait for the end is seen, and so is a drain that does not.
        person.save("t@.service", telling("ExecStop=/bin/sleep 3"))?;
        person.save("g.service", format!("{SLEEPER}[X-Fleet]\nGlobal=true\n"))?;
        person.fleetctl(&format!("start {} g.service", UNITS.join(" ")))?;
        let before = once(cluster, &UNITS)?;
        let moving: Vec<&str> = UNITS.into_iter().filter(|unit| before[*unit].machine == 2).collect();
        assert!(!moving.is_empty(), "nothing runs on the machine to drain: {before:?}");
        let global = until("the global unit is not everywhere", || {
            let on = cluster.running_on("g.service");
            ensure!(on.len() == 3, "{on:?}");
            Ok(on)
        })?;

        let id = cluster.node(2).machine_id();
        let said = person.types(&format!("drain {id}"))?;
        let left: Vec<&str> = UNITS.into_iter().filter(|unit| !cluster.node(2).processes_of(unit).is_empty()).collect();
        assert!(left.is_empty(), "the command returned before these had stopped: {left:?}");
        assert!(said.stderr.contains("Waiting for unit t@"), "it does not say what it waits for: {said:?}");
        assert!(said.ok()?.contains("is drained"));
        assert_eq!(cluster.running_on("g.service"), global, "a global unit belongs to the machine");

        let after = once(cluster, &UNITS)?;
        for unit in UNITS {
            let (was, is) = (&before[unit], &after[unit]);
            match moving.contains(&unit) {
                true => assert_never_two(&spans(cluster, unit)?, &[2, is.machine]),
                false => assert_eq!(is, was, "{unit} was touched"),
            }
        }
        // A drain is no trouble; and nothing comes back until it is ended.
        assert!(person.fleetctl("cluster status")?.contains("is draining"));
        person.fleetctl("start t@7.service t@8.service")?;
        assert!(once(cluster, &["t@7.service", "t@8.service"])?.values().all(|run| run.machine != 2));
        person.fleetctl(&format!("uncordon {id}"))?;
        assert_eq!(runs(cluster, &UNITS)?, after, "the end of a drain moves nothing");
        person.fleetctl("start t@9.service")?;
        assert_eq!(once(cluster, &["t@9.service"])?["t@9.service"].machine, 2, "the empty machine is given the next");
        Ok(())
    });
}

/// Whoever looks into a machine's trouble would have it change under their hands: a cordoned machine keeps what it has
/// and is given no more. And metadata that is set by hand counts at once.
#[test]
fn a_cordoned_machine_keeps_its_units_and_is_given_no_more() {
    Cluster::builder().machines(2).run(|cluster| {
        settled(cluster, 1, 2)?;
        let person = Person::at(cluster, 1);
        person.save("t@.service", telling(""))?;
        person.fleetctl("start t@1.service t@2.service")?;
        let before = once(cluster, &["t@1.service", "t@2.service"])?;
        let id = cluster.node(2).machine_id();
        // The beginning of an id is enough where no other begins so.
        let other = cluster.node(1).machine_id();
        let same = id.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
        let short = id.get(..=same).context("the ids are the same")?;
        person.fleetctl(&format!("cordon {short}"))?;
        if same > 0 {
            let words = person.refused(1, &format!("cordon {}", &id[..same]))?;
            assert!(words.contains(&id) && words.contains(&other), "the candidates are not named: {words}");
        }
        person.fleetctl("start t@3.service t@4.service t@5.service")?;
        let new = once(cluster, &["t@3.service", "t@4.service", "t@5.service"])?;
        assert!(new.values().all(|run| run.machine == 1), "{new:?}");
        assert_eq!(runs(cluster, &["t@1.service", "t@2.service"])?, before, "a cordon moves nothing");
        person.fleetctl(&format!("uncordon {id}"))?;

        person.fleetctl(&format!("machine metadata {id} role=spare"))?;
        person.save("spare.service", format!("{SLEEPER}[X-Fleet]\nMachineMetadata=role=spare\n"))?;
        person.fleetctl("start spare.service")?;
        assert_eq!(once(cluster, &["spare.service"])?["spare.service"].machine, 2);
        Ok(())
    });
}

/// An operator who mistypes an id would delete what fleet knows of a living machine, and have its units run twice: a
/// machine is forgotten only once it is lost.
#[test]
fn only_a_lost_machine_is_forgotten() {
    Cluster::builder().machines(3).agent_ttl("2s").run(|cluster| {
        settled(cluster, 1, 3)?;
        let person = Person::at(cluster, 1);
        person.save("t@.service", SLEEPER)?;
        person.fleetctl(&format!("start {}", UNITS.join(" ")))?;
        let before = once(cluster, &UNITS)?;
        let id = cluster.node(3).machine_id();
        let words = person.refused(1, &format!("forget {id}"))?;
        assert!(words.contains("is present"), "{words}");
        throughout(Duration::from_secs(3), "a unit was touched", || {
            let now = runs(cluster, &UNITS)?;
            ensure!(now == before, "before: {before:#?}\nnow: {now:#?}");
            Ok(())
        })?;

        cluster.node(3).power_off_hard()?;
        let after = until("its units do not run elsewhere", || {
            let now = runs(cluster, &UNITS)?;
            ensure!(now.values().all(|run| run.machine != 3), "{now:?}");
            Ok(now)
        })?;
        assert!(person.fleetctl("cluster status")?.contains("1 lost"));
        person.fleetctl(&format!("forget {id}"))?;
        let status = person.fleetctl("cluster status")?;
        assert!(!status.contains("lost"), "{status}");
        assert!(person.refused(1, &format!("forget {id}"))?.contains("There is no machine"));
        // It may come back all the same, as any other machine would come.
        cluster.node(3).boot()?;
        settled(cluster, 1, 3)?;
        person.fleetctl("start t@7.service")?;
        assert_eq!(once(cluster, &["t@7.service"])?["t@7.service"].machine, 3, "the empty machine is given the next");
        assert_eq!(runs(cluster, &UNITS)?, after);
        Ok(())
    });
}

/// An operator who knows that most machines are really gone would wait for the brake to run out: its release moves
/// their units at once.
#[test]
fn releasing_the_brake_moves_the_units_of_machines_that_are_lost() {
    Cluster::builder().machines(3).agent_ttl("3s").run(|cluster| {
        settled(cluster, 1, 3)?;
        let person = Person::at(cluster, 1);
        person.save("t@.service", telling(""))?;
        person.fleetctl(&format!("start {}", UNITS.join(" ")))?;
        let watched = Watched::begin(cluster, &UNITS)?;
        assert!(person.fleetctl("brake")?.contains("off"));
        for machine in [2, 3] {
            cluster.node(machine).power_off_hard()?;
        }
        until("the brake is not on", || {
            let said = person.types("cluster status")?;
            ensure!(said.stdout.contains("the brake is on: 2 of 3 machines"), "{said:?}");
            ensure!(said.status.code() == Some(1), "a script is not told: {said:?}");
            Ok(())
        })?;
        let here = watched.on(1)?;
        throughout(Duration::from_secs(4), "the brake does not hold", || {
            let on: Vec<&str> = UNITS.into_iter().filter(|unit| cluster.running_on(unit) == [1]).collect();
            ensure!(on == here, "{on:?} instead of {here:?}");
            Ok(())
        })?;

        assert!(person.fleetctl("brake release")?.contains("released"));
        let moved: Vec<&str> = UNITS.into_iter().filter(|unit| !here.contains(unit)).collect();
        let after = watched.settles(1, &moved)?;
        assert!(after.values().all(|run| run.machine == 1), "{after:?}");
        assert!(person.fleetctl("brake release")?.contains("off already"));
        Ok(())
    });
}
