//! A key with more values than machines are kept apart by: spread all the same.

use std::collections::BTreeMap;

use fleet_engine::placement::MachineFacts;
use fleet_units::DesiredState;

use crate::model::{Model, machine, unit};

const MACHINES: usize = 100;

fn add(model: &mut Model, n: usize) {
    model.next_revision();
    let mut facts = MachineFacts::new(machine(&format!("m{n:03}")));
    facts.metadata.insert("host".to_owned(), format!("h{n}"));
    model.set_machine(facts);
}

fn start(model: &mut Model, name: &str, options: &str) {
    model.next_revision();
    model.submit(&unit(name), options);
    model.desire(&unit(name), DesiredState::Launched);
}

/// How many units of a prefix each machine has.
fn counts(model: &Model, prefix: &str) -> BTreeMap<String, usize> {
    let count = |units: &BTreeMap<_, _>| {
        units.keys().filter(|name: &&fleet_units::UnitName| name.as_str().starts_with(prefix)).count()
    };
    model.written.iter().map(|(id, written)| (id.to_string(), count(&written.units))).collect()
}

#[test]
fn units_are_even_over_more_values_than_are_kept_apart() {
    let mut model = Model::default();
    (0..60).for_each(|n| add(&mut model, n));
    // Machines that have much to do are not left out of what is to be even.
    for n in 0..40 {
        start(&mut model, &format!("other{n}.service"), &format!("MachineID=m{:03}", n % 8));
    }
    for n in 0..30 {
        start(&mut model, &format!("web@{n}.service"), "SpreadBy=host");
    }
    model.plan();
    assert_eq!(counts(&model, "web@").values().max(), Some(&1), "while the values are kept apart");
    (60..MACHINES).for_each(|n| add(&mut model, n));
    for n in 30..250 {
        start(&mut model, &format!("web@{n}.service"), "SpreadBy=host");
    }
    model.plan();
    let web = counts(&model, "web@");
    assert_eq!(web.values().sum::<usize>(), 250);
    assert!(web.values().all(|&count| count == 2 || count == 3), "{web:?}");
    // Who becomes free is found again.
    for name in ["web@7.service", "web@8.service", "web@9.service"] {
        model.next_revision();
        model.desire(&unit(name), DesiredState::Inactive);
    }
    model.plan();
    start(&mut model, "web@300.service", "SpreadBy=host");
    model.plan();
    let web = counts(&model, "web@");
    assert!(web.values().all(|&count| (1..=3).contains(&count)), "{web:?}");
    let ones = web.values().filter(|&&count| count == 1).count();
    let at = model.cluster.places(&unit("web@300.service"));
    assert!(ones == 0 || web[at[0].as_str()] == 2, "it went where there were two, though {ones} had one");
    assert!(model.violations().is_empty());
}
