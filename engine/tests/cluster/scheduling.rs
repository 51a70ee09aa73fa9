//! From desired state to schedules.

use std::time::Duration;

use fleet_registry::Key;
use fleet_registry::record::{NoteKind, Target};
use fleet_units::DesiredState;

use crate::rig::{Rig, text, unit};

#[test]
fn a_started_unit_is_scheduled_by_exactly_one_transaction_at_once() {
    let mut rig = Rig::new(&["m1", "m2", "m3"]);
    let before = rig.schedule_writes();
    rig.start("hello.service", "");
    rig.instant();
    assert_eq!(rig.listed("hello.service"), ["m1"]);
    assert_eq!(rig.running("hello.service"), ["m1"]);
    assert_eq!(rig.schedule_writes(), before + 1);
    assert_eq!(rig.note("hello.service"), None);
    rig.run(Duration::from_secs(30));
    assert_eq!(rig.schedule_writes(), before + 1, "and nothing more");
}

#[test]
fn every_machine_has_an_explicit_schedule() {
    let mut rig = Rig::new(&["m1", "m2", "m3"]);
    for id in ["m1", "m2", "m3"] {
        assert!(rig.schedule(id).expect("it is there").units.is_empty());
    }
}

#[test]
fn two_hundred_units_at_once_take_one_pass_and_few_transactions() {
    let mut rig = Rig::new(&["m1", "m2", "m3", "m4", "m5"]);
    let before = rig.schedule_writes();
    let names: Vec<String> = (0..200).map(|n| format!("u{n}.service")).collect();
    let text = text("");
    let units: Vec<_> = names.iter().map(|name| (name.as_str(), text.as_str(), DesiredState::Launched)).collect();
    for units in units.chunks(120) {
        rig.submit(units);
    }
    rig.instant();
    for id in ["m1", "m2", "m3", "m4", "m5"] {
        assert_eq!(rig.schedule(id).unwrap().units.len(), 40);
    }
    assert!(rig.schedule_writes() - before <= 2, "{}", rig.schedule_writes() - before);
}

#[test]
fn load_stop_and_destroy_follow_the_desired_state() {
    let mut rig = Rig::new(&["m1"]);
    rig.submit(&[("a.service", &text(""), DesiredState::Inactive)]);
    rig.instant();
    assert_eq!(rig.listed("a.service"), Vec::<String>::new());
    for (desired, target) in [(DesiredState::Loaded, Target::Loaded), (DesiredState::Launched, Target::Launched)] {
        rig.desire("a.service", desired);
        rig.instant();
        assert_eq!(rig.schedule("m1").unwrap().units[&unit("a.service")].target, target);
    }
    rig.desire("a.service", DesiredState::Inactive);
    rig.instant();
    assert_eq!(rig.listed("a.service"), Vec::<String>::new());
    rig.desire("a.service", DesiredState::Launched);
    rig.instant();
    rig.delete(&Key::Unit(unit("a.service")));
    rig.instant();
    assert_eq!(rig.listed("a.service"), Vec::<String>::new());
    assert_eq!(rig.running("a.service"), Vec::<&str>::new());
}

#[test]
fn a_unit_that_no_machine_can_take_says_why_until_one_can() {
    let mut rig = Rig::new(&["m1", "m2", "m3"]);
    rig.start("a.service", "MachineMetadata=zone=a");
    rig.instant();
    let note = rig.note("a.service").expect("a note");
    assert_eq!((note.kind, note.reason.as_str()), (NoteKind::Unplaceable, "no machine: 3 of 3 lack zone=a"));
    rig.operate("m2", |operator| {
        operator.metadata.insert("zone".to_owned(), Some("a".to_owned()));
    });
    rig.instant();
    assert_eq!(rig.running("a.service"), ["m2"]);
    assert_eq!(rig.note("a.service"), None);
}

#[test]
fn a_note_goes_with_its_unit() {
    let mut rig = Rig::new(&["m1"]);
    rig.start("a.service", "MachineMetadata=zone=a");
    rig.instant();
    assert!(rig.note("a.service").is_some());
    rig.delete(&Key::Unit(unit("a.service")));
    rig.instant();
    assert_eq!(rig.note("a.service"), None);
}

#[test]
fn texts_that_nothing_refers_to_are_deleted_after_an_hour() {
    let mut rig = Rig::new(&["m1"]);
    let contents = |rig: &mut Rig| rig.count("contents/");
    rig.start("a.service", "");
    rig.start("b.service", "Conflicts=x.service");
    rig.start("c.service", "Conflicts=x.service");
    rig.settle();
    assert_eq!(contents(&mut rig), 2);
    rig.delete(&Key::Unit(unit("a.service")));
    rig.delete(&Key::Unit(unit("b.service")));
    rig.run(Duration::from_secs(1800));
    assert_eq!(contents(&mut rig), 2);
    rig.run(Duration::from_secs(3600));
    assert_eq!(contents(&mut rig), 1, "the one that c.service has is still there");
}

/// The registry may carry out a write long after it was given up on: what people read is what was decided last.
#[test]
fn a_note_that_lands_late_is_written_over() {
    let mut rig = Rig::new(&["m1"]);
    rig.settle();
    rig.node("m1").link.delays.request = Duration::from_secs(5);
    rig.start("a.service", "MachineMetadata=zone=a");
    rig.run(Duration::from_millis(100));
    rig.node("m1").link.delays.request = Duration::ZERO;
    rig.operate("m1", |operator| drop(operator.metadata.insert("zone".to_owned(), Some("a".to_owned()))));
    rig.until(Duration::from_secs(4), "it is placed", |rig| rig.running("a.service") == ["m1"]);
    assert_eq!(rig.note("a.service"), None);
    let revision = rig.memory.header().revision;
    rig.run(Duration::from_secs(10));
    assert!(rig.memory.header().revision > revision, "the late one has landed");
    assert_eq!(rig.note("a.service"), None);
}
