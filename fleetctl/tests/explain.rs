//! What `fleetctl explain` prints.

mod common;

use common::{MACHINES, visible};
use fleet_api::v2::{
    AbleMachine, DecisionKind, Explanation, MachineRef, PlacedAnew, RejectionView, RemedyView, StateView, UnitView,
};
use fleet_units::DesiredState;
use fleetctl::commands::explain;
use insta::assert_snapshot;

fn machine(index: usize) -> MachineRef {
    MachineRef { id: MACHINES[index].to_owned(), address: format!("192.0.2.{}", index + 2) }
}

fn rejection(reason: &str, count: usize) -> RejectionView {
    RejectionView { reason: reason.to_owned(), count, machines: vec![machine(1); count] }
}

/// A unit that no machine can take.
fn nowhere() -> Explanation {
    let unit: UnitView = serde_json::from_value(serde_json::json!({"name": "db.service", "uid": 7})).unwrap();
    Explanation {
        revision: 12,
        now: 200_000,
        stale: false,
        unit: UnitView { desired_state: Some(DesiredState::Launched), ..unit },
        decision: DecisionKind::Unplaceable,
        reason: "no machine: 7 of 8 lack disk=ssd, 1 of 8 is cordoned".into(),
        places: Vec::new(),
        placed_anew: None,
        able: Vec::new(),
        rejections: vec![rejection("lack disk=ssd", 7), rejection("is cordoned", 1)],
        smallest_change: Some(RemedyView { steps: vec!["uncordon 9e8d7c6b".into()], machine: machine(1) }),
    }
}

#[test]
fn reasons_are_counted_and_the_first_machines_named() {
    assert_snapshot!(visible(&explain::render(&nowhere())));
}

#[test]
fn a_unit_that_has_a_machine() {
    let mut found = nowhere();
    (found.decision, found.reason) = (DecisionKind::Placed, "stays on 4c2c1ae0".into());
    found.places = vec![machine(0)];
    let (active, sub) = ("active".into(), "running".into());
    found.unit.states = vec![StateView { machine: machine(0), active, sub, since: 77_000, ..StateView::default() }];
    found.able = vec![AbleMachine { machine: machine(1), units: 2 }];
    found.rejections.truncate(1);
    found.smallest_change = None;
    let reason = "least loaded (2 units, 4c2c1ae0 has 3)".into();
    found.placed_anew = Some(PlacedAnew { machine: machine(1), reason });
    assert_snapshot!(visible(&explain::render(&found)));
    found.unit.states[0].stale = true;
    assert!(explain::render(&found).contains("active (running) when it was last heard of\n"), "it may be over by now");
}

#[test]
fn a_unit_that_nobody_wants() {
    let found =
        Explanation { decision: DecisionKind::Unwanted, rejections: Vec::new(), smallest_change: None, ..nowhere() };
    assert_snapshot!(visible(&explain::render(&found)));
}
