//! Records that the agent cannot read: it keeps what it runs, says so, and goes on once they are gone.

use std::time::Duration;

use fleet_agent::Standing;
use fleet_registry::Key;
use fleet_registry::record::{ContentKey, Target};
use fleet_units::MachineId;

use crate::world::{TTL, World, unit};

const TEXT: &str = "[Service]\nExecStart=/bin/sleep inf\n";

fn running() -> World {
    let mut w = World::present();
    w.give("a.service", 5, TEXT, Target::Launched);
    w.publish();
    w.until("it runs", |w| w.state("a.service").is_some_and(|s| s.active == "active"));
    w.run(Duration::from_secs(1));
    w.systemd.asked.clear();
    w
}

fn id() -> MachineId {
    MachineId::parse("m1").unwrap()
}

fn present(w: &World) -> bool {
    w.agent.status().standing == Standing::Present
}

#[test]
fn a_schedule_that_cannot_be_read_changes_nothing() {
    for restarted in [false, true] {
        let mut w = running();
        let key = Key::Schedule(id());
        w.garble(&key);
        if restarted {
            w.restart();
            w.until("it is present", present);
        }
        w.run(TTL * 6);
        assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
        assert!(w.said("schedule/m1: the record has format 2") >= 1, "{:?}", w.logs);
        assert!(w.is_garbled(&key) && present(&w));
        // Somebody deletes it: still nothing.
        w.delete(&key);
        w.run(TTL);
        assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
        // The engine writes the next one.
        w.give("b.service", 6, TEXT, Target::Launched);
        w.publish();
        w.until("the other runs too", |w| w.is_active("b.service"));
        assert!(!w.systemd.asked.iter().any(|asked| format!("{asked:?}").contains("a.service")));
    }
}

#[test]
fn a_cluster_that_cannot_be_read_does_not_lose_a_machine_that_is_there() {
    let mut w = running();
    w.garble(&Key::Cluster);
    w.restart();
    w.until("it takes its record back", |w| w.ready && present(w));
    w.run(TTL * 3);
    assert_eq!(w.said("v3/cluster: the record has format 2"), 1, "{:?}", w.logs);
    assert!(present(&w) && w.is_garbled(&Key::Cluster));
    assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
    // One that is not there cannot know the store again: it waits.
    w.store.down(w.now);
    w.run(TTL * 3);
    w.store.up(w.now);
    w.run(TTL * 3);
    assert!(!present(&w) && w.machine().is_none() && w.is_active("a.service"));
    let record = fleet_registry::record::ClusterRecord { v: 1, id: w.cluster(), created: 0, extra: Default::default() };
    w.put(&Key::Cluster, &record);
    w.until("it is present again", present);
    assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
}

#[test]
fn a_record_of_the_machine_that_cannot_be_read_is_left_until_it_goes() {
    let mut w = running();
    let key = Key::Machine(id());
    w.garble(&key);
    w.run(TTL * 6);
    assert!(w.is_garbled(&key));
    assert_eq!(w.said("a record that cannot be read"), 1, "{:?}", w.logs);
    assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
    w.delete(&key);
    w.until("it is present again", present);
    assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
}

#[test]
fn what_the_machine_itself_says_is_said_again_where_it_cannot_be_read() {
    let mut w = running();
    let (applied, state) = (Key::Applied(id()), Key::State(id(), unit("a.service")));
    w.garble(&applied);
    w.garble(&state);
    w.restart();
    w.until("it is said again", |w| !w.is_garbled(&applied) && !w.is_garbled(&state));
    assert!(w.state("a.service").is_some_and(|state| state.active == "active"));
    assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
}

#[test]
fn a_text_that_cannot_be_read_stops_nothing_and_holds_back_no_other() {
    let mut w = running();
    let other = "[Service]\nExecStart=/bin/sleep 1d\n";
    w.give("a.service", 5, other, Target::Launched);
    w.give("b.service", 6, TEXT, Target::Launched);
    let key = Key::Content(ContentKey::of(other, &Default::default()));
    w.garble(&key);
    w.publish();
    w.until("the other runs", |w| w.is_active("b.service"));
    w.until("it is said", |w| w.state("a.service").is_some_and(|state| !state.error.is_empty()));
    w.run(TTL * 3);
    assert!(w.is_garbled(&key));
    assert!(w.is_active("a.service"), "{:?}\n{:#?}", w.systemd.asked, w.logs);
}
