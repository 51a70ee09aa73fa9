//! API v2: many units at once, the stream of changes, and what stays visible.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_api::v2::{
    DestroyOutcome, DestroyRequest, Outcome, Resources, UnitChange, UnitOutcome, UnitsRequest, WatchLine,
};
use fleet_registry::Key;
use fleet_registry::record::{ContentRecord, Target};
use fleet_units::DesiredState;
use futures::StreamExt;

use super::{Served, content, machine, unit};

const TEXT: &str = "[Unit]\nDescription=Greets\n[Service]\nExecStart=/bin/true\n";

fn submit(name: &str, text: &str) -> UnitChange {
    UnitChange { name: name.to_owned(), text: Some(text.to_owned()), ..UnitChange::default() }
}

fn want(name: &str, desired: DesiredState) -> UnitChange {
    UnitChange { name: name.to_owned(), desired_state: Some(desired), ..UnitChange::default() }
}

async fn change(served: &Served, units: Vec<UnitChange>) -> Vec<UnitOutcome> {
    served.client().change_units(&UnitsRequest { units }).await.unwrap().units
}

async fn one(served: &Served, unit: UnitChange) -> UnitOutcome {
    change(served, vec![unit]).await.remove(0)
}

#[tokio::test]
async fn each_change_has_its_outcome() {
    let served = Served::new().await;
    let created = one(&served, submit("a.service", TEXT)).await;
    assert_eq!((created.outcome, created.desired_state), (Outcome::Created, Some(DesiredState::Inactive)));
    assert_eq!(served.client().units(&["a.service"]).await.unwrap().units[0].uid, created.uid.unwrap());

    assert_eq!(one(&served, submit("a.service", TEXT)).await.outcome, Outcome::Unchanged);
    let comment = submit("a.service", &format!("# A comment does not count.\n{TEXT}"));
    assert_eq!(one(&served, comment).await.outcome, Outcome::Unchanged);
    assert_eq!(one(&served, want("a.service", DesiredState::Launched)).await.outcome, Outcome::Changed);
    assert_eq!(one(&served, want("a.service", DesiredState::Launched)).await.outcome, Outcome::Unchanged);

    let other = TEXT.replace("true", "false");
    let differs = UnitChange { desired_state: Some(DesiredState::Loaded), ..submit("a.service", &other) };
    let differs = one(&served, differs).await;
    assert_eq!((differs.outcome, differs.desired_state), (Outcome::Differs, Some(DesiredState::Loaded)));
    assert_eq!(served.client().unit_text("a.service").await.unwrap().text, TEXT);

    let replaced = one(&served, UnitChange { replace: true, ..submit("a.service", &other) }).await;
    assert_eq!((replaced.outcome, replaced.uid), (Outcome::Replaced, created.uid));
    assert_eq!(replaced.desired_state, Some(DesiredState::Loaded), "replacing keeps what was wanted");
    assert_eq!(served.client().unit_text("a.service").await.unwrap().text, other);

    let refused = one(&served, want("absent.service", DesiredState::Launched)).await;
    assert_eq!((refused.outcome, refused.message.as_deref()), (Outcome::Refused, Some("unit does not exist")));
    let template = one(&served, want("t@.service", DesiredState::Launched)).await;
    assert!(template.message.unwrap().contains("cannot activate template"));
}

#[tokio::test]
async fn a_restart_counts_only_where_the_unit_is_launched() {
    let served = Served::new().await;
    one(&served, submit("a.service", TEXT)).await;
    let restart = UnitChange { restart: true, ..want("a.service", DesiredState::Launched) };
    let restarts = async || served.client().units(&["a.service"]).await.unwrap().units[0].restarts;
    assert_eq!(one(&served, restart.clone()).await.outcome, Outcome::Changed);
    assert_eq!(restarts().await, 0, "it is started anyway");
    assert_eq!(one(&served, restart.clone()).await.outcome, Outcome::Changed);
    assert_eq!(restarts().await, 1);
    // Twice in one request is twice.
    change(&served, vec![restart.clone(), restart]).await;
    assert_eq!(restarts().await, 3);
    one(&served, want("a.service", DesiredState::Loaded)).await;
    let idle = one(&served, UnitChange { name: "a.service".into(), restart: true, ..UnitChange::default() }).await;
    assert_eq!(idle.outcome, Outcome::Unchanged);
    assert!(idle.message.unwrap().contains("not launched"));
}

#[tokio::test]
async fn drop_ins_are_part_of_the_text() {
    let served = Served::new().await;
    let with = |text: &str| {
        let mut change = submit("a.service", TEXT);
        change.drop_ins.insert("10-env.conf".into(), text.to_owned());
        change
    };
    one(&served, with("[Service]\nEnvironment=A=1\n")).await;
    assert_eq!(one(&served, with("[Service]\nEnvironment=A=1\n")).await.outcome, Outcome::Unchanged);
    assert_eq!(one(&served, with("[Service]\nEnvironment=A=2\n")).await.outcome, Outcome::Differs);
    assert_eq!(one(&served, submit("a.service", TEXT)).await.outcome, Outcome::Differs);
    let text = served.client().unit_text("a.service").await.unwrap();
    assert_eq!(text.drop_ins["10-env.conf"], "[Service]\nEnvironment=A=1\n");
    let mut bad = submit("b.service", TEXT);
    bad.drop_ins.insert("../../evil.conf".into(), String::new());
    assert_eq!(one(&served, bad).await.outcome, Outcome::Refused);
}

#[tokio::test]
async fn many_units_are_independent_of_each_other_and_keep_their_order() {
    let served = Served::new().await;
    let mut units: Vec<UnitChange> = (0..200).map(|n| submit(&format!("u{n}.service"), TEXT)).collect();
    units.insert(7, submit("nonsense", TEXT));
    units.insert(90, submit("bad.service", "[Service]\nno assignment\n"));
    units.push(want("u0.service", DesiredState::Launched));
    let outcomes = change(&served, units.clone()).await;
    assert_eq!(outcomes.len(), units.len());
    for (n, (asked, outcome)) in units.iter().zip(&outcomes).enumerate() {
        assert_eq!(asked.name, outcome.name);
        let expected = match n {
            7 | 90 => Outcome::Refused,
            202 => Outcome::Changed,
            _ => Outcome::Created,
        };
        assert_eq!(outcome.outcome, expected, "{n}");
    }
    assert!(outcomes[90].message.as_ref().unwrap().contains('2'), "it names the line");
    let list = served.client().units::<&str>(&[]).await.unwrap();
    assert_eq!(list.units.len(), 200);
    assert!(!list.stale);
    assert_eq!(list.units[0].description, "Greets");
}

#[tokio::test]
async fn two_who_change_the_same_units_at_once_both_get_what_they_asked() {
    let served = Served::new().await;
    let names: Vec<String> = (0..20).map(|n| format!("u{n}.service")).collect();
    change(
        &served,
        names
            .iter()
            .map(|name| UnitChange { desired_state: Some(DesiredState::Launched), ..submit(name, TEXT) })
            .collect(),
    )
    .await;
    let restart = |name: &String| UnitChange { name: name.clone(), restart: true, ..UnitChange::default() };
    let rounds = (0..8).map(|_| change(&served, names.iter().map(restart).collect()));
    for outcomes in futures::future::join_all(rounds).await {
        assert!(outcomes.iter().all(|o| o.outcome == Outcome::Changed), "{outcomes:?}");
    }
    for unit in served.client().units::<&str>(&[]).await.unwrap().units {
        assert_eq!(unit.restarts, 8, "no restart is lost: {}", unit.name);
    }
}

#[tokio::test]
async fn a_destroyed_unit_stays_visible_until_its_machine_has_stopped_it() {
    let served = Served::new().await;
    served.add_machine("m1", &[]).await;
    served.put_unit("a.service", "/bin/true", "launched").await;
    let text = content("/bin/true");
    let uid = served.client().units(&["a.service"]).await.unwrap().units[0].uid;
    served.schedule("m1", &[("a.service", uid, &text)], &[], 1).await;
    served.report("m1", "a.service", uid, &text, Some(Target::Launched)).await;
    served.until("/fleet/v2/units", |list| list["units"][0]["states"][0]["active"] == "active").await;

    let mut lines = Box::pin(served.client().watch_units(&["a.service"]).await.unwrap());
    let WatchLine::Snapshot { units, .. } = lines.next().await.unwrap().unwrap() else { panic!("no snapshot") };
    assert_eq!(units[0].current_state, Some(DesiredState::Launched));
    assert_eq!(units[0].machine.as_ref().unwrap().address, "192.0.2.9");

    let request = DestroyRequest { names: vec!["a.service".into(), "b.service".into(), "a.service".into()] };
    let answer = served.client().destroy(&request).await.unwrap();
    let outcomes: Vec<DestroyOutcome> = answer.units.iter().map(|u| u.outcome).collect();
    assert_eq!(outcomes, [DestroyOutcome::Destroyed, DestroyOutcome::Absent, DestroyOutcome::Destroyed]);
    let WatchLine::Unit { unit: shown, .. } = lines.next().await.unwrap().unwrap() else { panic!("no unit") };
    assert_eq!((shown.uid, shown.desired_state), (uid, None));
    assert_eq!(shown.states[0].main_pid, 42);

    // The engine takes it off the schedule, the machine stops it and says so.
    served.schedule("m1", &[], &[("a.service", 2)], 2).await;
    served.delete(Key::State(machine("m1"), unit("a.service"))).await;
    assert!(served.client().units(&["a.service"]).await.unwrap().units.len() == 1, "not acknowledged yet");
    served.applied("m1", 2).await;
    loop {
        match lines.next().await.unwrap().unwrap() {
            WatchLine::Gone { name, .. } => break assert_eq!(name, "a.service"),
            WatchLine::Unit { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(served.client().units(&["a.service"]).await.unwrap().units.is_empty());
}

#[tokio::test]
async fn a_lost_machines_last_words_are_marked_stale_and_keep_nothing_waiting() {
    let served = Served::new().await;
    served.add_machine("m1", &[]).await;
    served.put_unit("a.service", "/bin/true", "launched").await;
    let text = content("/bin/true");
    let uid = served.client().units(&["a.service"]).await.unwrap().units[0].uid;
    served.schedule("m1", &[("a.service", uid, &text)], &[], 1).await;
    served.report("m1", "a.service", uid, &text, Some(Target::Launched)).await;
    served.delete(Key::Machine(machine("m1"))).await;
    let list = served.until("/fleet/v2/units", |list| list["units"][0]["states"][0]["stale"] == true).await;
    assert_eq!(list["units"][0]["currentState"], "inactive");
    served.client().destroy(&DestroyRequest { names: vec!["a.service".into()] }).await.unwrap();
    served.until("/fleet/v2/units", |list| list["units"].as_array().unwrap().is_empty()).await;
}

#[tokio::test]
async fn during_an_outage_reads_are_served_marked_stale_and_watchers_are_told() {
    let served = Served::new().await;
    served.put_unit("a.service", "/bin/true", "").await;
    let mut lines = Box::pin(served.client().watch_units::<&str>(&[]).await.unwrap());
    assert!(matches!(lines.next().await.unwrap().unwrap(), WatchLine::Snapshot { .. }));
    served.store.up.send_replace(false);
    let WatchLine::Stale { why } = lines.next().await.unwrap().unwrap() else { panic!("not told") };
    assert!(why.contains("connection refused"), "{why}");
    let list = served.client().units::<&str>(&[]).await.unwrap();
    assert!(list.stale);
    assert_eq!(list.units.len(), 1);
    let refused = served.send("POST", "/fleet/v2/units", r#"{"units":[{"name":"a.service","restart":true}]}"#).await;
    assert_eq!((refused.status, refused.headers["retry-after"].to_str().unwrap()), (503, "1"));
    assert!(refused.message().contains("connection refused"), "{}", refused.body);
    served.store.up.send_replace(true);
    loop {
        match lines.next().await.unwrap().unwrap() {
            WatchLine::Snapshot { units, .. } => break assert_eq!(units.len(), 1),
            WatchLine::Stale { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_watcher_that_falls_behind_is_given_everything_anew() {
    let served = Served::new().await;
    // Long texts fill the socket's buffers soon.
    let description = "x".repeat(20_000);
    let text = format!("[Unit]\nDescription={description}\n[Service]\nExecStart=/bin/true\n");
    one(&served, submit("a.service", &text)).await;
    let mut lines = Box::pin(served.client().watch_units::<&str>(&[]).await.unwrap());
    for n in 0..800 {
        let desired = if n % 2 == 0 { DesiredState::Loaded } else { DesiredState::Inactive };
        assert_eq!(one(&served, want("a.service", desired)).await.outcome, Outcome::Changed);
    }
    one(&served, want("a.service", DesiredState::Launched)).await;
    let mut snapshots = 0;
    let read = async {
        while let Some(line) = lines.next().await {
            match line.unwrap() {
                WatchLine::Snapshot { units, .. } => {
                    snapshots += 1;
                    if units[0].desired_state == Some(DesiredState::Launched) {
                        return;
                    }
                }
                WatchLine::Unit { unit, .. } if unit.desired_state == Some(DesiredState::Launched) => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), read).await.expect("it comes to see what is");
    assert_eq!(snapshots, 2, "the first, and the one after what it missed");
}

/// Whoever looks for room sees what a machine has, and what its units ask of that.
#[tokio::test]
async fn machines_are_listed_with_what_they_have_and_what_is_asked_of_it() {
    let served = Served::new().await;
    let mut record = Served::machine_record("m1", BTreeMap::new(), None);
    (record.capacity.memory, record.capacity.cpu_millis) = (Some(2 << 30), Some(4000));
    served.write(Key::Machine(machine("m1")), &record).await;
    served.add_machine("m2", &[]).await;
    let text = "[Service]\nExecStart=/bin/true\n[X-Fleet]\nMemory=512M\nCPU=25%\n".to_owned();
    let asks = ContentRecord { v: 1, text, drop_ins: BTreeMap::new(), extra: BTreeMap::new() };
    served.write(Key::Content(asks.key()), &asks).await;
    let (asking, modest) = (asks.key(), content("/bin/true"));
    served
        .schedule("m1", &[("a.service", 1, &asking), ("b.service", 2, &modest), ("c.service", 3, &asking)], &[], 1)
        .await;
    let machines = served.client().machines().await.unwrap().machines;
    let resources = |memory, cpu_millis| Resources { memory, cpu_millis };
    assert_eq!(machines[0].capacity, resources(Some(2 << 30), Some(4000)));
    assert_eq!((&machines[0].used, machines[0].units), (&resources(Some(1 << 30), Some(500)), Some(3)));
    assert_eq!(machines[1].capacity, resources(None, None), "it does not say");
    assert_eq!((&machines[1].used, machines[1].units), (&resources(Some(0), Some(0)), Some(0)));
}

#[tokio::test]
async fn machines_are_listed_with_the_leader() {
    let served = Served::new().await;
    served.add_machine("m1", &[("zone", "a")]).await;
    served.add_machine("m2", &[]).await;
    let record = fleet_registry::record::LeaderRecord {
        v: 1,
        machine: machine("m2"),
        instance: "i".into(),
        since: 0,
        why: String::new(),
        extra: fleet_registry::record::Extra::new(),
    };
    served.write(Key::Leader, &record).await;
    let list = served.client().machines().await.unwrap();
    let shown: Vec<_> = list.machines.iter().map(|m| (m.id.as_str(), m.hostname.as_str(), m.leader)).collect();
    assert_eq!(shown, [("m1", "host-m1", false), ("m2", "host-m2", true)]);
    let metrics = served.get("/metrics").await;
    assert!(metrics.body.contains("\nfleet_machines 2\n"), "{}", metrics.body);
}
