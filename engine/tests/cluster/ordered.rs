//! `After=` and `Requires=` across machines: a start waits for what machines say of others.

use std::time::Duration;

use fleet_registry::Key;
use fleet_registry::record::{NoteKind, Target};
use fleet_units::DesiredState;

use crate::rig::{Rig, text, unit};

const RUNS: (&str, &str, &str) = ("active", "running", "success");
const FAILED: (&str, &str, &str) = ("failed", "failed", "exit-code");

fn target(rig: &mut Rig, machine: &str, name: &str) -> Option<Target> {
    rig.schedule(machine)?.units.get(&unit(name)).map(|given| given.target)
}

/// Two machines: the database is on m1, the application that requires it on m2.
fn started() -> Rig {
    let mut rig = Rig::new(&["m1", "m2"]);
    let launched = DesiredState::Launched;
    let (db, app) = (text(""), text("Requires=db.service; Conflicts=db.service"));
    rig.submit(&[("db.service", &db, launched), ("app.service", &app, launched)]);
    rig.settle();
    assert_eq!((rig.listed("db.service"), rig.listed("app.service")), (vec!["m2".to_owned()], vec!["m1".to_owned()]));
    rig
}

/// The application would start before its database, on another machine, where systemd's own After= does not reach.
#[test]
fn a_start_waits_for_what_another_machine_says() {
    let mut rig = started();
    assert_eq!(target(&mut rig, "m1", "app.service"), Some(Target::Loaded));
    let note = rig.note("app.service").unwrap();
    assert_eq!(
        (note.kind, note.reason.as_str()),
        (NoteKind::Waiting, "its start waits for db.service, which is starting on m2")
    );
    rig.claim("db.service", "m2", FAILED);
    rig.settle();
    assert_eq!(rig.note("app.service").unwrap().reason, "its start waits for db.service, which failed on m2");
    rig.claim("db.service", "m2", RUNS);
    rig.settle();
    assert_eq!(target(&mut rig, "m1", "app.service"), Some(Target::Launched));
    assert_eq!(rig.note("app.service"), None, "there is nothing to say any more");
    // It runs, and stays launched whatever becomes of the other, under the next leader too.
    rig.claim("db.service", "m2", FAILED);
    rig.settle();
    let leader = rig.leader().unwrap();
    rig.resign(&leader);
    rig.settle();
    assert_eq!(target(&mut rig, "m1", "app.service"), Some(Target::Launched));
    let before = rig.schedule_writes();
    rig.run(Duration::from_secs(600));
    assert_eq!(rig.schedule_writes(), before);
}

/// A leader that has just been elected would start everything that was waiting.
#[test]
fn the_next_leader_goes_on_waiting() {
    let mut rig = started();
    let leader = rig.leader().unwrap();
    rig.resign(&leader);
    rig.settle();
    assert_eq!(target(&mut rig, "m1", "app.service"), Some(Target::Loaded));
    // What was there before its restart is no word on what is there after it.
    rig.claim("db.service", "m2", RUNS);
    let key = Key::Unit(unit("db.service"));
    let mut record: fleet_registry::record::UnitRecord = rig.get(&key).unwrap();
    record.restarts += 1;
    rig.node("m2").agent_works = false;
    rig.put(&key, &record);
    rig.instant();
    rig.desire("app.service", DesiredState::Inactive);
    rig.settle();
    rig.desire("app.service", DesiredState::Launched);
    rig.settle();
    assert_eq!(rig.note("app.service").unwrap().reason, "its start waits for db.service, which is starting on m2");
    rig.node("m2").agent_works = true;
    rig.settle();
    rig.claim("db.service", "m2", RUNS);
    rig.settle();
    assert_eq!(target(&mut rig, "m1", "app.service"), Some(Target::Launched));
}

/// A registry that was restored knows of fewer restarts than there were: whoever waits would wait for ever.
#[test]
fn a_unit_that_was_restarted_more_often_than_is_known_is_active_all_the_same() {
    let mut rig = started();
    rig.node("m2").runs.get_mut(&unit("db.service")).unwrap().restarts += 1;
    rig.claim("db.service", "m2", RUNS);
    rig.settle();
    assert_eq!(target(&mut rig, "m1", "app.service"), Some(Target::Launched));
}
