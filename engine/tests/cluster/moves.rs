//! Moves by acknowledgement.

use std::time::Duration;

use fleet_registry::Key;
use fleet_registry::record::{AppliedRecord, NoteKind};
use fleet_units::DesiredState;

use crate::rig::{Rig, machine, unit};

#[test]
fn a_unit_goes_to_another_machine_only_when_the_old_one_has_given_it_back() {
    let mut rig = Rig::new(&["m1", "m2"]);
    rig.start("a.service", "");
    rig.instant();
    assert_eq!(rig.running("a.service"), ["m1"]);
    rig.node("m1").agent_works = false;
    rig.operate("m1", |operator| operator.draining = true);
    rig.settle();
    assert_eq!(rig.listed("a.service"), Vec::<String>::new());
    assert_eq!(rig.running("a.service"), ["m1"], "its agent is slow");
    let schedule = rig.schedule("m1").unwrap();
    assert_eq!(schedule.leaving.get(&unit("a.service")), Some(&schedule.generation));
    let note = rig.note("a.service").unwrap();
    assert_eq!((note.kind, note.reason.as_str()), (NoteKind::Waiting, "waiting for m1 to give back a.service"));
    rig.node("m1").agent_works = true;
    rig.instant();
    assert_eq!(rig.running("a.service"), ["m2"]);
    let note = rig.note("a.service").unwrap();
    assert_eq!((note.kind, note.moves), (NoteKind::Placed, 1));
    // What was acknowledged is dropped when the schedule is written again.
    rig.operate("m1", |_| {});
    rig.start("b.service", "MachineID=m1");
    rig.instant();
    assert!(rig.schedule("m1").unwrap().leaving.is_empty());
}

#[test]
fn a_machine_that_leaves_gives_its_units_back_one_by_one() {
    let mut rig = Rig::new(&["m1", "m2", "m3"]);
    for name in ["a.service", "b.service"] {
        rig.start(name, "MachineID=m1");
    }
    rig.start("global.service", "Global=true");
    rig.settle();
    rig.start("a.service", "");
    rig.start("b.service", "");
    rig.settle();
    assert_eq!((rig.running("a.service"), rig.running("b.service")), (vec!["m1"], vec!["m1"]));
    rig.node("m1").slow.insert(unit("a.service"));
    rig.begin_to_leave("m1");
    rig.settle();
    assert_eq!(rig.running("b.service"), ["m2"], "it need not wait for the slow one");
    assert_eq!(rig.running("a.service"), ["m1"]);
    assert_eq!(rig.listed("global.service"), ["m1", "m2", "m3"], "a global unit ends with its machine");
    rig.start("c.service", "");
    // The next leader knows as much.
    let leader = rig.leader().unwrap();
    rig.resign(&leader);
    rig.settle();
    assert_eq!(rig.running("c.service"), ["m3"]);
    assert_eq!(rig.listed("a.service"), Vec::<String>::new());
    rig.node("m1").slow.clear();
    rig.settle();
    assert_eq!(rig.listed("a.service"), ["m2"]);
    assert_eq!(rig.running("a.service"), ["m2"]);
}

#[test]
fn the_next_leader_waits_for_the_same_acknowledgement() {
    let mut rig = Rig::new(&["m1", "m2", "m3"]);
    rig.start("a.service", "MachineMetadata=zone=a");
    for (id, zone) in [("m1", "a"), ("m2", "b"), ("m3", "b")] {
        rig.operate(id, |operator| drop(operator.metadata.insert("zone".to_owned(), Some(zone.to_owned()))));
    }
    rig.settle();
    assert_eq!(rig.running("a.service"), ["m1"]);
    rig.node("m1").agent_works = false;
    for (id, zone) in [("m1", "b"), ("m2", "a")] {
        rig.operate(id, |operator| drop(operator.metadata.insert("zone".to_owned(), Some(zone.to_owned()))));
    }
    rig.settle();
    let leader = rig.leader().unwrap();
    rig.resign(&leader);
    rig.settle();
    assert_ne!(rig.leader().unwrap(), leader);
    assert_eq!(rig.listed("a.service"), Vec::<String>::new(), "m1 has not given it back");
    rig.node("m1").agent_works = true;
    rig.settle();
    assert_eq!(rig.running("a.service"), ["m2"]);
}

#[test]
fn a_unit_destroyed_and_submitted_again_is_another_unit() {
    let mut rig = Rig::new(&["m1", "m2"]);
    rig.start("a.service", "");
    rig.instant();
    let first = rig.schedule("m1").unwrap().units[&unit("a.service")].clone();
    rig.node("m1").agent_works = false;
    rig.delete(&Key::Unit(unit("a.service")));
    rig.start("a.service", "");
    rig.instant();
    // On the same machine the agent itself stops the one before it starts the other.
    let second = rig.schedule("m1").unwrap().units[&unit("a.service")].clone();
    assert_ne!(first.uid, second.uid);
    assert_eq!(first.content, second.content);
    // On another machine, the old one must be gone first.
    rig.delete(&Key::Unit(unit("a.service")));
    rig.instant();
    rig.start("a.service", "MachineID=m2");
    rig.settle();
    assert_eq!(rig.listed("a.service"), Vec::<String>::new());
    rig.node("m1").agent_works = true;
    rig.instant();
    assert_eq!(rig.running("a.service"), ["m2"]);
}

#[test]
fn a_unit_that_comes_back_to_the_machine_it_is_leaving_need_not_wait() {
    let mut rig = Rig::new(&["m1"]);
    rig.start("a.service", "");
    rig.instant();
    rig.node("m1").agent_works = false;
    rig.desire("a.service", DesiredState::Inactive);
    rig.instant();
    assert!(rig.schedule("m1").unwrap().leaving.contains_key(&unit("a.service")));
    rig.desire("a.service", DesiredState::Launched);
    rig.instant();
    let schedule = rig.schedule("m1").unwrap();
    assert!(schedule.units.contains_key(&unit("a.service")));
    assert!(schedule.leaving.is_empty());
}

#[test]
fn a_conflicting_unit_starts_when_the_other_is_really_gone() {
    let mut rig = Rig::new(&["m1"]);
    rig.start("a.service", "Conflicts=b.service");
    rig.instant();
    rig.node("m1").agent_works = false;
    rig.desire("a.service", DesiredState::Inactive);
    rig.start("b.service", "");
    rig.settle();
    assert_eq!(rig.listed("b.service"), Vec::<String>::new());
    let note = rig.note("b.service").unwrap();
    assert_eq!(note.reason, "waiting for m1 to stop a.service, which conflicts");
    rig.node("m1").agent_works = true;
    rig.instant();
    assert_eq!(rig.running("b.service"), ["m1"]);
}

#[test]
fn changed_content_stays_on_its_machine() {
    let mut rig = Rig::new(&["m1", "m2"]);
    rig.start("a.service", "");
    rig.start("b.service", "");
    rig.instant();
    assert_eq!(rig.running("b.service"), ["m2"]);
    rig.desire("a.service", DesiredState::Inactive);
    rig.instant();
    let before = rig.schedule("m2").unwrap().units[&unit("b.service")].clone();
    rig.start("b.service", "Conflicts=c.service");
    rig.instant();
    let after = rig.schedule("m2").unwrap().units[&unit("b.service")].clone();
    assert_eq!(rig.running("b.service"), ["m2"], "though m1 is emptier");
    assert_eq!(before.uid, after.uid);
    assert_ne!(before.content, after.content);
}

#[test]
fn a_machine_without_schedule_gets_one_when_its_own_is_deleted() {
    let mut rig = Rig::new(&["m1"]);
    rig.start("a.service", "");
    rig.run(Duration::from_secs(1));
    rig.delete(&Key::Schedule(machine("m1")));
    rig.settle();
    assert_eq!(rig.listed("a.service"), ["m1"]);
}

/// A machine that was lost may come back with a unit that does not stop, and that no schedule of it lists any more.
#[test]
fn what_a_machine_says_it_still_stops_keeps_away_what_conflicts_with_it() {
    let mut rig = Rig::new(&["m1", "m2"]);
    rig.instant();
    rig.node("m1").agent_works = false;
    let mut applied: AppliedRecord = rig.get(&Key::Applied(machine("m1"))).unwrap();
    applied.stopping.insert(unit("a.service"));
    rig.put(&Key::Applied(machine("m1")), &applied);
    let leader = rig.leader().unwrap();
    for (name, next_leader) in [("b.service", false), ("c.service", true)] {
        if next_leader {
            rig.resign(&leader);
        }
        rig.start(name, "MachineID=m1\nConflicts=a.service");
        rig.until(Duration::from_secs(30), "it is decided", |rig| rig.note(name).is_some());
        assert_eq!(rig.listed(name), Vec::<String>::new());
        assert_eq!(rig.note(name).unwrap().reason, "waiting for m1 to stop a.service, which conflicts");
    }
    rig.node("m1").agent_works = true;
    applied.stopping.clear();
    rig.put(&Key::Applied(machine("m1")), &applied);
    rig.settle();
    assert_eq!((rig.running("b.service"), rig.running("c.service")), (vec!["m1"], vec!["m1"]));
}
