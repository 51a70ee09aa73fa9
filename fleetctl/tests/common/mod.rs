//! A small cluster, as fleetd shows it, for the tests of what is printed.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;

use fleet_api::v2::{MachineRef, MachineView, Reached, Resources, StateView, UnitView};
use fleet_units::{DesiredState, UnitFile};
use fleetctl::cli::List;

/// The ids of the two machines.
pub(crate) const MACHINES: [&str; 2] = ["4c2c1ae0b51f4d2e8f0e4d1c2b3a4f5e", "9e8d7c6b5a494837261504f3e2d1c0b9"];

/// `--fields FIELDS`, and so on.
pub(crate) fn list(fields: Option<&str>, full: bool, no_legend: bool) -> List {
    List { full, no_legend, fields: fields.map(str::to_owned) }
}

fn machine(index: usize) -> MachineRef {
    MachineRef { id: MACHINES[index].to_owned(), address: format!("192.0.2.{}", index + 2) }
}

/// The machines: one with metadata, one that says nothing of itself.
pub(crate) fn machines() -> Vec<MachineView> {
    let metadata = BTreeMap::from([("region".to_owned(), "eu".to_owned()), ("disk".to_owned(), "ssd".to_owned())]);
    vec![
        MachineView {
            id: MACHINES[0].into(),
            hostname: "web1".into(),
            address: "192.0.2.2".into(),
            metadata,
            capacity: Resources { memory: Some(1900 << 20), cpu_millis: Some(1900) },
            used: Resources { memory: Some(512 << 20), cpu_millis: Some(0) },
            units: Some(12),
            version: "2.0.0".into(),
            ..MachineView::default()
        },
        MachineView { id: MACHINES[1].into(), ..MachineView::default() },
    ]
}

fn unit(name: &str, desired: DesiredState) -> UnitView {
    let file = UnitFile::parse(&format!("[Service]\nExecStart=/bin/echo {name}\n")).expect("it is well-formed");
    UnitView {
        name: name.to_owned(),
        uid: 1,
        hash: Some(file.hash()),
        desired_state: Some(desired),
        current_state: Some(DesiredState::Inactive),
        global: false,
        description: String::new(),
        machine: None,
        states: Vec::new(),
        note: None,
        scheduled_to: 0,
        restarts: 0,
    }
}

fn state(index: usize, unit: &UnitView, active: &str, sub: &str) -> StateView {
    StateView {
        machine: machine(index),
        uid: 1,
        load: "loaded".into(),
        active: active.into(),
        sub: sub.into(),
        reached: Some(Reached::Launched),
        hash: unit.hash,
        ..StateView::default()
    }
}

/// A unit of every kind: running, global, submitted, unplaced, moved from a lost machine, held by a lost machine, and
/// destroyed but not stopped yet.
pub(crate) fn units() -> Vec<UnitView> {
    let mut running = unit("hello.service", DesiredState::Launched);
    running.description = "Says hello".into();
    running.current_state = Some(DesiredState::Launched);
    running.machine = Some(machine(0));
    running.states = vec![state(0, &running, "active", "running")];

    let mut global = unit("agent.service", DesiredState::Launched);
    global.global = true;
    global.current_state = None;
    global.scheduled_to = 2;
    global.states = vec![state(0, &global, "active", "running"), state(1, &global, "failed", "failed")];

    let submitted = unit("web@.service", DesiredState::Inactive);
    let unplaced = unit("web@1.service", DesiredState::Launched);

    let mut moved = unit("moved.timer", DesiredState::Launched);
    moved.current_state = Some(DesiredState::Launched);
    moved.machine = Some(machine(0));
    moved.states = vec![state(0, &moved, "active", "waiting"), state(1, &moved, "active", "running")];
    moved.states[1].stale = true;

    let mut held = unit("held.service", DesiredState::Launched);
    held.machine = Some(machine(1));
    held.states = vec![state(1, &held, "active", "running")];
    held.states[0].stale = true;

    let mut destroyed = unit("old.service", DesiredState::Inactive);
    destroyed.states = vec![state(0, &destroyed, "deactivating", "stop-sigterm")];
    destroyed.states[0].hash = None;
    destroyed.desired_state = None;
    destroyed.current_state = None;
    destroyed.hash = None;

    vec![global, held, running, moved, destroyed, submitted, unplaced]
}

/// Tabs made visible.
pub(crate) fn visible(text: &str) -> String {
    text.replace('\t', "→")
}
