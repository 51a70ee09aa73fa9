//! Who leads.

use std::time::Duration;

use fleet_engine::Report;
use fleet_registry::Key;
use fleet_registry::loopback::{Connection, Fault};
use fleet_registry::record::{FORMAT, LeaderRecord, Record};
use fleet_registry::store::{Operation, PutRequest, Request};

use crate::rig::{Rig, TTL, machine};

fn leaders(rig: &Rig) -> Vec<&str> {
    rig.nodes.iter().filter(|node| node.engine.status().leads).map(|node| node.id.as_str()).collect()
}

fn elections(rig: &Rig) -> Vec<String> {
    let elected = |report: &&Report| matches!(report, Report::Elected { .. });
    rig.nodes.iter().flat_map(|node| node.log.iter().filter(elected).map(|r| format!("{} {r}", node.id))).collect()
}

#[test]
fn one_leads_and_two_stand_by() {
    let mut rig = Rig::new(&["m1", "m2", "m3", "m4", "m5"]);
    assert_eq!(leaders(&rig).len(), 1);
    assert_eq!(rig.leader().as_deref(), Some(leaders(&rig)[0]));
    assert_eq!(rig.nodes.iter().filter(|node| node.engine.status().stands_by).count(), 2);
    for node in &rig.nodes {
        let leader = node.engine.status().leader.expect("everybody knows who leads");
        assert_eq!(leader.machine.as_str(), leaders(&rig)[0]);
    }
}

#[test]
fn a_lone_machine_that_carries_the_registry_leads() {
    let mut rig = Rig::empty();
    rig.add("m1", &[], true);
    rig.settle();
    assert_eq!(leaders(&rig), ["m1"]);
}

#[test]
fn the_machine_that_carries_the_registry_leads_last() {
    let mut rig = Rig::empty();
    rig.add("m1", &[], true);
    rig.add("m2", &[], false);
    rig.settle();
    assert_eq!(leaders(&rig), ["m2"]);
}

#[test]
fn a_standby_takes_over_as_soon_as_the_lease_ends() {
    let mut rig = Rig::new(&["m1", "m2", "m3", "m4", "m5"]);
    rig.run(TTL * 2);
    let leader = leaders(&rig)[0].to_owned();
    let standbys: Vec<String> =
        rig.nodes.iter().filter(|node| node.engine.status().stands_by).map(|node| node.id.to_string()).collect();
    rig.kill(&leader);
    rig.until(TTL + Duration::from_secs(1), "another leads", |rig| rig.leader().is_some_and(|id| id != leader));
    let new = rig.leader().unwrap();
    assert!(standbys.contains(&new), "{new} stood by");
    assert!(elections(&rig).last().unwrap().contains("leader's lease ended"), "{:?}", elections(&rig));
    rig.settle();
    let alive = rig.nodes.iter().filter(|node| node.alive && node.engine.status().stands_by).count();
    assert_eq!(alive, 2, "its place is taken");
}

#[test]
fn a_leader_that_resigns_is_followed_at_once() {
    let mut rig = Rig::new(&["m1", "m2", "m3"]);
    let leader = leaders(&rig)[0].to_owned();
    rig.resign(&leader);
    rig.run(Duration::from_millis(10));
    assert!(rig.node(&leader).resigned);
    let new = rig.leader().expect("another leads");
    assert_ne!(new, leader);
    assert!(elections(&rig).last().unwrap().contains("leader resigned"), "{:?}", elections(&rig));
}

#[test]
fn a_restarted_leader_does_not_wait_for_its_own_lease() {
    let mut rig = Rig::new(&["m1"]);
    let before = rig.now;
    rig.restart("m1", "first");
    rig.until(Duration::from_secs(1), "it leads again", |rig| rig.nodes[0].engine.status().leads);
    assert!(rig.now - before < Duration::from_secs(1));
    assert!(elections(&rig).last().is_some());
}

#[test]
fn another_instance_waits_for_the_lease() {
    let mut rig = Rig::new(&["m1"]);
    rig.restart("m1", "second");
    rig.run(Duration::from_secs(2));
    assert!(!rig.nodes[0].engine.status().leads, "who knows what the first one is still doing");
    rig.until(TTL + Duration::from_secs(1), "it leads", |rig| rig.nodes[0].engine.status().leads);
}

#[test]
fn an_answer_that_got_lost_does_not_cost_the_election() {
    for fault in [Fault::LoseAnswer, Fault::LoseRequest, Fault::Refuse, Fault::Repeat] {
        let mut rig = Rig::empty();
        rig.add("m1", &[], false);
        // The grant, the read, and then the campaign.
        rig.nodes[0].link.inject(Fault::None);
        rig.nodes[0].link.inject(fault);
        rig.until(Duration::from_secs(5), "it leads", |rig| rig.nodes[0].engine.status().leads);
        let fence = rig.kv(&Key::Leader).unwrap().create_revision;
        assert!(elections(&rig).last().unwrap().contains(&format!("fence {fence}")), "{fault:?}");
    }
}

#[test]
fn a_leader_that_is_cut_off_is_deposed_when_its_lease_ends_and_never_writes_again() {
    let mut rig = Rig::new(&["m1", "m2", "m3"]);
    let leader = leaders(&rig)[0].to_owned();
    rig.connect(&leader, Connection::Silent);
    rig.until(TTL + Duration::from_secs(2), "another leads", |rig| rig.leader().is_some_and(|id| id != leader));
    rig.run(TTL);
    assert!(!rig.node(&leader).engine.status().leads);
    rig.connect(&leader, Connection::Up);
    rig.run(TTL);
    assert_eq!(leaders(&rig).len(), 1);
    assert_ne!(leaders(&rig)[0], leader);
}

#[test]
fn in_a_restored_store_another_may_lead_by_a_key_that_was_created_at_the_same_revision() {
    let mut rig = Rig::empty();
    rig.add("m1", &[], false);
    rig.run(Duration::from_millis(1));
    assert!(
        rig.kv(&Key::Machine(machine("m1"))).is_some() && rig.leader().is_none(),
        "it has a lease, and leads not yet"
    );
    let backup = rig.memory.clone();
    rig.settle();
    assert_eq!(leaders(&rig), ["m1"]);
    let fence = rig.kv(&Key::Leader).unwrap().create_revision;

    // Restored, and written to until somebody else comes to lead there just when this one did.
    let now = rig.now;
    rig.nodes[0].link.break_watches(&mut rig.memory, now);
    rig.memory = backup.from_snapshot(now, Some(7));
    rig.memory.apply(now, Request::LeaseGrant { id: 3, ttl: TTL.as_secs().try_into().unwrap() }).unwrap();
    while rig.memory.header().revision < fence - 1 {
        rig.write(Operation::Put(PutRequest::new("elsewhere", "anything")));
    }
    let other = LeaderRecord {
        v: FORMAT,
        machine: machine("m2"),
        instance: "first".to_owned(),
        since: 0,
        why: "no leader".to_owned(),
        extra: Default::default(),
    };
    rig.write(Operation::Put(PutRequest {
        lease: 3,
        ..PutRequest::new(rig.layout.encode(&Key::Leader), other.encode())
    }));
    assert_eq!(rig.kv(&Key::Leader).unwrap().create_revision, fence);

    rig.run(Duration::from_secs(1));
    assert_eq!((leaders(&rig).len(), rig.leader().as_deref()), (0, Some("m2")), "{:?}", rig.log());
    rig.until(TTL, "it leads by a key of its own", |rig| rig.leader().as_deref() == Some("m1"));
    assert_eq!(leaders(&rig), ["m1"]);
    assert!(rig.kv(&Key::Leader).unwrap().create_revision > fence);
}
