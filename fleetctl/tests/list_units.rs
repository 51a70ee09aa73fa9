//! What `fleetctl list-units` prints.

mod common;

use common::{list, units, visible};
use fleet_api::v2::{UnitList, UnitView};
use fleetctl::commands::list_units::render;
use insta::assert_snapshot;

fn cluster(units: Vec<UnitView>) -> UnitList {
    UnitList { revision: 1, stale: false, units }
}

#[test]
fn by_default() {
    let text = render(&list(None, false, false), cluster(units())).unwrap();
    assert_snapshot!(visible(&text), @r"
    UNIT→→MACHINE→→→ACTIVE→→SUB
    agent.service→4c2c1ae0.../192.0.2.2→active→→running
    agent.service→9e8d7c6b.../192.0.2.3→failed→→failed
    held.service→9e8d7c6b.../192.0.2.3→unknown→→machine-lost
    hello.service→4c2c1ae0.../192.0.2.2→active→→running
    moved.timer→4c2c1ae0.../192.0.2.2→active→→waiting
    old.service→4c2c1ae0.../192.0.2.2→deactivating→stop-sigterm
    ");
}

#[test]
fn every_column_in_full() {
    let text = render(&list(Some("unit,load,active,sub,machine,hash"), true, false), cluster(units())).unwrap();
    assert_snapshot!(visible(&text), @r"
    UNIT→→LOAD→ACTIVE→→SUB→→MACHINE→→→→→→HASH
    agent.service→loaded→active→→running→→4c2c1ae0b51f4d2e8f0e4d1c2b3a4f5e/192.0.2.2→436c9457a1ced6ea7845b77b34f66298eb41faa3
    agent.service→loaded→failed→→failed→→9e8d7c6b5a494837261504f3e2d1c0b9/192.0.2.3→436c9457a1ced6ea7845b77b34f66298eb41faa3
    held.service→loaded→unknown→→machine-lost→9e8d7c6b5a494837261504f3e2d1c0b9/192.0.2.3→0c37637821a2cd3daf423a81516bd11f7664b1a6
    hello.service→loaded→active→→running→→4c2c1ae0b51f4d2e8f0e4d1c2b3a4f5e/192.0.2.2→7d4db180a214b97d682902f49d347b1ecf9fc190
    moved.timer→loaded→active→→waiting→→4c2c1ae0b51f4d2e8f0e4d1c2b3a4f5e/192.0.2.2→b98fae67327a69a586c18b41be323178968890c2
    old.service→loaded→deactivating→stop-sigterm→4c2c1ae0b51f4d2e8f0e4d1c2b3a4f5e/192.0.2.2→-
    ");
}

/// How long a stop may take is in no column, and said beside the list.
#[test]
fn of_units_that_stop() {
    let mut units = units();
    for state in units.iter_mut().flat_map(|unit| &mut unit.states).filter(|state| state.active == "deactivating") {
        (state.since, state.stop_bound_ms) = (5_000, Some(91_000));
    }
    let notes = fleetctl::commands::list_units::notes(&cluster(units));
    assert_snapshot!(notes.join("\n"), @"NOTE: old.service is stopping on 4c2c1ae0.../192.0.2.2 (stop-sigterm) since 00:00:05 UTC, until 00:01:36 UTC at the latest");
}

#[test]
fn without_legend() {
    let text = render(&list(Some("unit"), false, true), cluster(units())).unwrap();
    assert_snapshot!(visible(&text), @r"
    agent.service
    agent.service
    held.service
    hello.service
    moved.timer
    old.service
    ");
}

/// fleetd has lost touch with the registry, and marks all states; the machines are not lost for that.
#[test]
fn of_a_cluster_that_cannot_be_seen() {
    let mut units = units();
    units.truncate(3);
    units.iter_mut().flat_map(|unit| &mut unit.states).for_each(|state| state.stale = true);
    let text = render(&list(None, false, true), UnitList { stale: true, ..cluster(units) }).unwrap();
    assert_snapshot!(visible(&text), @r"
    agent.service→4c2c1ae0.../192.0.2.2→active→running
    agent.service→9e8d7c6b.../192.0.2.3→failed→failed
    held.service→9e8d7c6b.../192.0.2.3→active→running
    hello.service→4c2c1ae0.../192.0.2.2→active→running
    ");
}

#[test]
fn of_an_empty_cluster() {
    let text = render(&list(None, false, false), cluster(Vec::new())).unwrap();
    assert_snapshot!(visible(&text), @r"
    UNIT→MACHINE→ACTIVE→SUB
    ");
}

#[test]
fn columns_that_there_are_not() {
    let error = render(&list(Some("unit,target"), false, false), cluster(units())).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert_snapshot!(error.words().unwrap_or_default(), @r#"
    Invalid key in output format: "target"
    There are unit, load, active, sub, machine, hash.
    "#);
}
