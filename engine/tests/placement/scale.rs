//! Cost follows the change: a large cluster at rest is no work, and one new unit one decision.

use std::sync::Arc;

use fleet_engine::placement::{Cluster, MachineFacts, UnitSpec};
use fleet_registry::record::ContentKey;
use fleet_units::DesiredState;

use crate::model::{machine, requirements, unit};

fn add(cluster: &mut Cluster, n: usize, uid: i64) {
    let (name, options) = match n % 10 {
        0..=3 => (unit(&format!("plain{n}.service")), String::new()),
        4..=6 => (unit(&format!("web{}@{n}.service", n % 97)), format!("MachineMetadata=zone=z{}", n % 5)),
        7 => (unit(&format!("one{}@{n}.service", n % 89)), "Conflicts=%p@*.service".to_owned()),
        8 => (unit(&format!("db@{n}.service")), "MachineMetadata=disk=ssd".to_owned()),
        _ => (unit(&format!("log@{}.service", n - 1)), "MachineOf=db@%i.service".to_owned()),
    };
    let requirements = Ok(Arc::new(requirements(&name, &options)));
    let content = ContentKey(options.into());
    cluster.set_unit(
        &name,
        UnitSpec { uid, content, desired: DesiredState::Launched, restarts: 0, requirements, readable: true },
    );
}

fn cluster(machines: usize, units: usize) -> Cluster {
    let mut cluster = Cluster::new();
    for n in 0..machines {
        let mut facts = MachineFacts::new(machine(&format!("{n:032x}")));
        facts.metadata.insert("zone".to_owned(), format!("z{}", n % 5));
        facts.metadata.insert("rack".to_owned(), format!("r{}", n % 25));
        facts.metadata.insert("disk".to_owned(), if n % 3 == 0 { "ssd" } else { "hdd" }.to_owned());
        cluster.set_machine(facts);
    }
    for n in 0..units {
        add(&mut cluster, n, 1);
    }
    cluster
}

#[test]
fn a_cluster_at_rest_is_no_work_and_a_new_unit_is_one_decision() {
    let (machines, units) = (200, 2_000);
    let mut cluster = cluster(machines, units);
    assert_eq!(cluster.pass().len(), units);
    let plans = cluster.take_plan();
    assert!(plans.len() <= machines);
    assert_eq!(plans.iter().map(|plan| plan.units.len()).sum::<usize>(), units);
    assert!(!cluster.is_dirty());
    assert!(cluster.pass().is_empty() && cluster.take_plan().is_empty());
    add(&mut cluster, units * 10 + 7, 2);
    let decisions = cluster.pass();
    assert_eq!(decisions.len(), 1, "{decisions:?}");
    assert_eq!(cluster.take_plan().len(), 1);
}
