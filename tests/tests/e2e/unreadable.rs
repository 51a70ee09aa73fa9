//! Values in the registry that nobody can read: what a hand's slip with etcdctl, or a broken disk, leaves there.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::{Cluster, Registry};

use crate::support::{Person, SLEEPER, Stored, Watched, once, runs, settled, throughout, until};

const UNITS: [&str; 6] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service", "u@5.service", "u@6.service"];
const GARBAGE: &str = "{\"v\": 1, \"units\": [truncat";

/// An operator would lose running units, or the whole cluster's attention, to one value that somebody garbled: each is
/// named and left alone, what runs goes on, machines that are not concerned are given more, and once the values are put
/// right or removed, everything that waited for them happens by itself.
#[test]
fn garbage_in_every_kind_of_record_stops_nothing_and_is_named() {
    Cluster::builder().machines(3).registry(Registry::Etcd(1)).agent_ttl("2s").run(|cluster| {
        let stored = Stored::of(cluster)?;
        settled(cluster, 1, 3)?;
        let watched = Watched::start(cluster, 1, &UNITS)?;
        let person = Person::at(cluster, 1);
        let [first, second, third] = [1, 2, 3].map(|machine| cluster.node(machine).machine_id());
        let (here, there) = (watched.on(1)?, watched.on(3)?);
        let text = stored.keys("contents/")?.into_iter().next().context("the units have a text")?;

        // What people wrote is put right by people, and what nobody needs is removed by them.
        let garbled: Vec<(String, Option<String>)> = [
            "cluster".to_owned(),
            format!("units/{}", here[0]),
            text,
            format!("operator/{third}"),
            format!("schedule/{second}"),
            format!("notes/{}", there[0]),
            "engine/brake".to_owned(),
            "engine/standby/9".to_owned(),
            format!("states/{first}/nobody.service"),
        ]
        .into_iter()
        .map(|key| Ok((key.clone(), garble(stored, &key)?)))
        .collect::<Result<_>>()?;
        // What one writer alone knows, its next word puts right.
        let rewritten = ["engine/leader".to_owned(), format!("applied/{first}"), format!("states/{first}/{}", here[1])];
        for key in &rewritten {
            garble(stored, key)?.with_context(|| format!("there was no {key}"))?;
        }

        until("not each is named", || {
            let said = person.types("cluster status")?;
            let named = |key: &str| said.stdout.contains(&format!("the record {} is left alone", Stored::name(key)));
            let missing = garbled.iter().find(|(key, _)| !named(key));
            ensure!(missing.is_none() && said.status.code() == Some(1), "{missing:?} is not named:\n{said:?}");
            Ok(())
        })?;
        // Only one machine's records can all be read.
        person.save("new.service", SLEEPER)?;
        person.fleetctl("start new.service")?;
        ensure!(once(cluster, &["new.service"])?["new.service"].machine == 1);
        person.fleetctl(&format!("restart {}", here[1]))?;
        for key in &rewritten {
            until("it is not written again", || {
                let value = stored.get(key)?;
                ensure!(value.as_ref().is_some_and(|value| value != GARBAGE), "{key} is {value:?}");
                Ok(())
            })?;
        }
        for (machine, id) in [(2, &second), (3, &third)] {
            let unit = format!("only{machine}.service");
            person.save(&unit, format!("{SLEEPER}[X-Fleet]\nMachineID={id}\n"))?;
            person.fleetctl(&format!("start --no-block {unit}"))?;
        }
        throughout(Duration::from_secs(3), "something was touched", || {
            for machine in [2, 3] {
                let on = cluster.running_on(&format!("only{machine}.service"));
                ensure!(
                    on.is_empty(),
                    "what machine {machine} is to run cannot be known, and it was given more: {on:?}"
                );
            }
            for (key, _) in &garbled {
                let value = stored.get(key)?;
                ensure!(value.as_deref() == Some(GARBAGE), "{key} was written over: {value:?}");
            }
            watched.untouched_but(&here[1..])
        })?;

        for (key, value) in &garbled {
            match value {
                // Its writer knows better by now.
                Some(value) if !key.starts_with("schedule/") => stored.put(key, value)?,
                _ => stored.delete(key)?,
            }
        }
        until("not all is well", || person.fleetctl("cluster status").map(drop))?;
        let waited = once(cluster, &["only2.service", "only3.service"])?;
        ensure!(waited["only2.service"].machine == 2 && waited["only3.service"].machine == 3, "{waited:?}");
        let schedule = stored.get(&format!("schedule/{second}"))?.context("the schedule is not written again")?;
        ensure!(watched.on(2)?.iter().all(|unit| schedule.contains(unit)), "{schedule}");
        // What could not be read is anybody's again.
        person.fleetctl(&format!("restart {}", here[0]))?;
        watched.settles(1, &here)?;
        own_record(cluster, &watched, &here)
    });
}

/// A machine's own record hangs on its lease, and is back as soon as the garbage is not there any more.
fn own_record(cluster: &Cluster, watched: &Watched<'_>, moved: &[&str]) -> Result<()> {
    let (stored, person) = (Stored::of(cluster)?, Person::at(cluster, 1));
    let key = format!("machines/{}", cluster.node(3).machine_id());
    let before = runs(cluster, moved)?;
    garble(stored, &key)?.context("there was no record of the machine")?;
    throughout(Duration::from_secs(3), "something was touched", || {
        let value = stored.get(&key)?;
        ensure!(value.as_deref() == Some(GARBAGE), "{key} was written over: {value:?}");
        ensure!(runs(cluster, moved)? == before);
        watched.untouched_but(moved)
    })?;
    let said = person.types("cluster status")?;
    ensure!(said.stdout.contains(&Stored::name(&key)) && said.status.code() == Some(1), "{key} is not named: {said:?}");
    stored.delete(&key)?;
    settled(cluster, 1, 3)?;
    until("not all is well", || person.fleetctl("cluster status").map(drop))?;
    ensure!(runs(cluster, moved)? == before);
    watched.untouched_but(moved)
}

/// Writes over a value, which is given back.
fn garble(stored: Stored<'_>, key: &str) -> Result<Option<String>> {
    let value = stored.get(key)?;
    stored.put(key, GARBAGE)?;
    Ok(value)
}
