//! What `fleetctl rebalance` prints before it moves anything.

mod common;

use common::{MACHINES, visible};
use fleet_api::v2::{LoadRange, MachineRef, MoveView, RebalanceAnswer};
use fleetctl::commands::rebalance;
use insta::assert_snapshot;

fn machine(index: usize) -> MachineRef {
    MachineRef { id: MACHINES[index].to_owned(), address: format!("192.0.2.{}", index + 2) }
}

#[test]
fn moves_and_what_they_come_to() {
    let made = |name: &str, with: &[&str]| MoveView {
        name: name.into(),
        with: with.iter().map(|&name| name.to_owned()).collect(),
        group: name.into(),
        with_groups: Vec::new(),
        from: machine(0),
        to: machine(1),
        reason: "least loaded (1 unit, 4c2c1ae0 has 5)".into(),
    };
    let moves = vec![made("web@3.service", &[]), made("db.service", &["app.service"])];
    let (before, after) = (LoadRange { least: 1, most: 7 }, LoadRange { least: 4, most: 4 });
    let found = RebalanceAnswer { moves, before, after, ..RebalanceAnswer::default() };
    assert_snapshot!(visible(&rebalance::render(&found)));
    let even = RebalanceAnswer { moves: Vec::new(), before: after, ..found };
    assert_eq!(rebalance::render(&even), "Nothing to move: machines have 4 units each.\n");
}
