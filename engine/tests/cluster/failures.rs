//! `OnFailure=move`: what systemd gave up on goes elsewhere, a bounded number of times.

use std::time::Duration;

use fleet_registry::record::{NoteKind, UnitRecord};
use fleet_registry::store::{Operation, Request};
use fleet_registry::{Key, Layout};
use fleet_units::DesiredState;

use crate::rig::{Rig, unit};

const MOVES: &str = "OnFailure=move";

/// A cluster of three where a unit of this section was started on m1.
fn started(section: &str) -> Rig {
    let mut rig = Rig::new(&["m1", "m2", "m3"]);
    rig.start("a.service", section);
    rig.settle();
    assert_eq!(rig.running("a.service"), ["m1"]);
    rig
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn reason(rig: &mut Rig) -> String {
    rig.note("a.service").map(|note| note.reason).unwrap_or_default()
}

fn moves(rig: &mut Rig) -> u32 {
    rig.note("a.service").and_then(|note| note.failing).map_or(0, |failing| failing.moves)
}

#[test]
fn what_failed_goes_where_it_works() {
    let mut rig = started(MOVES);
    rig.broken("a.service", &["m1", "m2"]);
    rig.instant();
    assert_eq!(reason(&mut rig), "it failed on m1 (exit-code) and is to be moved in a while (move 1 of 5)");
    let note = rig.note("a.service").unwrap();
    assert_eq!(note.kind, NoteKind::Placed);
    let now = u64::try_from(rig.now.as_millis()).unwrap();
    assert_eq!(note.not_before, Some(now + 1_000), "people see when");
    rig.run(Duration::from_millis(900));
    assert_eq!(rig.running("a.service"), ["m1"], "not before");
    rig.run(Duration::from_millis(200));
    assert_eq!(rig.running("a.service"), ["m2"]);
    rig.run(Duration::from_millis(1_800));
    assert_eq!(rig.running("a.service"), ["m2"], "each wait is twice as long as the last");
    rig.run(Duration::from_millis(400));
    assert_eq!(rig.running("a.service"), ["m3"]);
    let note = rig.note("a.service").unwrap();
    assert_eq!((note.reason.as_str(), note.moves, note.not_before), ("on m3: it failed on m1, m2", 2, None));
    rig.run(seconds(300));
    assert_eq!(rig.running("a.service"), ["m3"], "it works there");
    assert_eq!(moves(&mut rig), 2);
    // Once it has run well for a while, all is forgotten: the next failure is the first.
    rig.run(seconds(301));
    assert_eq!(rig.note("a.service").unwrap().failing, None);
    rig.broken("a.service", &["m3"]);
    rig.run(seconds(2));
    assert_eq!((moves(&mut rig), rig.running("a.service")), (1, vec!["m1"]));
}

#[test]
fn a_unit_that_fails_everywhere_is_moved_a_few_times_and_stays() {
    let mut rig = started("OnFailure=move; MaxMoves=4");
    rig.broken("a.service", &["m1", "m2", "m3"]);
    rig.run(seconds(60));
    // m2, m3, and then where it failed longest ago.
    assert_eq!(rig.running("a.service"), ["m2"]);
    assert_eq!(reason(&mut rig), "it failed on m2 (exit-code) and stays there: it was moved 4 times (MaxMoves=4)");
    let writes: Vec<&Request> = rig.nodes.iter().flat_map(|node| &node.requests).collect();
    assert!(writes.len() < 60, "{} requests for four moves", writes.len());
    let before = rig.memory.header().revision;
    rig.run(seconds(3_600));
    assert_eq!(rig.memory.header().revision, before, "a unit that stays failed costs nothing");
    // The next leader leaves it there as well.
    let leader = rig.leader().unwrap();
    rig.resign(&leader);
    rig.run(seconds(60));
    assert_ne!(rig.leader().unwrap(), leader);
    assert_eq!((moves(&mut rig), rig.running("a.service")), (4, vec!["m2"]));
    // Until a person wants it tried again.
    restart(&mut rig);
    rig.run(Duration::from_millis(1_500));
    assert_eq!((moves(&mut rig), rig.running("a.service")), (2, vec!["m1"]), "the count begins anew");
}

/// What `fleetctl restart` and `fleetctl start` do with one that failed.
fn restart(rig: &mut Rig) {
    let key = Key::Unit(unit("a.service"));
    let mut record: UnitRecord = rig.get(&key).unwrap();
    record.restarts += 1;
    rig.put(&key, &record);
    rig.instant();
    for n in 0..rig.nodes.len() {
        rig.speak(n);
    }
}

#[test]
fn the_next_leader_goes_on_counting() {
    let mut rig = started("OnFailure=move; MaxMoves=3");
    rig.broken("a.service", &["m1", "m2", "m3"]);
    for _ in 0..2 {
        let leader = rig.leader().unwrap();
        rig.resign(&leader);
        rig.run(seconds(10));
    }
    let listed = rig.listed("a.service");
    let note = rig.note("a.service").unwrap();
    assert_eq!(note.failing.unwrap().moves, 3, "{}", note.reason);
    rig.run(seconds(600));
    assert_eq!(rig.listed("a.service"), listed, "three moves in all, whoever leads");
    assert_eq!(rig.note("a.service").unwrap().moves, 3);
}

#[test]
fn a_leader_that_ends_before_the_move_is_no_second_failure() {
    let mut rig = started(MOVES);
    rig.broken("a.service", &["m1"]);
    rig.instant();
    assert_eq!(moves(&mut rig), 1);
    let leader = rig.leader().unwrap();
    rig.resign(&leader);
    rig.run(seconds(5));
    assert_eq!((moves(&mut rig), rig.running("a.service")), (1, vec!["m2"]));
    assert_eq!(reason(&mut rig), "on m2: it failed on m1");
}

#[test]
fn a_unit_that_does_not_ask_for_it_stays() {
    for section in ["", "OnFailure=stay", "OnFailure=move; MachineID=m1", "OnFailure=move; Global=true"] {
        let mut rig = Rig::new(&["m1", "m2"]);
        rig.start("global.service", section);
        rig.settle();
        let before = rig.running("global.service").len();
        rig.broken("global.service", &["m1", "m2"]);
        rig.run(seconds(600));
        assert_eq!(rig.running("global.service").len(), before, "{section}");
        assert!(rig.running("global.service").contains(&"m1"), "{section}");
        assert_eq!(rig.note("global.service"), None, "{section}");
    }
}

#[test]
fn what_systemd_restarts_has_not_failed() {
    let mut rig = started(MOVES);
    rig.broken("a.service", &[]);
    for words in [
        ("activating", "auto-restart", "exit-code"),
        ("failed", "failed-before-auto-restart", "exit-code"),
        ("deactivating", "stop-sigterm", "timeout"),
        ("inactive", "dead", "exit-code"),
    ] {
        rig.claim("a.service", "m1", words);
        rig.run(seconds(60));
        assert_eq!((rig.note("a.service"), rig.running("a.service")), (None, vec!["m1"]), "{words:?}");
    }
}

#[test]
fn a_unit_that_recovers_before_it_is_moved_stays() {
    let mut rig = started(MOVES);
    rig.broken("a.service", &["m1"]);
    rig.run(Duration::from_millis(500));
    assert_eq!(moves(&mut rig), 1);
    rig.broken("a.service", &[]);
    rig.run(seconds(60));
    assert_eq!(rig.running("a.service"), ["m1"]);
    assert_eq!(rig.note("a.service"), None, "the move was not made, and is not counted");
}

#[test]
fn a_machine_that_is_lost_or_leaves_is_no_failure() {
    // Its last words are that the unit failed, but it is gone before anything came of that.
    let mut rig = started(MOVES);
    rig.run(seconds(30));
    rig.claim("a.service", "m1", ("failed", "failed", "exit-code"));
    rig.kill("m1");
    rig.run(seconds(30));
    assert_eq!(rig.running("a.service"), ["m2"]);
    assert_eq!(moves(&mut rig), 0, "{}", reason(&mut rig));
    // A machine that is being stopped for good says so, and its units may end badly.
    rig.begin_to_leave("m2");
    rig.node("m2").agent_works = false;
    rig.claim("a.service", "m2", ("failed", "failed", "signal"));
    rig.run(seconds(5));
    assert_eq!(moves(&mut rig), 0, "{}", reason(&mut rig));
}

#[test]
fn it_waits_where_no_other_machine_can_take_it() {
    let mut rig = Rig::new(&["m1"]);
    rig.start("a.service", MOVES);
    rig.settle();
    rig.broken("a.service", &["m1"]);
    rig.run(seconds(60));
    assert_eq!(rig.running("a.service"), ["m1"]);
    assert_eq!(reason(&mut rig), "it failed on m1 (exit-code), and no other machine can take it");
    let before = rig.schedule_writes();
    rig.run(seconds(600));
    assert_eq!(rig.schedule_writes(), before);
    rig.add("m2", &[], false);
    rig.run(seconds(5));
    assert_eq!(rig.running("a.service"), ["m2"]);
    assert_eq!(moves(&mut rig), 1);
}

#[test]
fn what_people_want_of_it_meanwhile_counts() {
    let mut rig = started(MOVES);
    rig.broken("a.service", &["m1"]);
    rig.instant();
    rig.desire("a.service", DesiredState::Loaded);
    rig.run(seconds(60));
    assert_eq!(rig.listed("a.service"), ["m1"], "it is not to run: it need not move");
    assert_eq!(rig.note("a.service"), None);
    rig.desire("a.service", DesiredState::Launched);
    rig.run(seconds(5));
    assert_eq!(rig.running("a.service"), ["m2"]);
    let key = Layout::default().encode(&Key::Note(unit("a.service")));
    rig.delete(&Key::Unit(unit("a.service")));
    rig.run(seconds(5));
    assert_eq!(rig.count("notes/"), 0, "{key:?}");
}

#[test]
fn its_note_is_written_before_it_is_moved() {
    let mut rig = started(MOVES);
    rig.broken("a.service", &["m1"]);
    rig.run(seconds(3));
    let layout = Layout::default();
    let (note, schedules) = (layout.encode(&Key::Note(unit("a.service"))), format!("{}schedule/", layout.root()));
    let requests: Vec<&Request> = rig.nodes.iter().flat_map(|node| &node.requests).collect();
    let writes = |request: &&Request, of: &dyn Fn(&[u8]) -> bool| match request {
        Request::Txn(txn) => txn.success.iter().any(|operation| match operation {
            Operation::Put(put) => of(&put.key),
            _ => false,
        }),
        _ => false,
    };
    let first_note = requests.iter().position(|request| writes(request, &|key| *key == note));
    let moved = requests.iter().enumerate().filter(|(_, r)| writes(r, &|key| key.starts_with(schedules.as_bytes())));
    let moved: Vec<usize> = moved.map(|(n, _)| n).collect();
    // The last two are the move: off the one machine, onto the other.
    assert!(first_note.unwrap() < moved[moved.len() - 2], "{first_note:?} {moved:?}");
}
