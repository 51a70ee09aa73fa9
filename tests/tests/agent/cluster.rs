//! The machine and its cluster: whose store it is, presence, outages, and the ways to end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_agent::{Event, FoundUnit, Job, Standing};
use fleet_registry::Key;
use fleet_registry::memory::Memory;
use fleet_registry::record::{ClusterId, ClusterRecord, ContentKey, MachineRecord, Target};
use fleet_units::MachineId;

use crate::world::{TTL, World, unit};

const TEXT: &str = "[Service]\nExecStart=/bin/sleep inf\n";

fn running() -> World {
    let mut w = World::present();
    let uid = w.submit("a.service");
    w.give("a.service", uid, TEXT, Target::Launched);
    w.publish();
    w.until("it runs", |w| w.state("a.service").is_some_and(|s| s.active == "active"));
    w.run(Duration::from_secs(1));
    w
}

fn cluster_record(id: &str) -> ClusterRecord {
    ClusterRecord { v: 1, id: ClusterId(id.into()), created: 0, extra: Default::default() }
}

fn machine_key() -> Key {
    Key::Machine(MachineId::parse("m1").unwrap())
}

#[test]
fn the_first_machine_makes_the_cluster_and_registers() {
    let mut w = World::new();
    w.until("it is present", |w| w.agent.status().standing == Standing::Present);
    assert_eq!(w.said("the store was empty"), 1);
    assert_eq!(w.agent.status().cluster, Some(w.cluster()));
    let machine = w.machine().unwrap();
    assert!(!machine.catching_up);
    assert_eq!(machine.instance, "instance1");
}

#[test]
fn adoption_needs_no_store_and_touches_nothing() {
    let mut w = running();
    let pid = w.systemd.pid(&unit("a.service"));
    w.store.down(w.now);
    w.systemd.asked.clear();
    w.restart();
    w.until("what runs is adopted", |w| w.ready);
    w.run(Duration::from_secs(60));
    assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
    w.store.up(w.now);
    w.until("it is present", |w| w.agent.status().standing == Standing::Present);
    w.run(Duration::from_secs(5));
    assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
    assert_eq!(w.systemd.pid(&unit("a.service")), pid);
}

#[test]
fn a_restart_of_fleetd_takes_its_record_back_at_once() {
    let mut w = running();
    w.restart();
    let before = w.now;
    w.until("it is present", |w| w.agent.status().standing == Standing::Present);
    assert!(w.now - before < Duration::from_secs(1));
}

#[test]
fn another_machine_of_the_same_id_is_refused_until_it_goes() {
    let mut w = World::new();
    w.until("it is present", |w| w.agent.status().standing == Standing::Present);
    let theirs = MachineRecord { instance: "another".into(), hostname: "host2".into(), ..w.machine().unwrap() };
    w.put(&machine_key(), &theirs);
    w.until("both are named", |w| w.said("host2 at 192.0.2.1 there, host1 at 192.0.2.1 here") == 1);
    w.run(Duration::from_secs(60));
    assert_eq!(w.machine().unwrap().instance, "another");
    assert_eq!(w.said("another machine with this machine-id"), 1, "it is said once");
    w.delete(&machine_key());
    w.until("it is present again", |w| w.machine().is_some_and(|m| m.instance == "instance1" && !m.catching_up));
}

#[test]
fn a_record_that_vanishes_is_written_again() {
    let mut w = running();
    w.systemd.asked.clear();
    w.delete(&machine_key());
    w.until("it is present again", |w| w.machine().is_some_and(|m| !m.catching_up));
    assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
}

#[test]
fn another_cluster_or_none_touches_nothing_until_a_person_accepts_it() {
    for found in [None, Some("other")] {
        let mut w = running();
        w.systemd.asked.clear();
        w.store.replace(w.now, Memory::new(9));
        if let Some(id) = found {
            w.put(&Key::Cluster, &cluster_record(id));
        }
        w.publish();
        w.until("people are told", |w| w.said("fleetctl join --accept") == 1);
        w.run(Duration::from_secs(120));
        assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
        assert_eq!(w.said("fleetctl join --accept"), 1, "it is said once");
        assert_eq!(w.machine(), None, "a machine of another cluster does not register");

        w.disk.cluster = None;
        w.disk.memory = Default::default();
        w.until("it is present", |w| w.agent.status().standing == Standing::Present);
        w.run(Duration::from_secs(10));
        assert!(w.is_active("a.service"), "what another cluster's note speaks of is an orphan");
    }
}

#[test]
fn a_store_outage_of_any_length_touches_nothing() {
    let mut w = running();
    w.systemd.asked.clear();
    w.store.down(w.now);
    w.run(TTL * 30);
    assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
    w.store.up(w.now);
    w.until("it is present", |w| w.agent.status().standing == Standing::Present);
    w.run(Duration::from_secs(5));
    assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
}

#[test]
fn after_a_gap_nothing_starts_before_the_old_is_gone() {
    let mut w = running();
    w.systemd.slow_stop.insert(unit("a.service"), Duration::from_millis(900));
    w.store.down(w.now);
    w.run(TTL * 2);
    // Meanwhile it was declared lost: its unit went elsewhere, another one is meant for it.
    w.take("a.service");
    w.give("b.service", 6, TEXT, Target::Launched);
    let generation = w.publish();
    w.store.up(w.now);
    w.until("the old one is being stopped", |w| w.systemd.times(Job::Stop, "a.service") == 1);
    assert!(w.machine().is_some_and(|m| m.catching_up));
    w.run(Duration::from_millis(800));
    assert!(w.is_active("a.service") && w.systemd.times(Job::Start, "b.service") == 0);
    assert!(w.machine().is_some_and(|m| m.catching_up));
    w.until("the new one runs", |w| w.is_active("b.service"));
    assert!(!w.is_active("a.service"));
    assert_eq!(w.applied(), Some(generation));
    assert!(w.machine().is_some_and(|m| !m.catching_up));
}

/// A stop that hangs must not keep a machine out of the cluster: what still stops is named, everything else goes on.
#[test]
fn a_stop_that_hangs_keeps_no_machine_from_catching_up() {
    let mut w = running();
    w.give("c.service", 4, TEXT, Target::Launched);
    w.publish();
    w.until("both run", |w| w.is_active("a.service") && w.is_active("c.service"));
    w.systemd.slow_stop.insert(unit("a.service"), Duration::from_secs(1_000_000));
    w.systemd.slow_stop.insert(unit("c.service"), Duration::from_secs(60));
    for restarts in [false, true] {
        if restarts {
            w.restart();
        }
        w.store.down(w.now);
        w.run(TTL * 2);
        for name in ["a.service", "c.service"].into_iter().filter(|_| !restarts) {
            w.take(name);
            w.leaving.remove(&unit(name));
        }
        let new = ["b.service", "d.service"][usize::from(restarts)];
        w.give(new, 6, TEXT, Target::Launched);
        let generation = w.publish();
        w.store.up(w.now);
        w.until("it is back", |w| w.agent.status().standing == Standing::Reading { catching_up: true });
        let back = w.now;
        w.until("the new one runs", |w| w.is_active(new));
        assert!(w.now - back < Duration::from_secs(2), "{:?}", w.now - back);
        assert!(w.machine().is_some_and(|m| !m.catching_up));
        assert_eq!(w.applied(), Some(generation));
        assert!(w.stopping().contains(&unit("a.service")));
    }
    w.until("what has stopped is not named any more", |w| w.stopping() == BTreeSet::from([unit("a.service")]));
    assert!(w.is_active("a.service") && !w.is_active("c.service"));
}

#[test]
fn nothing_starts_without_a_lease() {
    let mut w = running();
    w.systemd.slow_stop.insert(unit("a.service"), Duration::from_secs(60));
    w.give("a.service", 9, TEXT, Target::Launched);
    w.publish();
    w.until("the old one is being stopped", |w| w.systemd.times(Job::Stop, "a.service") == 1);
    w.store.down(w.now);
    w.run(Duration::from_secs(100));
    assert!(!w.is_active("a.service"), "the stop goes on; the start has to wait for the store");
    w.store.up(w.now);
    w.until("the new one runs", |w| w.is_active("a.service"));
}

#[test]
fn an_older_generation_is_refused_and_the_engine_told() {
    let mut w = running();
    w.publish_as(40);
    w.until("it is acknowledged", |w| w.applied() == Some(40));
    w.systemd.asked.clear();
    w.take("a.service");
    w.publish_as(39);
    w.until("the engine can see it", |w| w.machine().is_some_and(|m| m.schedule_seen == 40));
    w.run(Duration::from_secs(10));
    assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
    w.restart();
    w.run(Duration::from_secs(10));
    assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
    assert_eq!(w.applied(), Some(40));
    w.publish_as(41);
    w.until("a newer one is carried out", |w| w.applied() == Some(41) && !w.is_active("a.service"));
}

#[test]
fn an_absent_schedule_is_not_an_empty_one() {
    let mut w = running();
    w.systemd.asked.clear();
    w.delete(&Key::Schedule(MachineId::parse("m1").unwrap()));
    w.run(Duration::from_secs(30));
    w.restart();
    w.run(Duration::from_secs(30));
    assert!(w.machine().is_some_and(|m| !m.catching_up), "it was never absent");
    w.delete(&machine_key());
    w.run(Duration::from_secs(30));
    assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
    assert!(w.is_active("a.service"));
    assert!(w.machine().is_some_and(|m| m.catching_up), "it has units, and must be told what to do with them");
}

/// What is in fleet's directory and has no note.
fn left_by_another(text: Option<&str>) -> FoundUnit {
    let content = text.map(|text| ContentKey::of(text, &BTreeMap::new()));
    FoundUnit { note: Err("it has no note: fleet did not load it".into()), file: true, content }
}

/// Whoever replaces CoreOS fleet would have every process restarted: what it left is taken over as it runs.
#[test]
fn what_coreos_fleet_left_is_adopted_without_touching_it() {
    let mut w = World::new();
    for name in ["x.service", "loaded.service", "other.service"] {
        w.disk.units.insert(unit(name), left_by_another(Some(TEXT)));
        w.systemd.set_active(w.now, &unit(name), true);
    }
    w.restart();
    w.publish();
    let orphaned = |w: &World, name: &str| w.state(name).is_some_and(|s| s.extra.contains_key("orphan"));
    w.until("it is shown", |w| orphaned(w, "x.service") && orphaned(w, "loaded.service"));
    assert_eq!(w.state("x.service").map(|s| s.content), Some(ContentKey::of(TEXT, &BTreeMap::new())));
    w.systemd.asked.clear();
    w.give("x.service", 5, TEXT, Target::Launched);
    w.give("loaded.service", 6, TEXT, Target::Loaded);
    w.give("other.service", 7, "[Service]\nExecStart=/bin/other\n", Target::Launched);
    w.publish();
    w.until("they are the cluster's", |w| !orphaned(w, "x.service") && !orphaned(w, "loaded.service"));
    w.run(Duration::from_secs(10));
    assert_eq!(w.state("x.service").map(|s| s.uid), Some(5));
    assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
    assert!(orphaned(&w, "other.service"), "another text is another unit");
    w.restart();
    w.run(Duration::from_secs(10));
    assert!(w.systemd.asked.is_empty(), "after a restart: {:?}", w.systemd.asked);
    w.take("x.service");
    w.publish();
    w.until("it is stopped like any other", |w| !w.is_active("x.service"));
}

/// Whoever edits the metadata in fleet.conf would have to restart fleetd: it is published at a reload, touching no unit.
#[test]
fn a_reload_publishes_the_metadata_and_touches_no_unit() {
    let mut w = running();
    w.systemd.asked.clear();
    let metadata = BTreeMap::from([("zone".to_owned(), "b".to_owned())]);
    let facts = fleet_agent::MachineFacts { metadata: metadata.clone(), ..crate::world::config().facts };
    w.agent_step(Event::Facts(Box::new(facts)));
    w.until("it is published", |w| w.machine().is_some_and(|m| m.metadata == metadata));
    assert_eq!(w.agent.status().standing, Standing::Present);
    w.run(Duration::from_secs(10));
    assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);

    // One that comes while the machine registers is not lost.
    w.restart();
    let facts = fleet_agent::MachineFacts { metadata: metadata.clone(), ..crate::world::config().facts };
    w.agent_step(Event::Facts(Box::new(facts)));
    w.until("it is present", |w| w.agent.status().standing == Standing::Present);
    w.until("it is published", |w| w.machine().is_some_and(|m| m.metadata == metadata && !m.catching_up));
}

#[test]
fn orphans_are_shown_and_never_stopped() {
    let mut w = World::new();
    let stranger = left_by_another(None);
    w.disk.units.insert(unit("x.service"), stranger);
    w.systemd.set_active(w.now, &unit("x.service"), true);
    w.restart();
    w.publish();
    w.until("it is shown", |w| {
        w.state("x.service").is_some_and(|s| s.active == "active" && s.extra.contains_key("orphan"))
    });
    w.agent_step(Event::Leave);
    w.until("it has left", |w| w.left);
    assert!(w.is_active("x.service"));
}

#[test]
fn another_boot_starts_everything_that_is_still_scheduled() {
    let mut w = running();
    w.give("b.service", 6, TEXT, Target::Launched);
    w.publish();
    w.until("both run", |w| w.is_active("b.service"));
    w.run(Duration::from_secs(1));
    w.systemd = Default::default();
    w.take("b.service");
    w.publish();
    w.restart_as(|c| (c.facts.boot_id, c.facts.instance) = ("boot2".into(), "instance2".into()));
    w.until("the last boot's record is waited for", |w| w.said("last boot") == 1);
    w.until("what is still scheduled runs", |w| w.is_active("a.service"));
    assert!(!w.is_active("b.service"));
    assert!(!w.disk.units.contains_key(&unit("b.service")));
}

#[test]
fn leaving_stops_everything_and_gives_it_back() {
    let mut w = running();
    w.systemd.slow_stop.insert(unit("a.service"), Duration::from_secs(20));
    w.give("b.service", 6, TEXT, Target::Launched);
    w.give("c.service", 7, TEXT, Target::Launched);
    w.publish();
    w.until("all run", |w| w.is_active("b.service") && w.is_active("c.service"));
    w.systemd.slow_stop.insert(unit("b.service"), Duration::from_secs(5));
    w.agent_step(Event::Leave);
    w.until("it says so", |w| w.machine().is_some_and(|m| m.leaving && !m.catching_up));
    // So the engine takes its units off the schedule, and gives them to others one by one.
    for name in ["a.service", "b.service", "c.service"] {
        w.take(name);
    }
    w.publish();
    w.until("the first is given back", |w| w.gave_back("c.service"));
    assert!(w.is_active("a.service") && w.is_active("b.service"));
    assert!(!w.gave_back("a.service") && !w.gave_back("b.service"));
    w.until("the next is given back", |w| w.gave_back("b.service"));
    assert!(w.is_active("a.service") && !w.gave_back("a.service") && !w.left);
    w.until("it has left", |w| w.left);
    assert!(!w.is_active("a.service") && w.held().is_empty());
    assert!(w.gave_back("a.service"), "acknowledged before the lease goes");
    assert_eq!(w.state("a.service"), None);
}

#[test]
fn leaving_needs_no_engine() {
    let mut w = running();
    w.agent_step(Event::Leave);
    w.until("it has left", |w| w.left);
    assert!(!w.is_active("a.service") && w.held().is_empty());
    assert_eq!(w.state("a.service"), None);
}

#[test]
fn a_fleetd_killed_while_it_leaves_comes_back_as_one_that_stays() {
    let mut w = running();
    w.systemd.slow_stop.insert(unit("a.service"), Duration::from_secs(20));
    w.agent_step(Event::Leave);
    w.until("it says so", |w| w.machine().is_some_and(|m| m.leaving));
    w.restart();
    w.until("it takes part again", |w| w.machine().is_some_and(|m| !m.leaving && !m.catching_up));
    w.until("what is scheduled runs", |w| w.is_active("a.service"));
}

#[test]
fn leaving_without_a_store_keeps_what_runs() {
    let mut w = running();
    w.store.down(w.now);
    w.run(TTL * 2);
    w.agent_step(Event::Leave);
    w.until("it has left", |w| w.left);
    assert!(w.is_active("a.service"));
}

#[test]
fn detaching_leaves_everything_running() {
    let mut w = running();
    w.systemd.asked.clear();
    w.agent_step(Event::Detach);
    w.until("it has let go", |w| w.left);
    w.run(Duration::from_secs(10));
    assert!(w.is_active("a.service") && w.systemd.asked.is_empty());
}

#[test]
fn at_rest_nothing_is_written() {
    let mut w = running();
    w.run(Duration::from_secs(10));
    let before = w.revision();
    w.run(Duration::from_secs(600));
    assert_eq!(w.revision(), before);
}

/// The registry may carry out a write long after it was given up on: what was said since then stands.
#[test]
fn a_write_that_lands_late_overwrites_nothing_newer() {
    let mut w = running();
    let text = w.wanted("a.service");
    for late in [Duration::from_millis(1_050), Duration::from_secs(3), Duration::from_secs(8)] {
        w.store.link.delays.request = late;
        w.take("a.service");
        w.publish();
        w.until("it is stopped, and that is under way", |w| !w.is_active("a.service"));
        w.run(Duration::from_millis(50));
        w.store.link.delays.request = Duration::ZERO;
        w.assign("a.service", text.clone());
        let generation = w.publish();
        w.until("it is started, and that is written", |w| {
            w.applied() == Some(generation) && w.state("a.service").is_some_and(|state| state.active == "active")
        });
        w.run(late * 2);
        assert_eq!(w.applied(), Some(generation), "{late:?}");
        assert_eq!(w.state("a.service").map(|state| state.active).as_deref(), Some("active"), "{late:?}");
        assert!(w.machine().is_some_and(|machine| !machine.catching_up));
    }
}
