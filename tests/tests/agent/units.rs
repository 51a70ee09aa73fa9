//! Units come, change, and go as the schedule says.

use std::collections::BTreeSet;
use std::time::Duration;

use fleet_agent::{Job, Standing};
use fleet_registry::Key;
use fleet_registry::record::Target;
use fleet_units::MachineId;

use crate::world::{World, unit};

const TEXT: &str = "[Service]\nExecStart=/bin/sleep inf\n";

#[test]
fn a_scheduled_unit_is_loaded_and_started_and_its_state_written() {
    let mut w = World::present();
    w.give("a.service", 5, TEXT, Target::Launched);
    w.give("b.service", 6, TEXT, Target::Loaded);
    let generation = w.publish();
    w.until("both states are written", |w| {
        let a = w.state("a.service").is_some_and(|s| s.active == "active" && s.reached == Some(Target::Launched));
        a && w.state("b.service").is_some_and(|s| s.load == "loaded" && s.reached == Some(Target::Loaded))
    });
    w.until("it is acknowledged", |w| w.applied() == Some(generation));
    assert_eq!(w.systemd.asked, [(Job::Start, "a.service".into())]);
    assert_eq!(w.systemd.reloads, 0, "a unit that systemd does not hold needs no reload");
    let state = w.state("a.service").unwrap();
    assert_eq!((state.uid, state.error.as_str()), (5, ""));
    assert_ne!(state.main_pid, 0);
    assert_eq!(w.disk.units[&unit("a.service")].note.as_ref().unwrap().reached, Some(Target::Launched));
}

#[test]
fn targets_are_followed_up_and_down() {
    let mut w = World::present();
    w.give("a.service", 5, TEXT, Target::Loaded);
    w.publish();
    w.until("it is loaded", |w| w.state("a.service").is_some_and(|s| s.reached == Some(Target::Loaded)));
    w.alter("a.service", |a| a.target = Target::Launched);
    w.publish();
    w.until("it runs", |w| w.is_active("a.service"));
    w.alter("a.service", |a| a.target = Target::Loaded);
    w.publish();
    w.until("it is stopped, and stays loaded", |w| {
        w.state("a.service").is_some_and(|s| s.active == "inactive" && s.reached == Some(Target::Loaded))
    });
    assert!(w.systemd.is_linked(&unit("a.service")));
}

#[test]
fn a_unit_taken_away_is_gone_before_that_is_acknowledged() {
    let mut w = World::present();
    w.give("a.service", 5, TEXT, Target::Launched);
    w.publish();
    w.until("it runs", |w| w.state("a.service").is_some_and(|s| s.active == "active"));
    w.systemd.slow_stop.insert(unit("a.service"), Duration::from_secs(20));
    w.take("a.service");
    w.give("b.service", 6, TEXT, Target::Launched);
    let generation = w.publish();
    w.until("another starts meanwhile", |w| w.state("b.service").is_some_and(|s| s.active == "active"));
    assert!(w.is_active("a.service"));
    assert!(w.applied() < Some(generation), "acknowledged while the unit still runs");
    w.until("it is acknowledged", |w| w.applied() == Some(generation));
    assert!(!w.is_active("a.service") && !w.systemd.is_linked(&unit("a.service")));
    w.until("its state is deleted", |w| w.state("a.service").is_none());
    assert!(!w.disk.units.contains_key(&unit("a.service")));
}

#[test]
fn a_stop_that_takes_long_holds_back_no_other_unit() {
    let mut w = World::present();
    w.give("a.service", 5, TEXT, Target::Launched);
    w.give("b.service", 6, TEXT, Target::Launched);
    let given = w.publish();
    w.until("both run", |w| w.is_active("a.service") && w.is_active("b.service") && w.applied() == Some(given));
    w.systemd.slow_stop.insert(unit("b.service"), Duration::from_secs(60));
    w.systemd.slow_stop.insert(unit("a.service"), Duration::from_secs(5));
    w.take("a.service");
    w.take("b.service");
    let generation = w.publish();
    let applied = Key::Applied(MachineId::parse("m1").unwrap());
    let before = w.versions(&applied);
    w.until("both are being stopped", |w| w.systemd.times(Job::Stop, "b.service") == 1);
    w.run(Duration::from_secs(4));
    assert_eq!(w.versions(&applied), before, "nothing is gone yet");
    w.until("the first is given back", |w| w.gave_back("a.service"));
    assert!(w.is_active("b.service") && !w.gave_back("b.service"));
    assert_eq!((w.applied(), w.stopping()), (Some(generation), BTreeSet::from([unit("b.service")])));
    // One that was never loaded is given back at once.
    w.give("c.service", 7, TEXT, Target::Loaded);
    w.alter("c.service", |a| a.content = fleet_registry::record::ContentKey("missing".into()));
    w.publish();
    w.take("c.service");
    w.publish();
    w.until("it is given back", |w| w.gave_back("c.service"));
    assert!(w.is_active("b.service"));
    // A restart of fleetd claims no more than is true.
    w.restart();
    w.run(Duration::from_secs(10));
    assert!(w.is_active("b.service") && w.gave_back("a.service") && !w.gave_back("b.service"));
    w.until("the last is given back", |w| w.gave_back("b.service"));
    assert!(!w.is_active("b.service") && w.stopping().is_empty());
}

#[test]
fn a_plain_stop_is_acknowledged_by_one_write() {
    let mut w = World::present();
    w.give("a.service", 5, TEXT, Target::Launched);
    w.publish();
    w.until("it runs", |w| w.state("a.service").is_some_and(|s| s.active == "active"));
    w.run(Duration::from_secs(1));
    let applied = Key::Applied(MachineId::parse("m1").unwrap());
    let before = w.versions(&applied);
    w.systemd.slow_stop.insert(unit("a.service"), Duration::from_secs(5));
    w.take("a.service");
    w.publish();
    w.until("it is given back", |w| w.gave_back("a.service"));
    w.run(Duration::from_secs(10));
    assert_eq!(w.versions(&applied), before + 1);
}

#[test]
fn destroyed_and_submitted_again_is_a_new_process() {
    let mut w = World::present();
    w.give("a.service", 5, TEXT, Target::Launched);
    w.publish();
    w.until("it runs", |w| w.state("a.service").is_some_and(|s| s.main_pid != 0));
    let pid = w.systemd.pid(&unit("a.service"));
    w.give("a.service", 9, TEXT, Target::Launched);
    let generation = w.publish();
    w.until("the new one runs", |w| w.state("a.service").is_some_and(|s| s.uid == 9 && s.active == "active"));
    assert_ne!(w.systemd.pid(&unit("a.service")), pid);
    w.until("the old one is given back", |w| w.applied() == Some(generation));
}

#[test]
fn another_text_stops_the_old_process_first() {
    let mut w = World::present();
    w.give("a.service", 5, TEXT, Target::Launched);
    w.publish();
    w.until("it runs", |w| w.is_active("a.service"));
    w.give("a.service", 5, "[Service]\nExecStart=/bin/sleep 86400\n", Target::Launched);
    w.publish();
    w.until("the new one runs", |w| w.systemd.times(Job::Start, "a.service") == 2 && w.is_active("a.service"));
    assert_eq!(w.systemd.times(Job::Stop, "a.service"), 1);
}

#[test]
fn a_restart_is_carried_out_once_even_over_a_restart_of_fleetd() {
    let mut w = World::present();
    w.give("a.service", 5, TEXT, Target::Launched);
    w.publish();
    w.until("it runs", |w| w.is_active("a.service"));
    w.alter("a.service", |a| a.restarts = 2);
    w.publish();
    w.until("it was restarted", |w| w.state("a.service").is_some_and(|s| s.restarts == 2 && s.active == "active"));
    w.run(Duration::from_secs(1));
    w.restart();
    w.until("it is present again", |w| w.agent.status().standing == Standing::Present);
    w.run(Duration::from_secs(20));
    assert_eq!(w.systemd.times(Job::Restart, "a.service"), 1);
}

#[test]
fn one_units_trouble_is_its_own() {
    let mut w = World::present();
    w.systemd.refused.insert(unit("bad.service"));
    w.systemd.broken.insert(unit("broken.service"));
    w.systemd.slow_start.insert(unit("slow.service"), Duration::from_secs(90));
    for (i, name) in ["a.service", "bad.service", "broken.service", "slow.service", "z.service"].into_iter().enumerate()
    {
        w.give(name, 10 + i as i64, TEXT, Target::Launched);
    }
    w.publish();
    w.until("the good ones run", |w| w.is_active("a.service") && w.is_active("z.service"));
    w.until("what went wrong is said", |w| {
        let bad = w.state("bad.service").is_some_and(|s| s.error.contains("cannot be loaded: Invalid argument"));
        bad && w.state("broken.service").is_some_and(|s| s.error.contains("cannot be started") && s.active == "failed")
    });
    w.until("a start under way counts", |w| {
        w.state("slow.service").is_some_and(|s| s.reached == Some(Target::Launched))
    });
    w.run(Duration::from_secs(60));
    assert_eq!(w.systemd.times(Job::Start, "broken.service"), 1, "what failed is not tried in a loop");
    let links = w.systemd.links;
    w.run(Duration::from_secs(60));
    assert_eq!(w.systemd.links, links, "what was refused is not tried in a loop");
    // Stopped and started by people, it is tried again.
    w.systemd.broken.clear();
    w.alter("broken.service", |a| a.restarts += 1);
    w.publish();
    w.until("it runs now, and nothing is wrong any more", |w| {
        w.state("broken.service").is_some_and(|s| s.active == "active" && s.error.is_empty())
    });
}

#[test]
fn a_start_that_takes_long_gives_way_to_a_stop() {
    let mut w = World::present();
    w.systemd.slow_start.insert(unit("slow.service"), Duration::from_secs(600));
    w.give("slow.service", 5, TEXT, Target::Launched);
    w.publish();
    w.until("its start is under way", |w| w.systemd.times(Job::Start, "slow.service") == 1);
    w.take("slow.service");
    let generation = w.publish();
    let before = w.now;
    w.until("it is given back", |w| w.applied() == Some(generation));
    assert!(w.now - before < Duration::from_secs(1));
    w.run(Duration::from_secs(700));
    assert!(!w.is_active("slow.service"));
}

#[test]
fn a_thousand_units_cost_a_few_links_and_no_reload() {
    let mut w = World::present();
    for i in 0..1000 {
        w.give(&format!("u{i}.service"), 100 + i, TEXT, Target::Launched);
    }
    let before = w.revision();
    w.publish();
    w.until("all run", |w| w.systemd.active().count() == 1000);
    w.until("all states are written", |w| (0..1000).all(|i| w.state(&format!("u{i}.service")).is_some()));
    assert_eq!(w.systemd.reloads, 0);
    assert!(w.systemd.links <= 4, "{} calls to link", w.systemd.links);
    assert!(w.revision() - before < 100, "{} writes", w.revision() - before);
}

#[test]
fn removing_many_units_that_others_refer_to_reloads_once() {
    let mut w = World::present();
    let names: Vec<String> = (0..50).map(|i| format!("u{i}.service")).collect();
    for (i, name) in names.iter().enumerate() {
        w.systemd.referred.insert(unit(name));
        w.give(name, 100 + i as i64, TEXT, Target::Launched);
    }
    w.publish();
    w.until("all run", |w| w.systemd.active().count() == 50);
    for name in &names {
        w.take(name);
    }
    let generation = w.publish();
    w.until("all are given back", |w| w.applied() == Some(generation));
    assert_eq!(w.systemd.reloads, 1);
    assert!(w.held().is_empty());
}

/// `fleetctl start` would say "launched" of a program that is not there: for `Type=simple` systemd calls it active first.
#[test]
fn a_process_that_ends_at_once_is_never_said_to_be_active() {
    let said = |w: &World, name: &str| w.state(name).map(|state| state.active).unwrap_or_default();
    let mut w = World::present();
    for (name, uid) in [("ends.service", 5), ("stays.service", 6)] {
        w.give(name, uid, TEXT, Target::Launched);
    }
    let says = "[Service]\nType=notify\nExecStart=/bin/sh -c 'systemd-notify --ready; sleep inf'\n";
    w.give("says.service", 7, says, Target::Launched);
    w.publish();
    let all = ["ends.service", "stays.service", "says.service"];
    w.until("all run", |w| all.iter().all(|name| w.systemd.is_active(&unit(name))));
    w.run(Duration::from_millis(6));
    assert_eq!(said(&w, "says.service"), "active", "it has said itself that it is ready");
    assert_ne!(said(&w, "ends.service"), "active");
    w.systemd.set_active(w.now, &unit("ends.service"), false);
    w.run(Duration::from_millis(2));
    assert_ne!(said(&w, "stays.service"), "active", "too early to tell");
    assert_eq!(said(&w, "ends.service"), "inactive", "there is nothing to wait for any more");
    w.until("the other is active", |w| said(w, "stays.service") == "active");
}

#[test]
fn a_flapping_unit_costs_a_bounded_number_of_writes_and_its_last_state_arrives() {
    let mut w = World::present();
    w.give("a.service", 5, TEXT, Target::Launched);
    w.publish();
    w.until("it runs", |w| w.state("a.service").is_some_and(|s| s.active == "active"));
    w.run(Duration::from_secs(10));
    let before = w.revision();
    for _ in 0..10_000 {
        // A new process each time.
        w.systemd.set_active(w.now, &unit("a.service"), true);
        w.run(Duration::from_millis(1));
    }
    let writes = w.revision() - before;
    assert!((10..=40).contains(&writes), "{writes} writes in ten seconds of flapping");
    w.systemd.set_active(w.now, &unit("a.service"), true);
    let pid = w.systemd.pid(&unit("a.service"));
    w.until("the last state is written", |w| w.state("a.service").is_some_and(|s| s.main_pid == pid));
}

#[test]
fn a_full_disk_delays_only_until_there_is_room() {
    let mut w = World::present();
    w.disk.error = Some("/run/fleet/units/a.service: no space left on device".into());
    w.give("a.service", 5, TEXT, Target::Launched);
    w.publish();
    w.until("people see why", |w| w.state("a.service").is_some_and(|s| s.error.contains("no space left")));
    w.disk.error = None;
    w.until("it runs in the end", |w| w.state("a.service").is_some_and(|s| s.active == "active" && s.error.is_empty()));
}

#[test]
fn a_text_that_is_not_there_is_waited_for() {
    let mut w = World::present();
    w.give("a.service", 5, TEXT, Target::Launched);
    w.alter("a.service", |a| a.content = fleet_registry::record::ContentKey("missing".into()));
    w.publish();
    w.until("people see why", |w| w.state("a.service").is_some_and(|s| s.error.contains("not in the store")));
    assert!(!w.is_active("a.service"));
}
