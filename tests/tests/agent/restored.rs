//! A store that was restored from a backup older than what runs.

use std::time::Duration;

use fleet_registry::record::Target;

use crate::world::{World, unit};

const TEXT: &str = "[Service]\nExecStart=/bin/sleep inf\n";

/// A machine that runs `kept.service` since before the backup, and from after it `moved.service`, of which the backup
/// knows as another machine's, and `young.service`, of which it knows nothing. The backup is in place of the store.
fn restored() -> World {
    let mut w = World::present();
    let (kept, moved) = (w.submit("kept.service"), w.submit("moved.service"));
    w.give("kept.service", kept, TEXT, Target::Launched);
    w.publish();
    w.until("it runs", |w| w.state("kept.service").is_some_and(|s| s.active == "active"));
    w.run(Duration::from_secs(1));
    let backup = w.store.memory.clone();

    let young = w.submit("young.service");
    w.give("moved.service", moved, TEXT, Target::Launched);
    w.give("young.service", young, TEXT, Target::Launched);
    w.publish();
    w.until("all run", |w| ["moved.service", "young.service"].iter().all(|name| w.is_active(name)));
    w.run(Duration::from_secs(1));
    w.systemd.asked.clear();
    w.store.replace(w.now, backup);
    w
}

/// The engine, which continues above what the machine has seen, with what the backup says.
fn engine_continues(w: &mut World) {
    w.until("the machine says what it has seen", |w| w.machine().is_some_and(|m| m.schedule_seen >= 2));
    w.take("moved.service");
    w.take("young.service");
    w.publish_as(3);
    w.until("what others have is given up", |w| !w.is_active("moved.service"));
}

#[test]
fn what_a_restored_store_does_not_know_becomes_an_orphan() {
    let mut w = restored();
    let pids = |w: &World| ["kept.service", "young.service"].map(|name| w.systemd.pid(&unit(name)));
    let before = pids(&w);
    w.until("it is shown", |w| w.state("young.service").is_some_and(|s| s.extra.contains_key("orphan")));
    assert!(w.state("moved.service").is_none_or(|s| !s.extra.contains_key("orphan")), "a record knows it");
    assert_eq!(w.said("no record knows it"), 1);
    engine_continues(&mut w);
    w.run(Duration::from_secs(60));
    assert_eq!(pids(&w), before, "a unit was touched");

    // A fleetd that starts anew has it from its note.
    w.restart();
    w.run(Duration::from_secs(60));
    assert_eq!(pids(&w), before, "a unit was touched");
    assert!(w.state("young.service").is_some_and(|s| s.extra.contains_key("orphan")));
}

#[test]
fn what_a_restored_store_does_not_know_runs_on_wherever_fleetd_dies() {
    for effects in 0..40 {
        let mut w = restored();
        w.dies_after = Some(effects);
        engine_continues(&mut w);
        w.run(Duration::from_secs(30));
        assert!(w.is_active("young.service"), "stopped where fleetd died after {effects} effects");
        assert!(w.is_active("kept.service"), "stopped where fleetd died after {effects} effects");
    }
}
