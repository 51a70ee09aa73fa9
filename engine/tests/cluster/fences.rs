//! Writes that must fail, and what a leader does about it.

use std::time::Duration;

use fleet_registry::Key;
use fleet_registry::loopback::{Connection, Fault};
use fleet_registry::record::{FORMAT, ScheduleRecord};
use fleet_registry::store::{Compare, CompareTarget, Request};

use crate::rig::{Rig, TTL, machine, unit};

/// The leader's position.
fn leader(rig: &Rig) -> usize {
    rig.nodes.iter().position(|node| node.engine.status().leads).expect("somebody leads")
}

#[test]
fn every_schedule_write_compares_the_leader_and_what_it_replaces() {
    let mut rig = Rig::new(&["m1", "m2"]);
    rig.start("a.service", "");
    rig.instant();
    let fence = rig.kv(&Key::Leader).unwrap().create_revision;
    let n = leader(&rig);
    let Some(Request::Txn(txn)) = rig.nodes[n].requests.last() else { panic!("a transaction") };
    let leader_key = rig.layout.encode(&Key::Leader);
    let schedule = rig.layout.encode(&Key::Schedule(machine("m1")));
    assert_eq!(txn.compare[0], Compare::created_at(leader_key, fence));
    assert_eq!(txn.compare[1].key, schedule);
    assert!(matches!(txn.compare[1].target, CompareTarget::Mod(revision) if revision > 0));
}

#[test]
fn a_stale_leaders_transaction_fails() {
    let mut rig = Rig::new(&["m1", "m2", "m3"]);
    rig.run(TTL * 2);
    let old = leader(&rig);
    let id = rig.nodes[old].id.to_string();
    // It hears of the unit, decides, and its write is held up on the way until another leads.
    rig.nodes[old].link.inject(Fault::Delay { request: TTL * 3, answer: Duration::ZERO });
    rig.start("a.service", "MachineID=m2");
    rig.instant();
    rig.connect(&id, Connection::Silent);
    rig.until(TTL * 2, "another leads", |rig| rig.leader().is_some_and(|new| new != id));
    rig.settle();
    let decided = rig.schedule("m2").unwrap();
    assert!(decided.units.contains_key(&unit("a.service")), "the new leader placed it");
    rig.run(TTL * 4);
    assert_eq!(rig.schedule("m2").unwrap(), decided, "the held-up write came to nothing");
}

#[test]
fn two_leaders_never_both_write() {
    // The old leader's link lets requests through but no answers, so that it goes on believing; it is also deaf to the
    // end of its lease until its own clock tells it.
    let mut rig = Rig::new(&["m1", "m2", "m3"]);
    rig.run(TTL * 2);
    let id = rig.nodes[leader(&rig)].id.to_string();
    let fence = rig.kv(&Key::Leader).unwrap().create_revision;
    rig.delete(&Key::Leader);
    rig.connect(&id, Connection::Deaf);
    rig.until(Duration::from_secs(2), "another leads", |rig| rig.leader().is_some_and(|new| new != id));
    assert!(rig.kv(&Key::Leader).unwrap().create_revision > fence);
    for n in 0..10 {
        rig.start(&format!("u{n}.service"), "");
        rig.run(Duration::from_millis(300));
    }
    for n in 0..10 {
        assert_eq!(rig.listed(&format!("u{n}.service")).len(), 1);
    }
}

#[test]
fn an_outcome_that_is_unknown_is_found_out_before_anything_else_is_written() {
    for fault in [Fault::LoseAnswer, Fault::LoseRequest] {
        let mut rig = Rig::new(&["m1", "m2", "m3"]);
        let n = leader(&rig);
        rig.nodes[n].link.inject(fault);
        rig.start("a.service", "");
        rig.instant();
        rig.start("b.service", "");
        rig.run(Duration::from_secs(5));
        assert_eq!(rig.listed("a.service").len(), 1, "{fault:?}");
        assert_eq!(rig.listed("b.service").len(), 1, "{fault:?}");
        assert!(rig.log().iter().any(|line| line.contains("did not go through")), "{fault:?}");
    }
}

#[test]
fn a_write_given_up_that_arrives_late_can_do_nothing_any_more() {
    let mut rig = Rig::new(&["m1", "m2"]);
    let n = leader(&rig);
    rig.nodes[n].link.inject(Fault::Delay { request: Duration::from_secs(8), answer: Duration::ZERO });
    rig.start("a.service", "");
    rig.instant();
    // While the write to m1 is under way, m1 stops being eligible: the leader decides for m2.
    rig.operate("m1", |operator| operator.cordoned = true);
    rig.run(Duration::from_secs(5));
    assert_eq!(rig.listed("a.service"), ["m2"]);
    rig.run(Duration::from_secs(10));
    assert_eq!(rig.listed("a.service"), ["m2"], "the late one found a newer value and failed");
}

#[test]
fn a_schedule_that_another_wrote_is_seen_before_it_is_replaced() {
    let mut rig = Rig::new(&["m1"]);
    let mut record: ScheduleRecord = rig.schedule("m1").unwrap();
    record.generation += 5;
    rig.put(&Key::Schedule(machine("m1")), &record);
    rig.start("a.service", "");
    rig.settle();
    let now = rig.schedule("m1").unwrap();
    assert!(now.units.contains_key(&unit("a.service")));
    assert!(now.generation > record.generation);
}

#[test]
fn a_generation_goes_on_above_what_the_machine_has_seen() {
    let mut rig = Rig::new(&["m1"]);
    rig.start("a.service", "");
    rig.instant();
    let seen = rig.schedule("m1").unwrap().generation;
    // A backup from before comes back.
    let old = ScheduleRecord {
        v: FORMAT,
        generation: 0,
        units: Default::default(),
        leaving: Default::default(),
        extra: Default::default(),
    };
    rig.put(&Key::Schedule(machine("m1")), &old);
    rig.run(Duration::from_secs(15));
    let now = rig.schedule("m1").unwrap();
    assert!(now.generation > seen, "{} is above {seen}", now.generation);
    assert!(now.units.contains_key(&unit("a.service")));
}

#[test]
fn a_request_that_no_store_would_take_is_never_made() {
    let mut rig = Rig::empty();
    for n in 0..150 {
        rig.add(&format!("m{n:03}"), &[], false);
    }
    rig.settle();
    let limit = |request: &Request| match request {
        Request::Txn(txn) => txn.compare.len().max(txn.success.len()).max(txn.failure.len()),
        _ => 0,
    };
    rig.start("global.service", "Global=true");
    rig.settle();
    assert_eq!(rig.listed("global.service").len(), 150);
    let largest = rig.nodes.iter().flat_map(|node| &node.requests).map(limit).max();
    assert!(largest.is_some_and(|largest| (60..=128).contains(&largest)), "{largest:?}");
}
