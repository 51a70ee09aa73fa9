//! What `fleetctl list-machines` prints.

mod common;

use common::{list, machines, visible};
use fleetctl::commands::list_machines::render;
use insta::assert_snapshot;

#[test]
fn by_default() {
    assert_snapshot!(visible(&render(&list(None, false, false), &machines()).unwrap()), @r"
    MACHINE→→IP→→METADATA
    4c2c1ae0...→192.0.2.2→disk=ssd,region=eu
    9e8d7c6b...→-→→-
    ");
}

/// As fleet's own scripts read it: `fleetctl list-machines --no-legend --full | awk '{print $1}'`.
#[test]
fn machines_as_scripts_read_them() {
    let text = render(&list(None, true, true), &machines()).unwrap();
    let ids: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(ids, common::MACHINES);
    assert_snapshot!(visible(&text), @r"
    4c2c1ae0b51f4d2e8f0e4d1c2b3a4f5e→192.0.2.2→disk=ssd,region=eu
    9e8d7c6b5a494837261504f3e2d1c0b9→-→→-
    ");
}
