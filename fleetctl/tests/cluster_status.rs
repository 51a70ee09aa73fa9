//! What `fleetctl cluster status` and `fleetctl brake` print.

mod common;

use common::{MACHINES, machines, visible};
use fleet_api::v2::{
    BrakeView, ClusterStatus, LeaderView, LostMachine, MachineRef, MachineView, Orphan, RegistryView, StateView,
    Stopping, UnitTrouble, UnreadableRecord,
};
use fleetctl::commands::{brake, cluster};
use insta::assert_snapshot;

const HOUR: u64 = 3_600_000;

fn reference(index: usize) -> MachineRef {
    MachineRef { id: MACHINES[index].to_owned(), address: format!("192.0.2.{}", index + 2) }
}

/// A cluster at rest.
fn healthy() -> ClusterStatus {
    ClusterStatus {
        id: Some("5e2f9a0c".into()),
        revision: 1_234,
        now: 100 * HOUR,
        leader: Some(LeaderView { machine: reference(0), since: 97 * HOUR - 120_000, why: "no leader".into() }),
        standbys: vec![reference(1)],
        machines: machines(),
        ..ClusterStatus::default()
    }
}

fn stray() -> Orphan {
    Orphan { unit: "stray.service".into(), machine: reference(0), active: "active".into(), since: 10 * HOUR }
}

/// A unit that has been stopping for two minutes.
fn stopping(limit_ms: Option<u64>) -> Stopping {
    Stopping { unit: "slow.service".into(), machine: reference(1), since: 100 * HOUR - 120_000, limit_ms }
}

fn shown(status: &ClusterStatus) -> (String, bool) {
    let findings = cluster::findings(status);
    (visible(&cluster::render(status, &findings)), findings.iter().any(|finding| finding.is_wrong))
}

#[test]
fn at_rest() {
    let (text, is_wrong) = shown(&healthy());
    assert!(!is_wrong);
    assert_snapshot!(text);
    assert_snapshot!(brake::words(&healthy()), @"The brake is off.");
}

/// What happens on a day of maintenance is told, and nothing is wrong.
#[test]
fn in_maintenance() {
    let mut status = healthy();
    status.machines[0] = MachineView { draining: true, version: "2.0.0".into(), ..status.machines[0].clone() };
    status.machines[1] =
        MachineView { cordoned: true, catching_up: true, version: "2.1.0".into(), ..status.machines[1].clone() };
    status.machines.push(MachineView { leaving: true, version: "2.0.0".into(), ..status.machines[0].clone() });
    status.registry = RegistryView { embedded: true, ..RegistryView::default() };
    status.lost = vec![LostMachine { id: "0123456789abcdef".into(), ..LostMachine::default() }];
    let (text, is_wrong) = shown(&status);
    assert!(!is_wrong, "{text}");
    assert_snapshot!(text);
}

/// A unit that failed on the first machine.
fn trouble() -> UnitTrouble {
    let state = StateView {
        machine: reference(0),
        active: "failed".into(),
        sub: "failed".into(),
        result: "exit-code".into(),
        ..StateView::default()
    };
    UnitTrouble { unit: "web.service".into(), state }
}

/// What failed is wrong; of many, some are named.
#[test]
fn with_units_that_failed() {
    let (text, is_wrong) = shown(&ClusterStatus { failed: vec![trouble(); 12], ..healthy() });
    assert!(is_wrong);
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("WRONG")).skip(9).collect();
    assert_snapshot!(lines.join("\n"), @r#"
    WRONG: unit web.service failed on 4c2c1ae0.../192.0.2.2 with result "exit-code"
    WRONG: 2 more units failed
    "#);
}

#[test]
fn in_trouble() {
    let status = ClusterStatus {
        id: None,
        stale: true,
        why: Some("connection refused".into()),
        leader: None,
        standbys: Vec::new(),
        lost: vec![LostMachine { id: "0123456789abcdef".into(), units: 3, ..LostMachine::default() }],
        brake: Some(BrakeView { lost: vec![reference(1)], present_before: 2, since: 99 * HOUR, released: false }),
        orphans: vec![stray()],
        stopping: vec![stopping(Some(90_000)), stopping(Some(10_000_000)), stopping(None)],
        registry: RegistryView {
            endpoints: vec!["http://192.0.2.2:2379".into()],
            latency_ms: Some(3),
            answered_ms: Some(4_250),
            version: Some("3.5.17".into()),
            size: Some(2_147_483_648),
            alarms: vec!["memberID:42 alarm:NOSPACE".into()],
            ..RegistryView::default()
        },
        here: Some("another machine with this machine-id is registered".into()),
        unreadable: vec![UnreadableRecord { key: "/fleet/v3/units/a.service".into(), why: "it has format 9".into() }],
        ..healthy()
    };
    let (text, is_wrong) = shown(&status);
    assert!(is_wrong);
    assert_snapshot!(text);
    assert_snapshot!(brake::words(&status));
}

/// Each trouble by itself is enough for a script to notice.
#[test]
fn each_trouble_is_wrong_by_itself() {
    let stale = ClusterStatus { stale: true, ..healthy() };
    let strange = ClusterStatus { id: None, ..healthy() };
    let leaderless = ClusterStatus { leader: None, ..healthy() };
    let braked = ClusterStatus { brake: Some(BrakeView::default()), ..healthy() };
    let orphaned = ClusterStatus { orphans: vec![Orphan::default()], ..healthy() };
    let unreadable = ClusterStatus { unreadable: vec![UnreadableRecord::default()], ..healthy() };
    let held = ClusterStatus { lost: vec![LostMachine { units: 1, ..LostMachine::default() }], ..healthy() };
    let failed = ClusterStatus { failed: vec![trouble()], ..healthy() };
    let hung = ClusterStatus { stopping: vec![stopping(Some(90_000))], ..healthy() };
    let refused = ClusterStatus { here: Some("x".into()), ..healthy() };
    let full = RegistryView { alarms: vec!["NOSPACE".into()], ..RegistryView::default() };
    let full = ClusterStatus { registry: full, ..healthy() };
    for status in [stale, strange, leaderless, braked, orphaned, unreadable, held, hung, refused, full, failed] {
        let findings = cluster::findings(&status);
        assert_eq!(findings.iter().filter(|finding| finding.is_wrong).count(), 1, "{status:?}");
    }
}

#[test]
fn programs_get_all_of_it_with_what_is_found() {
    let status = ClusterStatus { orphans: vec![stray()], ..healthy() };
    let json = cluster::json(&status, &cluster::findings(&status));
    assert_eq!(json["orphans"][0]["unit"], "stray.service");
    assert_eq!(json["findings"].as_array().unwrap().len(), 1);
    assert_eq!(json["findings"][0]["wrong"], true);
    assert_eq!(json["leader"]["machine"]["id"], MACHINES[0]);
}
