//! Units with `OnDisconnect=stop`: given elsewhere only when the lost machine must have stopped them.

use std::time::Duration;

use fleet_registry::Mono;
use fleet_registry::loopback::Fault;
use fleet_units::DesiredState;

use crate::rig::{Rig, TTL};

/// What a unit of these tests may take to stop: 4 × 5 s + 1 s.
const BOUND: Duration = Duration::from_secs(21);

/// Noticing, deciding and writing.
const SLACK: Duration = Duration::from_secs(1);

fn text(fleet: &str) -> String {
    format!("[Service]\nExecStart=/bin/sleep infinity\nTimeoutStopSec=5\n[X-Fleet]\n{fleet}\n")
}

/// Three machines that have been up for a while, with two units on one that does not lead: `db.service` may never run
/// twice, `web.service` may.
fn cluster() -> (Rig, String) {
    let mut rig = Rig::new(&["m1", "m2", "m3"]);
    rig.run(TTL * 2);
    let leader = rig.leader().unwrap();
    let id = rig.nodes.iter().map(|node| node.id.to_string()).find(|id| *id != leader).unwrap();
    rig.operate(&id, |operator| drop(operator.metadata.insert("where".to_owned(), Some("here".to_owned()))));
    for (requirement, disconnect) in [("MachineMetadata=where=here", "OnDisconnect=stop"), ("", "OnDisconnect=stop")] {
        let db = text(&format!("{requirement}\n{disconnect}"));
        rig.submit(&[("db.service", &db, DesiredState::Launched)]);
        rig.submit(&[("web.service", &text(requirement), DesiredState::Launched)]);
        rig.settle();
    }
    assert_eq!(rig.running("db.service"), [id.as_str()]);
    (rig, id)
}

/// Kills a machine; when its lease was seen to be gone.
fn lose(rig: &mut Rig, id: &str) -> Mono {
    rig.kill(id);
    rig.until(TTL + SLACK, "what may run twice runs elsewhere", |rig| !rig.running("web.service").is_empty());
    rig.now
}

fn moved(rig: &mut Rig, since: Mono) -> Duration {
    rig.until(BOUND * 2, "it runs elsewhere", |rig| !rig.running("db.service").is_empty());
    rig.now - since
}

#[test]
fn a_unit_that_must_not_run_twice_waits_until_its_lost_machine_must_have_stopped_it() {
    let (mut rig, id) = cluster();
    let gone = lose(&mut rig, &id);
    rig.run(SLACK);
    assert!(rig.running("db.service").is_empty());
    let reason = rig.note("db.service").expect("a note").reason;
    assert_eq!(reason, format!("waiting until {id}, which is lost, must have stopped db.service: 22 s"));
    let took = moved(&mut rig, gone);
    // A part in a thousand for the clocks, of the bound and the lease before it; the loss was seen a little before.
    let least = BOUND + (BOUND + TTL) / 1000 - SLACK / 2;
    assert!(took >= least && took <= BOUND + SLACK, "{took:?}");
}

#[test]
fn a_leader_that_did_not_see_the_machine_go_waits_the_whole_bound() {
    let (mut rig, id) = cluster();
    lose(&mut rig, &id);
    rig.run(BOUND / 2);
    // Standbys saw it go; after a restart of all of them nobody knows since when it is gone.
    let others: Vec<String> = rig.nodes.iter().filter(|node| node.alive).map(|node| node.id.to_string()).collect();
    for other in &others {
        rig.restart(other, "first");
    }
    let since = rig.now;
    let took = moved(&mut rig, since);
    assert!(took >= BOUND, "{took:?}");
}

#[test]
fn a_unit_taken_off_a_machine_that_is_lost_before_it_gave_it_back_waits_as_well() {
    let (mut rig, id) = cluster();
    let gone = lose(&mut rig, &id);
    rig.desire("db.service", DesiredState::Inactive);
    rig.run(SLACK);
    assert!(rig.listed("db.service").is_empty());
    rig.desire("db.service", DesiredState::Launched);
    let took = moved(&mut rig, gone);
    assert!(took >= BOUND - SLACK / 2, "{took:?}");
}

#[test]
fn a_unit_of_another_text_waits_for_what_the_lost_machine_runs() {
    let (mut rig, id) = cluster();
    let gone = lose(&mut rig, &id);
    // It would not have to wait any more: what runs there does.
    rig.submit(&[("db.service", &text(""), DesiredState::Launched)]);
    let took = moved(&mut rig, gone);
    assert!(took >= BOUND - SLACK / 2, "{took:?}");
}

#[test]
fn a_machine_that_is_back_in_time_keeps_it() {
    let (mut rig, id) = cluster();
    lose(&mut rig, &id);
    rig.run(BOUND / 2);
    rig.boot(&id);
    rig.run(BOUND * 2);
    assert_eq!(rig.listed("db.service"), [id]);
}

#[test]
fn releasing_the_brake_shortens_no_wait() {
    let (mut rig, id) = cluster();
    let leader = rig.leader().unwrap();
    let other = rig.nodes.iter().map(|node| node.id.to_string()).find(|other| *other != id && *other != leader);
    rig.kill(&id);
    rig.kill(&other.unwrap());
    rig.until(TTL * 2, "the brake is on", |rig| rig.brake().is_some());
    let gone = rig.now;
    let mut brake = rig.brake().unwrap();
    brake.released = true;
    rig.put(&fleet_registry::Key::Brake, &brake);
    rig.until(TTL, "what may run twice runs elsewhere", |rig| !rig.running("web.service").is_empty());
    assert!(rig.running("db.service").is_empty());
    let took = moved(&mut rig, gone);
    assert!(took >= BOUND - SLACK / 2, "{took:?}");
}

#[test]
fn a_bound_that_passes_while_the_registry_does_not_answer_keeps_no_core_busy() {
    let (mut rig, id) = cluster();
    let gone = lose(&mut rig, &id);
    rig.run(BOUND - SLACK / 2);
    // The rig panics where an engine is woken again and again.
    let leader = rig.leader().unwrap();
    rig.node(&leader).link.inject(Fault::LoseAnswer);
    let writes = rig.schedule_writes();
    rig.start("more.service", "");
    rig.instant();
    assert_eq!(rig.schedule_writes(), writes + 1, "what was written is not answered");
    let took = moved(&mut rig, gone);
    assert!(took >= BOUND && took <= BOUND + SLACK * 2, "{took:?}");
}
