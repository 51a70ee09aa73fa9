//! What `fleetctl list-machines` prints.

mod common;

use common::{list, machines, visible};
use fleet_api::v2::MachineList;
use fleetctl::cli::{List, ListFormat, ListMachines};
use fleetctl::commands::list_machines;
use insta::assert_snapshot;

fn render(list: List, output: Option<ListFormat>) -> String {
    let machines = MachineList { revision: 7, stale: false, machines: machines() };
    list_machines::render(&ListMachines { list, output }, &machines).unwrap()
}

#[test]
fn by_default() {
    assert_snapshot!(visible(&render(list(None, false, false), None)), @r"
    MACHINE→→IP→→METADATA
    4c2c1ae0...→192.0.2.2→disk=ssd,region=eu
    9e8d7c6b...→-→→-
    ");
}

/// As fleet's own scripts read it: `fleetctl list-machines --no-legend --full | awk '{print $1}'`.
#[test]
fn machines_as_scripts_read_them() {
    let text = render(list(None, true, true), None);
    let ids: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(ids, common::MACHINES);
    assert_snapshot!(visible(&text), @r"
    4c2c1ae0b51f4d2e8f0e4d1c2b3a4f5e→192.0.2.2→disk=ssd,region=eu
    9e8d7c6b5a494837261504f3e2d1c0b9→-→→-
    ");
}

/// Who asks where there is room, and for whom.
#[test]
fn in_all_columns() {
    assert_snapshot!(visible(&render(list(None, false, false), Some(ListFormat::Wide))), @r"
    MACHINE→→HOSTNAME→IP→→UNITS→MEMORY→→CPU→VERSION→METADATA
    4c2c1ae0...→web1→→192.0.2.2→12→512M/1.8G→0%/190%→2.0.0→disk=ssd,region=eu
    9e8d7c6b...→-→→-→→-→-→→-→-→-
    ");
}

#[test]
fn for_programs() {
    let text = render(list(None, false, false), Some(ListFormat::Json));
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["machines"][0]["capacity"], serde_json::json!({"memory": 1_992_294_400, "cpuMillis": 1900}));
    assert_eq!(object["machines"][1]["capacity"], serde_json::json!({}), "what is not known is not there");
    assert_eq!(object["revision"], 7);
}
