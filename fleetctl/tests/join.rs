//! What `fleetctl join` and `fleetctl orphans` print.

mod common;

use common::{MACHINES, visible};
use fleet_api::v2::{ClusterStatus, ForeignRegistry, MachineRef, Membership, Orphan};
use fleetctl::commands::{join, orphans};
use insta::assert_snapshot;

fn reference(index: usize) -> MachineRef {
    MachineRef { id: MACHINES[index].to_owned(), address: format!("192.0.2.{}", index + 2) }
}

fn member() -> Membership {
    Membership { machine: reference(0), cluster: Some("5e2f9a0c".into()), present: true, foreign: None }
}

fn foreign(cluster: Option<&str>, units: &[&str]) -> ForeignRegistry {
    ForeignRegistry {
        cluster: cluster.map(str::to_owned),
        units: units.iter().map(|unit| (*unit).to_owned()).collect(),
    }
}

#[test]
fn where_nothing_is_foreign() {
    assert_snapshot!(join::at_home(&member()));
    assert_snapshot!(join::at_home(&Membership { present: false, ..member() }));
    assert_snapshot!(join::at_home(&Membership { cluster: None, present: false, ..member() }));
}

#[test]
fn what_joining_would_mean() {
    assert_snapshot!(join::preview(&member(), &foreign(Some("77aa01"), &["a.service", "b@1.service"])));
    assert_snapshot!(join::preview(&member(), &foreign(None, &["a.service"])));
    assert_snapshot!(join::preview(&member(), &foreign(None, &[])));
}

#[test]
fn what_has_become_of_it() {
    let after = Membership { cluster: Some("77aa01".into()), ..member() };
    assert_snapshot!(join::joined(&after, &foreign(Some("77aa01"), &["a.service"])));
    let late = Membership { present: false, ..after };
    assert_snapshot!(join::joined(&late, &foreign(Some("77aa01"), &[])));
}

fn orphan(unit: &str, machine: usize) -> Orphan {
    Orphan { unit: unit.into(), machine: reference(machine), active: "active".into(), since: 1_000 }
}

fn cluster() -> ClusterStatus {
    let orphans = vec![orphan("a.service", 0), orphan("a.service", 1), orphan("b.timer", 1)];
    ClusterStatus { now: 3_600_000, orphans, ..ClusterStatus::default() }
}

#[test]
fn orphans_are_listed() {
    assert_snapshot!(visible(&orphans::render(&cluster())));
    let unknown = Orphan { active: String::new(), since: 0, ..orphan("c.service", 0) };
    assert_snapshot!(visible(&orphans::render(&ClusterStatus { orphans: vec![unknown], ..cluster() })));
}

#[test]
fn which_orphan_is_meant_is_not_guessed() {
    let choose = |units: &[&str], machine: Option<&MachineRef>| {
        let units: Vec<String> = units.iter().map(|unit| (*unit).to_owned()).collect();
        orphans::choose(&cluster(), &units, machine)
            .map(|chosen| chosen.into_iter().map(|o| (o.unit, o.machine)).collect::<Vec<_>>())
            .map_err(|error| error.words().unwrap_or_default())
    };
    assert_eq!(choose(&["b.timer", "b.timer"], None), Ok(vec![("b.timer".into(), reference(1))]));
    assert_eq!(choose(&["a"], Some(&reference(1))), Ok(vec![("a.service".into(), reference(1))]));
    assert_snapshot!(choose(&["a.service"], None).unwrap_err());
    assert_snapshot!(choose(&["b.timer"], Some(&reference(0))).unwrap_err());
    assert_snapshot!(choose(&[], None).unwrap_err());
}
