//! Versions N and N+1 in one cluster: fleetds of the next version write fields that this one does not know.

use std::collections::BTreeMap;

use fleet_registry::StoreEffect;
use fleet_registry::store::{Operation, Request};
use serde_json::{Value, json};

use crate::rig::{Rig, TTL, unit};

/// What the next version adds to a record, and to each part of it.
const TOP: &str = "next_version";
const NESTED: &str = "slot";

/// A write as the next version would make it.
pub(crate) fn dress(effect: StoreEffect) -> StoreEffect {
    match effect {
        StoreEffect::Call { id, request: Request::Txn(mut txn) } => {
            for operation in &mut txn.success {
                if let Operation::Put(put) = operation
                    && let Ok(Value::Object(mut record)) = serde_json::from_slice(&put.value)
                {
                    record.insert(TOP.to_owned(), json!({"says": ["more", {"than": "known"}]}));
                    if let Some(Value::Object(units)) = record.get_mut("units") {
                        for given in units.values_mut().filter_map(Value::as_object_mut) {
                            given.insert(NESTED.to_owned(), json!({"n": 1}));
                        }
                    }
                    put.value = serde_json::to_vec(&record).expect("it is JSON").into();
                }
            }
            StoreEffect::Call { id, request: Request::Txn(txn) }
        }
        effect => effect,
    }
}

const MACHINES: [&str; 3] = ["m1", "m2", "m3"];

/// A unit for each machine, whose schedules are so written anew.
fn rewrite_all(rig: &mut Rig, round: usize) {
    for id in MACHINES {
        rig.start(&format!("r{round}-{id}.service"), &format!("MachineID={id}"));
    }
    rig.settle();
    for id in MACHINES {
        assert_eq!(rig.running(&format!("r{round}-{id}.service")), [id], "{}", rig.log().join("\n"));
    }
}

/// How many schedules, and how many assignments, say what only the next version knows.
fn dressed(rig: &mut Rig) -> (usize, usize) {
    let schedules: Vec<_> = MACHINES.iter().filter_map(|id| rig.schedule(id)).collect();
    let top = schedules.iter().filter(|schedule| schedule.extra.contains_key(TOP)).count();
    let assignments = schedules.iter().flat_map(|schedule| schedule.units.values());
    (top, assignments.filter(|given| given.extra.contains_key(NESTED)).count())
}

/// Which unit of which start runs where: what must not change.
fn processes(rig: &Rig) -> BTreeMap<(String, String), (i64, String, u64)> {
    let all = rig.nodes.iter().flat_map(|node| node.runs.iter().map(move |(name, given)| (node, name, given)));
    all.map(|(node, name, given)| {
        ((node.id.to_string(), name.to_string()), (given.uid, given.content.to_string(), given.restarts))
    })
    .collect()
}

/// Another machine's fleetd leads, and it is of this version.
fn led_by(rig: &mut Rig, newer: bool) {
    for _ in 0..12 {
        let leader = rig.leader().expect("somebody leads");
        if rig.node(&leader).newer == newer {
            return;
        }
        // It starts again while another takes over.
        rig.resign(&leader);
        rig.settle();
        rig.restart(&leader, "first");
        rig.settle();
    }
    panic!("nobody of that version leads\n{}", rig.log().join("\n"));
}

/// Machines are upgraded (or downgraded) one after the other; at each step both versions lead in turn, and rewrite what
/// the other wrote.
fn mixed(from_newer: bool) {
    let mut rig = Rig::new(&MACHINES);
    for id in MACHINES {
        rig.node(id).newer = from_newer;
    }
    rig.run(TTL * 2);
    rewrite_all(&mut rig, 0);
    let mut round = 0;
    for id in MACHINES {
        let before = processes(&rig);
        rig.node(id).newer = !from_newer;
        rig.restart(id, "first");
        rig.settle();
        assert_eq!(processes(&rig), before, "an upgrade touches no unit");
        let versions: Vec<bool> = rig.nodes.iter().map(|node| node.newer).collect();
        for newer in [true, false].into_iter().filter(|newer| versions.contains(newer)) {
            led_by(&mut rig, newer);
            let (top, nested) = dressed(&mut rig);
            let before = processes(&rig);
            round += 1;
            rewrite_all(&mut rig, round);
            let after = dressed(&mut rig);
            if newer {
                assert_eq!(after.0, MACHINES.len());
                assert_eq!(after.1, MACHINES.len() * (round + 1), "it says so of all that it writes");
            } else {
                assert_eq!(after, (top, nested), "what the next version said is still there\n{}", rig.log().join("\n"));
            }
            let now = processes(&rig);
            assert!(before.iter().all(|(unit, process)| now.get(unit) == Some(process)), "others run on");
        }
    }
    // A unit that moves is another assignment.
    led_by(&mut rig, !from_newer);
    rig.start("moves.service", "");
    rig.settle();
    let at = rig.running("moves.service")[0].to_owned();
    rig.operate(&at, |operator| operator.draining = true);
    rig.run(TTL);
    assert!(rig.running("moves.service").iter().all(|id| *id != at));
    assert_eq!(rig.running("moves.service").len(), 1);
    assert!(rig.listed("moves.service").len() == 1 && rig.note(unit("moves.service").as_str()).is_some());
}

#[test]
fn the_next_version_comes_machine_by_machine() {
    mixed(false);
}

#[test]
fn the_next_version_goes_machine_by_machine() {
    mixed(true);
}
