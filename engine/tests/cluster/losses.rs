//! Lost machines, outages of the store, and the brake.

use std::time::Duration;

use fleet_engine::Report;
use fleet_registry::Key;
use fleet_registry::loopback::Connection;
use fleet_registry::record::BrakeRecord;

use crate::rig::{Rig, TTL, machine};

fn second() -> Duration {
    Duration::from_secs(1)
}

/// A cluster that has been up for a while, so that absence is taken at its word.
fn old(names: &[&str]) -> Rig {
    let mut rig = Rig::new(names);
    rig.run(TTL * 2);
    rig
}

/// Somebody who does not lead.
fn follower(rig: &mut Rig) -> String {
    let leader = rig.leader().unwrap();
    rig.nodes.iter().map(|node| node.id.to_string()).find(|id| *id != leader).unwrap()
}

fn lost(rig: &Rig) -> usize {
    rig.nodes.iter().flat_map(|node| &node.log).filter(|report| matches!(report, Report::Lost { .. })).count()
}

#[test]
fn a_lost_machines_units_run_elsewhere_within_the_lease_and_a_second() {
    let mut rig = old(&["m1", "m2", "m3"]);
    let id = follower(&mut rig);
    rig.start("a.service", &format!("MachineMetadata=where={id}"));
    rig.operate(&id, |operator| drop(operator.metadata.insert("where".to_owned(), Some(id.clone()))));
    rig.settle();
    assert_eq!(rig.running("a.service"), [id.as_str()]);
    // It may run anywhere now, and stays.
    rig.start("a.service", "");
    rig.settle();
    assert_eq!(rig.running("a.service"), [id.as_str()]);
    rig.kill(&id);
    rig.until(TTL + second(), "it runs elsewhere", |rig| !rig.running("a.service").is_empty());
    assert_ne!(rig.running("a.service"), [id.as_str()]);
}

#[test]
fn the_leaders_own_machine_lost_costs_no_more() {
    let mut rig = old(&["m1", "m2", "m3"]);
    let leader = rig.leader().unwrap();
    rig.start("a.service", &format!("MachineID={leader}"));
    rig.settle();
    rig.start("a.service", "");
    rig.settle();
    assert_eq!(rig.running("a.service"), [leader.as_str()]);
    rig.kill(&leader);
    rig.until(TTL + second(), "it runs elsewhere", |rig| !rig.running("a.service").is_empty());
}

#[test]
fn a_unit_that_fits_nowhere_else_stays_listed_with_its_lost_machine() {
    let mut rig = old(&["m1", "m2", "m3"]);
    let id = follower(&mut rig);
    rig.start("a.service", &format!("MachineID={id}"));
    rig.settle();
    rig.kill(&id);
    rig.run(TTL * 2);
    assert_eq!(lost(&rig), 1);
    assert_eq!(rig.listed("a.service"), std::slice::from_ref(&id));
    rig.boot(&id);
    rig.settle();
    rig.run(TTL);
    assert_eq!(rig.listed("a.service"), [id]);
}

#[test]
fn a_machine_that_comes_back_finds_its_units_given_away() {
    let mut rig = old(&["m1", "m2", "m3"]);
    let id = follower(&mut rig);
    for n in 0..6 {
        rig.start(&format!("u{n}.service"), "");
    }
    rig.settle();
    assert_eq!(rig.schedule(&id).unwrap().units.len(), 2);
    // Its network is cut; what runs there goes on running.
    rig.node(&id).agent_works = false;
    rig.connect(&id, Connection::Silent);
    rig.run(TTL * 2);
    assert!(rig.schedule(&id).unwrap().units.is_empty());
    assert_eq!(rig.schedule(&id).unwrap().leaving.len(), 2, "until it acknowledges");
    rig.connect(&id, Connection::Up);
    rig.node(&id).agent_works = true;
    rig.run(TTL);
    for n in 0..6 {
        assert_eq!(rig.running(&format!("u{n}.service")).len(), 1);
    }
}

#[test]
fn taking_from_a_lost_machine_compares_its_absence() {
    let mut rig = old(&["m1", "m2", "m3"]);
    let id = follower(&mut rig);
    for n in 0..3 {
        rig.start(&format!("u{n}.service"), "");
    }
    rig.settle();
    rig.kill(&id);
    rig.run(TTL * 2);
    let absent = fleet_registry::store::Compare::absent(rig.layout.encode(&Key::Machine(machine(&id))));
    let schedule = rig.layout.encode(&Key::Schedule(machine(&id)));
    let taking = rig.nodes.iter().flat_map(|node| &node.requests).filter_map(|request| match request {
        fleet_registry::store::Request::Txn(txn) => Some(txn),
        _ => None,
    });
    let taking: Vec<_> = taking.filter(|txn| txn.compare.contains(&absent) && txn.compare[0] != absent).collect();
    assert!(taking.iter().any(|txn| txn.compare.iter().any(|compare| compare.key == schedule)));
}

#[test]
fn an_outage_of_the_store_moves_nothing() {
    for outage in [TTL / 2, TTL, TTL * 3, TTL * 30] {
        for connection in [Connection::Refused, Connection::Silent] {
            let mut rig = old(&["m1", "m2", "m3"]);
            for n in 0..6 {
                rig.start(&format!("u{n}.service"), "");
            }
            rig.settle();
            let places: Vec<_> = (0..6).map(|n| rig.listed(&format!("u{n}.service"))).collect();
            let generations: Vec<_> = ["m1", "m2", "m3"].map(|id| rig.schedule(id).unwrap().generation).to_vec();
            for id in ["m1", "m2", "m3"] {
                rig.connect(id, connection);
            }
            rig.run(outage);
            // They come back one after the other, within a lease.
            for id in ["m2", "m1", "m3"] {
                rig.connect(id, Connection::Up);
                rig.run(TTL / 4);
            }
            rig.run(TTL * 3);
            for (n, before) in places.iter().enumerate() {
                assert_eq!(rig.listed(&format!("u{n}.service")), *before, "{outage:?} {connection:?}");
            }
            let after: Vec<_> = ["m1", "m2", "m3"].map(|id| rig.schedule(id).unwrap().generation).to_vec();
            assert_eq!(generations, after, "{outage:?} {connection:?}: nothing was even written");
            assert_eq!(lost(&rig), 0, "{outage:?} {connection:?}");
        }
    }
}

#[test]
fn a_machine_lost_during_an_outage_is_lost_one_lease_after_it() {
    let mut rig = old(&["m1", "m2", "m3", "m4", "m5"]);
    for n in 0..5 {
        rig.start(&format!("u{n}.service"), "");
    }
    rig.settle();
    for id in ["m1", "m2", "m3", "m4", "m5"] {
        rig.connect(id, Connection::Refused);
    }
    rig.run(TTL * 2);
    rig.kill("m5");
    for id in ["m1", "m2", "m3", "m4"] {
        rig.connect(id, Connection::Up);
    }
    let up = rig.now;
    rig.until(TTL * 3, "m5 is lost", |rig| lost(rig) > 0);
    assert!(rig.now - up >= TTL, "{:?}", rig.now - up);
    assert!(rig.now - up <= TTL + TTL / 2, "{:?}", rig.now - up);
    rig.settle();
    assert_eq!(rig.running("u4.service").len(), 1);
}

#[test]
fn a_leader_that_just_started_waits_one_lease_before_it_believes() {
    let mut rig = old(&["m1", "m2"]);
    rig.start("a.service", "MachineID=m2");
    rig.settle();
    rig.start("a.service", "");
    rig.settle();
    // Both are off; only m1 comes back, and finds m2 absent.
    rig.kill("m1");
    rig.kill("m2");
    rig.run(TTL * 3);
    rig.boot("m1");
    let up = rig.now;
    rig.until(TTL * 2, "m2 is lost", |rig| lost(rig) > 0);
    assert!(rig.now - up >= TTL, "{:?}", rig.now - up);
    rig.settle();
    assert_eq!(rig.running("a.service"), ["m1"]);
}

/// Five machines, three of them cut off at once.
fn braked() -> (Rig, Vec<String>) {
    let mut rig = old(&["m1", "m2", "m3", "m4", "m5"]);
    let leader = rig.leader().unwrap();
    for n in 0..10 {
        rig.start(&format!("u{n}.service"), "");
    }
    rig.settle();
    let cut: Vec<String> =
        rig.nodes.iter().map(|node| node.id.to_string()).filter(|id| *id != leader).take(3).collect();
    for id in &cut {
        rig.connect(id, Connection::Silent);
    }
    rig.until(TTL * 2, "the brake is on", |rig| rig.brake().is_some());
    (rig, cut)
}

fn schedules(rig: &mut Rig) -> Vec<usize> {
    ["m1", "m2", "m3", "m4", "m5"].map(|id| rig.schedule(id).unwrap().units.len()).to_vec()
}

#[test]
fn when_most_are_lost_at_once_nothing_moves() {
    let (mut rig, cut) = braked();
    let brake = rig.brake().unwrap();
    assert_eq!(brake.present_before, 5);
    assert_eq!(brake.lost.keys().map(|id| id.to_string()).collect::<Vec<_>>(), cut);
    assert_eq!(schedules(&mut rig), [2, 2, 2, 2, 2], "{:#?}", rig.log());
    rig.run(TTL * 5);
    assert_eq!(schedules(&mut rig), [2, 2, 2, 2, 2], "{:#?}", rig.log());
    assert!(rig.log().iter().any(|line| line.contains("the brake is on: 3 of 5 machines are absent")));
    // Their return takes it off.
    for id in &cut {
        rig.connect(id, Connection::Up);
    }
    rig.run(TTL);
    assert_eq!(rig.brake(), None);
    assert_eq!(schedules(&mut rig), [2, 2, 2, 2, 2]);
    assert_eq!(lost(&rig), 0);
}

#[test]
fn the_brake_goes_off_when_a_person_releases_it() {
    let (mut rig, cut) = braked();
    let brake = BrakeRecord { released: true, ..rig.brake().unwrap() };
    rig.put(&Key::Brake, &brake);
    rig.settle();
    assert_eq!(rig.brake(), None);
    for id in &cut {
        assert_eq!(rig.schedule(id).unwrap().units.len(), 0, "{id}");
    }
    rig.run(TTL * 3);
    assert_eq!(rig.brake(), None, "it is not on again");
}

#[test]
fn the_brake_holds_as_long_as_configured() {
    let (mut rig, cut) = braked();
    rig.run(rig.hold - TTL);
    assert_eq!(schedules(&mut rig), [2, 2, 2, 2, 2]);
    rig.run(TTL * 2);
    assert_eq!(rig.brake(), None);
    for id in &cut {
        assert_eq!(rig.schedule(id).unwrap().units.len(), 0, "{id}");
    }
}

#[test]
fn the_brake_outlives_its_leader() {
    let (mut rig, _) = braked();
    let leader = rig.leader().unwrap();
    rig.resign(&leader);
    rig.run(TTL * 2);
    assert!(rig.leader().is_some_and(|id| id != leader));
    assert!(rig.brake().is_some());
    assert_eq!(schedules(&mut rig), [2, 2, 2, 2, 2]);
}

#[test]
fn a_few_lost_among_many_are_not_held_up() {
    let mut rig = old(&["m1", "m2", "m3", "m4", "m5", "m6", "m7"]);
    for n in 0..14 {
        rig.start(&format!("u{n}.service"), "");
    }
    rig.settle();
    let leader = rig.leader().unwrap();
    let cut: Vec<String> =
        rig.nodes.iter().map(|node| node.id.to_string()).filter(|id| *id != leader).take(3).collect();
    for id in &cut {
        rig.kill(id);
    }
    rig.until(TTL + second(), "all run elsewhere", |rig| {
        (0..14).all(|n| rig.running(&format!("u{n}.service")).len() == 1)
    });
    assert_eq!(rig.brake(), None);
}

#[test]
fn one_of_two_lost_is_no_reason_to_brake() {
    let mut rig = old(&["m1", "m2"]);
    let id = follower(&mut rig);
    rig.start("a.service", "");
    rig.start("b.service", "");
    rig.settle();
    rig.kill(&id);
    rig.run(TTL * 2);
    assert_eq!(rig.brake(), None);
    assert_eq!(rig.running("a.service").len() + rig.running("b.service").len(), 2);
}

#[test]
fn machines_that_say_that_they_leave_are_no_loss() {
    let mut rig = old(&["m1", "m2", "m3"]);
    for n in 0..6 {
        rig.start(&format!("u{n}.service"), "");
    }
    rig.settle();
    let leader = rig.leader().unwrap();
    let others: Vec<String> = rig.nodes.iter().map(|node| node.id.to_string()).filter(|id| *id != leader).collect();
    for id in &others {
        rig.leave(id);
        rig.instant();
    }
    assert_eq!(rig.brake(), None);
    for n in 0..6 {
        assert_eq!(rig.running(&format!("u{n}.service")), [leader.as_str()], "{:#?}", rig.log());
    }
}
