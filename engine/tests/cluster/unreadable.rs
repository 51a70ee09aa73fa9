//! Records that cannot be read: each is named, left alone, and hurts nothing else.

use std::time::Duration;

use fleet_engine::Report;
use fleet_registry::Key;
use fleet_registry::record::{Assignment, FORMAT, ScheduleRecord, StateRecord, Target};
use fleet_units::DesiredState;

use crate::rig::{Rig, TTL, machine, unit};

const GARBAGE: &str = "{\"v\": 1, \"units\": [truncat";

fn old(names: &[&str]) -> Rig {
    let mut rig = Rig::new(names);
    rig.run(TTL * 2);
    rig
}

/// Three machines with a unit each; the names of one that does not lead, of its unit, and of the leader.
fn busy() -> (Rig, String, String) {
    let mut rig = old(&["m1", "m2", "m3"]);
    for n in 1..=3 {
        rig.start(&format!("u{n}.service"), "");
    }
    rig.settle();
    let leader = rig.leader().unwrap();
    let id = rig.nodes.iter().map(|node| node.id.to_string()).find(|id| *id != leader).unwrap();
    let held = rig.schedule(&id).unwrap().units.into_keys().next().unwrap().to_string();
    (rig, id, held)
}

/// Garbles a key and lets time pass: it must still be there, and have been named once by each leader.
fn garble(rig: &mut Rig, key: &Key) -> i64 {
    rig.garble(key, GARBAGE);
    rig.settle();
    rig.kv(key).unwrap().mod_revision
}

fn is_left_alone(rig: &mut Rig, key: &Key, revision: i64) {
    let kv = rig.kv(key).expect("it is there");
    assert_eq!((kv.mod_revision, &kv.value[..]), (revision, GARBAGE.as_bytes()), "{key:?}");
}

fn named(rig: &Rig, key: &Key) -> usize {
    let name = String::from_utf8(rig.layout.encode(key).to_vec()).unwrap();
    let names = |report: &&Report| matches!(report, Report::Unreadable { key, .. } if *key == name);
    rig.nodes.iter().flat_map(|node| &node.log).filter(names).count()
}

/// A new unit finds a machine, whatever else is broken.
fn everything_else_goes_on(rig: &mut Rig) {
    rig.start("other.service", "");
    rig.settle();
    assert_eq!(rig.running("other.service").len(), 1, "{}", rig.log().join("\n"));
    rig.desire("other.service", DesiredState::Inactive);
    rig.settle();
    assert_eq!(rig.running("other.service").len(), 0, "{}", rig.log().join("\n"));
}

fn writes_stay_bounded(rig: &mut Rig, during: impl FnOnce(&mut Rig)) {
    let before = rig.schedule_writes();
    during(rig);
    let writes = rig.schedule_writes() - before;
    assert!(writes <= 12, "{writes} schedules written\n{}", rig.log().join("\n"));
}

/// Every fleetd starts again: whoever leads knows nothing of what was there before.
fn another_leads(rig: &mut Rig) {
    let fence = rig.kv(&Key::Leader).unwrap().create_revision;
    for n in 0..rig.nodes.len() {
        if rig.nodes[n].alive {
            let id = rig.nodes[n].id.to_string();
            rig.restart(&id, "first");
        }
    }
    let again = |rig: &mut Rig| rig.kv(&Key::Leader).is_some_and(|kv| kv.create_revision > fence);
    rig.until(Duration::from_secs(2), "it leads again", again);
    rig.settle();
}

#[test]
fn a_unit_whose_record_cannot_be_read_stays_as_it_is() {
    let (mut rig, id, held) = busy();
    let key = Key::Unit(unit(&held));
    let record = rig.kv(&key).unwrap().value;
    let assigned = rig.schedule(&id).unwrap().units[&unit(&held)].clone();
    let revision = garble(&mut rig, &key);
    everything_else_goes_on(&mut rig);
    another_leads(&mut rig);
    everything_else_goes_on(&mut rig);
    // The schedule of its own machine is rewritten around it.
    rig.start("beside.service", &format!("MachineID={id}"));
    rig.settle();
    assert_eq!(rig.running("beside.service"), [id.as_str()]);
    assert_eq!(rig.schedule(&id).unwrap().units[&unit(&held)], assigned);
    assert_eq!(rig.running(&held), [id.as_str()]);
    is_left_alone(&mut rig, &key, revision);
    assert_eq!(named(&rig, &key), 2, "once by each leader\n{}", rig.log().join("\n"));
    // Its machine is lost: nobody knows where it may run, so it stays listed there.
    rig.kill(&id);
    rig.run(TTL * 3);
    assert_eq!(rig.listed(&held), std::slice::from_ref(&id));
    rig.boot(&id);
    rig.run(TTL);
    assert_eq!(rig.listed(&held), std::slice::from_ref(&id));
    // Somebody puts it right.
    rig.garble(&key, std::str::from_utf8(&record).unwrap());
    rig.settle();
    rig.desire(&held, DesiredState::Inactive);
    rig.settle();
    assert!(rig.listed(&held).is_empty());
}

#[test]
fn a_schedule_that_cannot_be_read_keeps_its_units_and_gets_nothing() {
    let (mut rig, id, held) = busy();
    let key = Key::Schedule(machine(&id));
    writes_stay_bounded(&mut rig, |rig| {
        let revision = garble(rig, &key);
        everything_else_goes_on(rig);
        // Nothing goes there, though it would be the only one.
        rig.start("there.service", &format!("MachineID={id}"));
        // Its unit is stopped as far as people are concerned: that waits.
        rig.desire(&held, DesiredState::Inactive);
        rig.settle();
        rig.desire(&held, DesiredState::Launched);
        rig.run(TTL * 2);
        is_left_alone(rig, &key, revision);
        assert!(rig.running("there.service").is_empty());
        assert_eq!(rig.running(&held), [id.as_str()], "{}", rig.log().join("\n"));
        assert_eq!(rig.listed(&held), Vec::<String>::new());
    });
    // Somebody deletes it: the machine gets back what it had.
    rig.delete(&key);
    rig.settle();
    assert_eq!(rig.listed(&held), std::slice::from_ref(&id));
    assert_eq!(rig.running(&held), [id.as_str()]);
    assert_eq!(rig.running("there.service"), [id.as_str()]);
}

#[test]
fn a_new_leader_starts_nothing_twice_beside_a_schedule_that_cannot_be_read() {
    for machine_is_lost in [false, true] {
        let (mut rig, id, held) = busy();
        let key = Key::Schedule(machine(&id));
        // Nobody of those who lead from now on ever saw what it was.
        let revision = garble(&mut rig, &key);
        another_leads(&mut rig);
        rig.run(TTL * 3);
        if machine_is_lost {
            // Cut off, not dead: it runs on what it has.
            rig.connect(&id, fleet_registry::loopback::Connection::Silent);
            rig.run(TTL * 3);
        }
        writes_stay_bounded(&mut rig, |rig| {
            everything_else_goes_on(rig);
            assert_eq!(rig.running(&held), [id.as_str()], "{}", rig.log().join("\n"));
            assert!(rig.listed(&held).is_empty());
            is_left_alone(rig, &key, revision);
        });
        let note = rig.note(&held).unwrap();
        assert!(note.reason.contains("a record cannot be read"), "{note:?}");
        rig.connect(&id, fleet_registry::loopback::Connection::Up);
        rig.run(TTL);
        // The agent has said what it runs, and somebody deletes what nobody can read.
        report(&mut rig, &id, &held);
        rig.delete(&key);
        rig.run(TTL * 3);
        assert_eq!(rig.listed(&held), std::slice::from_ref(&id), "{}", rig.log().join("\n"));
        assert_eq!(rig.running(&held), [id.as_str()]);
    }
}

/// What an agent writes of a unit that it runs.
fn report(rig: &mut Rig, id: &str, name: &str) {
    let given: Assignment = rig.node(id).runs[&unit(name)].clone();
    let state = StateRecord {
        v: FORMAT,
        uid: given.uid,
        content: given.content,
        restarts: given.restarts,
        reached: Some(Target::Launched),
        load: "loaded".into(),
        active: "active".into(),
        sub: "running".into(),
        result: String::new(),
        since: 0,
        n_restarts: 0,
        main_pid: 1,
        stop_bound_ms: None,
        error: String::new(),
        extra: Default::default(),
    };
    rig.put(&Key::State(machine(id), unit(name)), &state);
}

#[test]
fn a_schedule_that_somebody_deletes_is_written_again_as_it_was() {
    let (mut rig, id, held) = busy();
    let before = rig.schedule(&id).unwrap();
    rig.delete(&Key::Schedule(machine(&id)));
    rig.settle();
    let after = rig.schedule(&id).unwrap();
    assert_eq!(after.units, before.units);
    assert!(after.generation > before.generation);
    assert_eq!(rig.running(&held), [id.as_str()]);
}

#[test]
fn a_machine_whose_record_cannot_be_read_is_there_and_gets_nothing() {
    for key in [Key::Machine as fn(_) -> _, Key::Operator] {
        let (mut rig, id, held) = busy();
        let key = key(machine(&id));
        let lease = rig.kv(&Key::Machine(machine(&id))).unwrap().lease;
        writes_stay_bounded(&mut rig, |rig| {
            let revision = garble(rig, &key);
            another_leads(rig);
            rig.start("there.service", &format!("MachineID={id}"));
            rig.run(TTL * 3);
            everything_else_goes_on(rig);
            is_left_alone(rig, &key, revision);
            assert!(rig.running("there.service").is_empty());
            assert_eq!(rig.running(&held), [id.as_str()], "{}", rig.log().join("\n"));
            // Its schedule can be read: what people stop, stops.
            rig.desire(&held, DesiredState::Inactive);
            rig.settle();
            assert!(rig.running(&held).is_empty());
        });
        rig.delete(&key);
        rig.run(TTL * 2);
        assert_eq!(rig.running("there.service"), [id.as_str()], "lease {lease}\n{}", rig.log().join("\n"));
    }
}

/// Whoever removes the garbage is faster than the machine that writes its record again: that is no loss.
#[test]
fn a_machine_whose_garbled_record_is_removed_has_a_lease_to_write_it_again() {
    for new_leader in [false, true] {
        let (mut rig, id, held) = busy();
        let key = Key::Machine(machine(&id));
        garble(&mut rig, &key);
        if new_leader {
            another_leads(&mut rig);
        }
        rig.delete(&key);
        rig.run(TTL * 3);
        assert!(rig.kv(&key).is_some(), "it is back");
        let left = |report: &&Report| matches!(report, Report::Lost { .. });
        let lost: Vec<&Report> = rig.nodes.iter().flat_map(|node| &node.log).filter(left).collect();
        assert!(lost.is_empty() && rig.running(&held) == [id.as_str()], "{}", rig.log().join("\n"));
        // Nobody is there any more who would write it again.
        garble(&mut rig, &key);
        rig.kill(&id);
        rig.delete(&key);
        rig.run(TTL * 3);
        assert_ne!(rig.running(&held), [id.as_str()], "{}", rig.log().join("\n"));
    }
}

#[test]
fn an_acknowledgement_that_cannot_be_read_is_asked_for_again() {
    let (mut rig, id, held) = busy();
    rig.node(&id).agent_works = false;
    rig.operate(&id, |operator| operator.draining = true);
    rig.settle();
    assert!(rig.schedule(&id).unwrap().leaving.contains_key(&unit(&held)));
    let key = Key::Applied(machine(&id));
    // It gives the unit back, and its word is written over before anybody hears it.
    let leader = rig.leader().unwrap();
    rig.connect(&leader, fleet_registry::loopback::Connection::Silent);
    rig.node(&id).agent_works = true;
    rig.instant();
    rig.garble(&key, GARBAGE);
    rig.instant();
    assert!(rig.running(&held).is_empty());
    rig.run(TTL * 3);
    let now = rig.running(&held).into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert!(now.len() == 1 && now[0] != id, "{now:?}\n{}", rig.log().join("\n"));
}

#[test]
fn a_brake_that_cannot_be_read_is_on() {
    let (mut rig, id, held) = busy();
    let revision = garble(&mut rig, &Key::Brake);
    rig.kill(&id);
    rig.run(TTL * 40);
    assert_eq!(rig.listed(&held), std::slice::from_ref(&id), "{}", rig.log().join("\n"));
    everything_else_goes_on(&mut rig);
    is_left_alone(&mut rig, &Key::Brake, revision);
    another_leads(&mut rig);
    rig.run(TTL * 3);
    is_left_alone(&mut rig, &Key::Brake, revision);
    assert!(rig.running(&held).is_empty());
    rig.delete(&Key::Brake);
    rig.run(TTL * 2);
    let now = rig.running(&held);
    assert!(now.len() == 1 && now[0] != id, "{now:?}\n{}", rig.log().join("\n"));
}

#[test]
fn notes_and_contents_that_cannot_be_read_are_left_alone() {
    let (mut rig, id, held) = busy();
    let note = Key::Note(unit("late.service"));
    let assigned: Assignment = rig.schedule(&id).unwrap().units[&unit(&held)].clone();
    let content = Key::Content(assigned.content);
    let (noted, read) = (garble(&mut rig, &note), garble(&mut rig, &content));
    rig.start("late.service", "MachineMetadata=nowhere=here");
    rig.run(TTL);
    another_leads(&mut rig);
    // All of this text: nothing of it is stopped.
    assert_eq!(rig.running(&held), [id.as_str()]);
    is_left_alone(&mut rig, &note, noted);
    // Two hours: nothing of it is swept.
    rig.run(Duration::from_secs(7200));
    is_left_alone(&mut rig, &note, noted);
    let kv = rig.kv(&content).unwrap();
    assert!(kv.mod_revision >= read);
    rig.delete(&note);
    rig.settle();
    assert!(rig.note("late.service").is_some_and(|note| note.reason.contains("nowhere")), "it is told again");
}

#[test]
fn no_text_is_swept_while_a_unit_or_schedule_cannot_be_read() {
    let (mut rig, id, held) = busy();
    let other = "[Service]\nExecStart=/bin/false\n";
    rig.submit(&[(&held, other, DesiredState::Launched)]);
    rig.settle();
    let texts = rig.count("contents/");
    rig.garble(&Key::Unit(unit(&held)), GARBAGE);
    rig.garble(&Key::Schedule(machine(&id)), GARBAGE);
    another_leads(&mut rig);
    rig.run(Duration::from_secs(7200));
    assert_eq!(rig.count("contents/"), texts);
}

#[test]
fn a_leader_that_cannot_be_read_still_leads() {
    let (mut rig, _, _) = busy();
    let leader = rig.leader().unwrap();
    rig.garble(&Key::Leader, GARBAGE);
    rig.settle();
    everything_else_goes_on(&mut rig);
    // It puts its own record right, so that it goes when its machine does.
    assert_eq!(rig.leader(), Some(leader.clone()));
    rig.kill(&leader);
    rig.until(TTL * 2, "another leads", |rig| rig.leader().is_some_and(|now| now != leader));
    // One that nobody holds is left alone, and said: a person must look.
    for id in ["m1", "m2", "m3"] {
        rig.kill(id);
    }
    rig.run(TTL * 2);
    rig.garble(&Key::Leader, GARBAGE);
    for id in ["m1", "m2", "m3"] {
        rig.boot(id);
    }
    rig.run(TTL * 2);
    let revision = rig.kv(&Key::Leader).unwrap().mod_revision;
    is_left_alone(&mut rig, &Key::Leader, revision);
    assert!(named(&rig, &Key::Leader) > 0, "{}", rig.log().join("\n"));
    rig.delete(&Key::Leader);
    rig.settle();
    assert!(rig.leader().is_some());
    everything_else_goes_on(&mut rig);
}

#[test]
fn what_a_newer_leader_said_of_an_assignment_is_kept_while_it_stays_the_same() {
    let (mut rig, id, held) = busy();
    let key = Key::Schedule(machine(&id));
    let mut record: ScheduleRecord = rig.get(&key).unwrap();
    record.extra.insert("news".into(), 1.into());
    record.generation += 1;
    record.units.get_mut(&unit(&held)).unwrap().extra.insert("slot".into(), serde_json::json!({"n": 2}));
    rig.put(&key, &record);
    rig.settle();
    rig.start("beside.service", &format!("MachineID={id}"));
    rig.settle();
    let mut rewritten = rig.schedule(&id).unwrap();
    assert_eq!(rewritten.units.len(), 2);
    assert_eq!(rewritten.extra, record.extra);
    assert_eq!(rewritten.units[&unit(&held)].extra, record.units[&unit(&held)].extra);
    // Another text is another matter.
    rig.start(&held, &format!("MachineID={id}"));
    rig.settle();
    rewritten = rig.schedule(&id).unwrap();
    assert!(rewritten.units[&unit(&held)].extra.is_empty());
}
