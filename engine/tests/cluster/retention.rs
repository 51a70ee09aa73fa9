//! What becomes of the records of machines that do not come back.

use std::time::Duration;

use fleet_engine::Report;
use fleet_registry::Key;
use fleet_registry::record::OperatorRecord;
use fleet_units::DesiredState;

use crate::rig::{Rig, TTL, machine, unit};

const HOUR: Duration = Duration::from_secs(3_600);

/// A cluster that keeps lost machines' records for six hours, and the machine in it that does not lead.
fn cluster() -> (Rig, String) {
    let mut rig = Rig::empty();
    rig.retention = HOUR * 6;
    for name in ["m1", "m2", "m3"] {
        rig.add(name, &[], false);
    }
    rig.run(TTL * 2);
    let leader = rig.leader().unwrap();
    let id = ["m1", "m2", "m3"].into_iter().find(|id| *id != leader).unwrap();
    (rig, id.to_owned())
}

impl Rig {
    /// Keys of a machine's own, but for what operators said of it.
    fn left_of(&mut self, id: &str) -> usize {
        let parts = [format!("schedule/{id}"), format!("applied/{id}"), format!("states/{id}/")];
        parts.iter().map(|part| self.count(part)).sum()
    }

    fn forgotten(&self) -> usize {
        let reports = self.nodes.iter().flat_map(|node| &node.log);
        reports.filter(|report| matches!(report, Report::Forgotten { .. })).count()
    }

    fn write_failures(&self) -> usize {
        let reports = self.nodes.iter().flat_map(|node| &node.log);
        reports.filter(|report| matches!(report, Report::WriteFailed { .. })).count()
    }
}

#[test]
fn a_machine_that_was_lost_long_ago_leaves_nothing_behind() {
    let (mut rig, id) = cluster();
    rig.start("a.service", "");
    rig.start("global.service", "Global=true");
    rig.settle();
    assert!(rig.left_of(&id) >= 2, "it has a schedule, and acknowledged it");
    rig.kill(&id);
    rig.run(HOUR * 5);
    assert!(rig.left_of(&id) >= 2, "not yet");
    rig.run(HOUR * 2);
    assert_eq!((rig.left_of(&id), rig.forgotten()), (0, 1));
    assert_eq!(rig.write_failures(), 0, "the leader knew of it");
    assert_eq!(rig.running("a.service").len(), 1);
    rig.start("b.service", "");
    rig.settle();
    assert_eq!(rig.running("b.service").len(), 1, "the cluster goes on");

    rig.boot(&id);
    rig.run(TTL * 2);
    assert_eq!(rig.running("global.service").len(), 3, "it is a machine like any other when it comes back");
    rig.run(HOUR * 24);
    assert_eq!(rig.forgotten(), 1, "who is present is kept");
    assert!(rig.left_of(&id) >= 2);
}

#[test]
fn a_machine_that_comes_back_in_time_is_counted_anew() {
    let (mut rig, id) = cluster();
    rig.start("a.service", "");
    rig.settle();
    rig.kill(&id);
    rig.run(HOUR * 5);
    rig.boot(&id);
    rig.run(HOUR);
    rig.kill(&id);
    rig.run(HOUR * 5);
    assert_eq!(rig.forgotten(), 0);
    rig.run(HOUR * 2);
    assert_eq!((rig.left_of(&id), rig.forgotten()), (0, 1));
}

#[test]
fn a_unit_that_fits_nowhere_else_keeps_its_place() {
    let (mut rig, id) = cluster();
    rig.start("pinned.service", &format!("MachineID={id}"));
    rig.settle();
    rig.kill(&id);
    rig.run(HOUR * 12);
    assert_eq!(rig.forgotten(), 0);
    assert_eq!(rig.listed("pinned.service"), std::slice::from_ref(&id));
    rig.delete(&Key::Unit(unit("pinned.service")));
    rig.run(HOUR);
    assert_eq!((rig.left_of(&id), rig.forgotten()), (0, 1), "nothing is held there any more");
}

#[test]
fn what_operators_said_is_kept_for_when_it_comes_back() {
    let (mut rig, id) = cluster();
    rig.operate(&id, |operator| operator.cordoned = true);
    rig.settle();
    rig.kill(&id);
    rig.run(HOUR * 8);
    assert_eq!((rig.left_of(&id), rig.forgotten()), (0, 1));
    let said: OperatorRecord = rig.get(&Key::Operator(machine(&id))).expect("it is a person's word");
    assert!(said.cordoned);
}

#[test]
fn without_a_retention_everything_is_kept() {
    let mut rig = Rig::new(&["m1", "m2", "m3"]);
    rig.run(TTL * 2);
    let leader = rig.leader().unwrap();
    let id = ["m1", "m2"].into_iter().find(|id| *id != leader).unwrap();
    rig.kill(id);
    rig.run(HOUR * 24);
    assert!(rig.left_of(id) > 0 && rig.forgotten() == 0);
}

#[test]
fn a_look_that_is_due_while_a_lost_machine_may_still_be_stopping_something_keeps_no_core_busy() {
    let (mut rig, id) = cluster();
    // Longer than the time between two looks: one is due meanwhile. The rig panics where an engine is woken in vain.
    let text =
        format!("[Service]\nExecStart=/bin/true\nTimeoutStopSec=200\n[X-Fleet]\nOnDisconnect=stop\nMachineID={id}\n");
    rig.submit(&[("db.service", &text, DesiredState::Launched)]);
    rig.settle();
    rig.kill(&id);
    rig.run(HOUR);
    rig.delete(&Key::Unit(unit("db.service")));
    rig.run(HOUR * 7);
    assert_eq!((rig.left_of(&id), rig.forgotten()), (0, 1), "it looks again");
}
