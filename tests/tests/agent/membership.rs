//! Another cluster's store: joining it, and what becomes of what ran before.

use std::time::Duration;

use fleet_agent::{Event, Job, Standing};
use fleet_registry::Key;
use fleet_registry::memory::Memory;
use fleet_registry::record::{ClusterId, ClusterRecord, Target};

use crate::world::{World, unit};

const TEXT: &str = "[Service]\nExecStart=/bin/sleep inf\n";
const OTHER: &str = "[Service]\nExecStart=/bin/sleep 1d\n";

/// A machine that runs a unit of its cluster and finds this one's store.
fn elsewhere(found: Option<&str>) -> World {
    let mut w = World::present();
    w.give("a.service", 5, TEXT, Target::Launched);
    w.publish();
    w.until("it runs", |w| w.state("a.service").is_some_and(|s| s.active == "active"));
    w.run(Duration::from_secs(1));
    w.systemd.asked.clear();
    w.store.replace(w.now, Memory::new(9));
    if let Some(id) = found {
        let record = ClusterRecord { v: 1, id: ClusterId(id.into()), created: 0, extra: Default::default() };
        w.put(&Key::Cluster, &record);
    }
    w.until("it is seen", |w| w.agent.status().foreign.is_some());
    w
}

/// The same, accepted: the unit is an orphan.
fn joined() -> World {
    let mut w = elsewhere(Some("other"));
    w.agent_step(Event::Accept { found: Some(ClusterId("other".into())) });
    w.take("a.service");
    w.publish();
    w.until("it is present", |w| w.agent.status().standing == Standing::Present);
    w.until("the orphan is shown", |w| w.state("a.service").is_some_and(|s| s.extra.contains_key("orphan")));
    w
}

#[test]
fn what_would_happen_is_shown_and_happens_when_it_is_accepted() {
    for found in [None, Some("other")] {
        let mut w = elsewhere(found);
        let foreign = w.agent.status().foreign.unwrap();
        let found = found.map(|id| ClusterId(id.into()));
        assert_eq!((foreign.remembered, &foreign.found), (w.cluster(), &found));
        assert_eq!(foreign.units.into_iter().collect::<Vec<_>>(), [unit("a.service")]);

        w.agent_step(Event::Accept { found: Some(ClusterId("a third".into())) });
        w.run(Duration::from_secs(60));
        assert_eq!(w.machine(), None, "what the person saw is not what is there");

        w.agent_step(Event::Accept { found: found.clone() });
        w.until("it is a member without a restart", |w| w.agent.status().standing == Standing::Present);
        assert_eq!(w.agent.status().foreign, None);
        assert_eq!(w.agent.status().cluster, Some(w.cluster()));
        assert!(found.is_none_or(|found| found == w.cluster()), "it remembers the new cluster");
        assert_eq!(w.agent.status().acknowledged, 0, "what it acknowledged says nothing here");
        w.take("a.service");
        w.publish_as(1);
        w.until("it follows the new cluster", |w| w.applied() == Some(1));
        w.restart();
        w.until("it is a member after a restart", |w| w.agent.status().standing == Standing::Present);
        assert!(w.is_active("a.service") && w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
    }
}

#[test]
fn a_machine_that_is_where_it_belongs_accepts_nothing() {
    let mut w = World::present();
    let cluster = w.cluster();
    w.agent_step(Event::Accept { found: None });
    w.agent_step(Event::Accept { found: Some(ClusterId("other".into())) });
    w.run(Duration::from_secs(30));
    assert_eq!((w.cluster(), w.agent.status().standing), (cluster, Standing::Present));
}

#[test]
fn an_orphan_is_stopped_when_a_person_says_so() {
    let mut w = joined();
    w.run(Duration::from_secs(600));
    assert!(w.is_active("a.service") && w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
    w.agent_step(Event::StopOrphan(unit("a.service")));
    w.until("it is gone", |w| !w.is_active("a.service") && w.held().is_empty() && w.state("a.service").is_none());
    assert!(!w.disk.units.contains_key(&unit("a.service")));
}

#[test]
fn a_unit_of_the_cluster_is_no_orphan_to_be_stopped() {
    let mut w = World::present();
    w.give("a.service", 5, TEXT, Target::Launched);
    w.publish();
    w.until("it runs", |w| w.is_active("a.service"));
    w.agent_step(Event::StopOrphan(unit("a.service")));
    w.run(Duration::from_secs(10));
    assert!(w.is_active("a.service") && w.systemd.times(Job::Stop, "a.service") == 0);
}

#[test]
fn an_orphan_that_the_new_cluster_asks_for_with_the_same_text_is_taken_over_as_it_runs() {
    let mut w = joined();
    let pid = w.systemd.pid(&unit("a.service"));
    w.give("a.service", 77, TEXT, Target::Launched);
    let generation = w.publish();
    let is_own = |w: &World| w.state("a.service").is_some_and(|s| s.uid == 77 && !s.extra.contains_key("orphan"));
    w.until("it is the cluster's", is_own);
    w.run(Duration::from_secs(5));
    assert_eq!((w.applied(), w.systemd.pid(&unit("a.service"))), (Some(generation), pid));
    w.restart();
    w.until("it is present", |w| w.agent.status().standing == Standing::Present);
    w.run(Duration::from_secs(5));
    assert!(is_own(&w) && w.systemd.pid(&unit("a.service")) == pid, "it is noted");
    assert!(w.systemd.asked.is_empty(), "{:?}", w.systemd.asked);
    w.take("a.service");
    w.publish();
    w.until("it is stopped as any other", |w| !w.is_active("a.service") && w.held().is_empty());
}

#[test]
fn an_orphan_in_the_way_of_another_unit_is_named_and_left_alone() {
    let mut w = joined();
    w.give("a.service", 77, OTHER, Target::Launched);
    w.give("b.service", 78, OTHER, Target::Launched);
    w.publish();
    w.until("it is said", |w| w.state("a.service").is_some_and(|s| s.error.contains("fleetctl orphans stop")));
    w.until("others start", |w| w.is_active("b.service"));
    w.run(Duration::from_secs(60));
    assert!(w.is_active("a.service") && w.systemd.times(Job::Stop, "a.service") == 0);
    w.agent_step(Event::StopOrphan(unit("a.service")));
    w.until("the new one runs", |w| {
        w.state("a.service").is_some_and(|s| s.uid == 77 && s.active == "active" && s.error.is_empty())
    });
    assert_eq!(w.systemd.times(Job::Stop, "a.service"), 1);
}

#[test]
fn an_orphan_that_ends_by_itself_is_not_in_the_way_any_more() {
    let mut w = joined();
    w.give("a.service", 77, OTHER, Target::Launched);
    w.publish();
    w.until("it is said", |w| w.state("a.service").is_some_and(|s| s.error.contains("fleetctl orphans stop")));
    w.systemd.set_active(w.now, &unit("a.service"), false);
    w.until("the new one runs", |w| w.state("a.service").is_some_and(|s| s.uid == 77 && s.active == "active"));
}
