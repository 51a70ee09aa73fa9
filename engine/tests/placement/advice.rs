//! What people are told would happen is what happens: forecasts and remedies, held against the same change made in
//! earnest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use fleet_engine::placement::{
    FateKind, Forecast, MachineFacts, Presence, Rebalance, Remedy, Resource, Step as Cure, Supposition,
};
use fleet_units::{DesiredState, MachineId, UnitName};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::model::{Model, machine, unit};
use crate::properties::{Step, apply, id, name, step};

/// Decides and acknowledges until nothing changes any more.
fn rest(model: &mut Model) {
    for _ in 0..64 {
        let (decisions, plans) = model.plan();
        let slow = |id: &&MachineId| {
            model.machines[*id].presence == Presence::Present && !model.written[*id].leaving.is_empty()
        };
        let slow: Vec<MachineId> = model.machines.keys().filter(slow).cloned().collect();
        if decisions.is_empty() && plans.is_empty() && slow.is_empty() {
            break;
        }
        slow.iter().for_each(|id| model.acknowledge(id, &BTreeSet::new()));
    }
}

/// Where units are that are anywhere.
fn places(model: &Model) -> BTreeMap<UnitName, BTreeSet<MachineId>> {
    let mut places = model.listed();
    places.values_mut().for_each(|machines| machines.retain(|id| !model.is_gone(id)));
    places.retain(|_, machines| !machines.is_empty());
    places
}

/// Makes the change in earnest.
fn make(model: &mut Model, change: &[Supposition]) {
    for supposed in change {
        match supposed {
            Supposition::Unit { name, spec } => model.desire(name, spec.desired),
            Supposition::Lost(id) => model.change_machine(id, |facts| facts.presence = Presence::Gone),
            Supposition::Draining(id) => model.change_machine(id, |facts| facts.draining = true),
            Supposition::Metadata { machine, key, value } => model.change_machine(machine, |facts| match value {
                Some(value) => drop(facts.metadata.insert(key.clone(), value.clone())),
                None => drop(facts.metadata.remove(key)),
            }),
        }
    }
}

/// What is wrong with a forecast, by what comes of the change.
fn wrong(model: &Model, change: &[Supposition], forecast: &Forecast) -> Option<String> {
    let mut real = model.clone();
    rest(&mut real);
    let before = places(&real);
    make(&mut real, change);
    rest(&mut real);
    let after = places(&real);
    let none = BTreeSet::new();
    let told: BTreeMap<&UnitName, _> = forecast.fates.iter().map(|fate| (&fate.unit, fate)).collect();
    for name in before.keys().chain(after.keys()) {
        let (old, new) = (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
        let found = told.get(name);
        let (from, to): (Vec<_>, Vec<_>) = match found {
            Some(fate) if fate.kind == FateKind::Stays => (Vec::new(), Vec::new()),
            Some(fate) => (fate.from.clone(), fate.to.clone()),
            None => (Vec::new(), Vec::new()),
        };
        let real: (Vec<_>, Vec<_>) = (old.difference(new).cloned().collect(), new.difference(old).cloned().collect());
        if (from, to) != real {
            return Some(format!("{name} went from {old:?} to {new:?}, told was {found:?}"));
        }
    }
    None
}

/// The `what-if` of a scenario.
pub(crate) fn what_if(model: &Model, rest: &str, out: &mut String) {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let change: Vec<Supposition> = match words[0] {
        "start" => words[1..].iter().map(|name| start(model, &unit(name))).collect(),
        "lose" => words[1..].iter().map(|id| Supposition::Lost(machine(id))).collect(),
        "drain" => words[1..].iter().map(|id| Supposition::Draining(machine(id))).collect(),
        "metadata" => {
            let pairs = words[2..].iter().map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            let value = |value: &str| (!value.is_empty()).then(|| value.to_owned());
            let machine = machine(words[1]);
            let of = |(key, to): (&str, &str)| Supposition::Metadata {
                machine: machine.clone(),
                key: key.to_owned(),
                value: value(to),
            };
            pairs.map(of).collect()
        }
        other => panic!("no such change: {other}"),
    };
    let forecast = model.cluster.what_if(&change);
    for fate in &forecast.fates {
        let ids = |ids: &[MachineId]| ids.iter().map(MachineId::as_str).collect::<Vec<_>>().join(" ");
        let from = if fate.from.is_empty() { String::new() } else { format!(" from {}", ids(&fate.from)) };
        let to = if fate.to.is_empty() { String::new() } else { format!(" to {}", ids(&fate.to)) };
        let _ = writeln!(out, "> {} {:?}{from}{to}: {fate}", fate.unit, fate.kind);
    }
    if forecast.fates.is_empty() {
        let _ = writeln!(out, "> nothing would change");
    }
    if forecast.brake {
        let _ = writeln!(out, "> the brake would hold");
    }
    let wrong = wrong(model, &change, &forecast);
    assert!(wrong.is_none(), "after\n{out}: {wrong:?}");
    let again = model.told_anew().cluster.what_if(&change);
    assert_eq!(again.token(&change), forecast.token(&change), "another fleetd answers otherwise after\n{out}");
}

fn start(model: &Model, name: &UnitName) -> Supposition {
    Supposition::Unit { name: name.clone(), spec: model.desired(name, DesiredState::Launched) }
}

/// Makes a remedy come true.
fn cure(model: &mut Model, remedy: &Remedy) {
    for cure in &remedy.steps {
        match cure {
            Cure::Uncordon(id) => model.change_machine(id, |facts| facts.cordoned = false),
            Cure::EndDrain(id) => model.change_machine(id, |facts| (facts.draining, facts.cordoned) = (false, false)),
            Cure::Start(name) => model.desire(name, DesiredState::Launched),
            Cure::Metadata { machine, key, value } => model.change_machine(machine, |facts| match value {
                Some(value) => drop(facts.metadata.insert(key.clone(), value.clone())),
                None => drop(facts.metadata.remove(key)),
            }),
            Cure::Stop { unit, .. } => model.desire(unit, DesiredState::Inactive),
            Cure::Lower { unit, resource, to } => {
                let options = model.units[unit].options.clone();
                let option = resource.option();
                let kept = options.split(';').filter(|line| !line.trim_start().starts_with(&format!("{option}=")));
                let lower = match resource {
                    Resource::Memory => format!("Memory={to}"),
                    Resource::Cpu => format!("CPU={}", resource.show(*to)),
                };
                let kept: Vec<&str> = kept.chain([lower.as_str()]).collect();
                model.submit(unit, &kept.join(";"));
            }
            Cure::Drop { unit, option } => {
                let options = model.units[unit].options.clone();
                let kept = options.split(';').filter(|line| !line.trim_start().starts_with(&format!("{option}=")));
                let kept: Vec<&str> = kept.collect();
                model.submit(unit, &kept.join(";"));
            }
        }
    }
}

/// The `rebalance` of a scenario.
pub(crate) fn rebalance(model: &Model, rest: &str, out: &mut String) {
    let found = model.cluster.rebalance(rest.parse().unwrap_or(usize::MAX));
    for made in &found.moves {
        let with: Vec<&str> = made.with.iter().map(UnitName::as_str).collect();
        let with = if with.is_empty() { String::new() } else { format!(" with {}", with.join(" ")) };
        let _ = writeln!(out, "> {}{with} ({}) from {} to {}: {}", made.unit, made.group, made.from, made.to, made.why);
    }
    let (before, after) = (found.before, found.after);
    let _ = writeln!(out, "> {}..{} becomes {}..{}", before.least, before.most, after.least, after.most);
    made(model, &found);
}

/// What comes of making these moves, one after the other.
fn made(model: &Model, found: &Rebalance) -> Model {
    let uneven = |model: &Model| -> usize {
        let open = |facts: &&fleet_engine::placement::MachineFacts| {
            facts.presence == Presence::Present && !facts.cordoned && !facts.draining && !facts.catching_up
        };
        model.machines.values().filter(open).map(|facts| model.written[&facts.id].units.len().pow(2)).sum()
    };
    let mut model = model.clone();
    rest(&mut model);
    let mut before = uneven(&model);
    for made in &found.moves {
        let listed = model.listed();
        model.cluster.set_avoided(&made.unit, Some(made.from.clone()));
        rest(&mut model);
        for unit in std::iter::once(&made.unit).chain(&made.with) {
            assert_eq!(model.listed()[unit], BTreeSet::from([made.to.clone()]), "{unit} of {made:?}");
        }
        let stays = |unit: &UnitName| *unit != made.unit && !made.with.contains(unit);
        for (unit, machines) in listed.iter().filter(|(unit, _)| stays(unit)) {
            assert_eq!(model.listed().get(unit), Some(machines), "{unit} moved, which nobody asked for: {made:?}");
        }
        let after = uneven(&model);
        assert!(after < before, "it is no more even after {made:?}");
        before = after;
        model.cluster.set_avoided(&made.unit, None);
        rest(&mut model);
    }
    let broken = model.violations();
    assert!(broken.is_empty(), "{broken:#?}");
    model
}

/// A person would be told that a global unit runs on other machines when it runs on none, and the command would end well.
#[test]
fn a_global_unit_without_its_last_machine_is_left_without_one() {
    let mut model = Model::default();
    model.next_revision();
    model.set_machine(MachineFacts::new(id(0)));
    let all = unit("all.service");
    model.submit(&all, "Global=true");
    model.desire(&all, DesiredState::Launched);
    model.plan();
    let told = |change: Supposition| -> Vec<(FateKind, String)> {
        let fates = model.cluster.what_if(&[change]).fates;
        fates.iter().map(|fate| (fate.kind, fate.to_string())).collect()
    };
    assert_eq!(told(Supposition::Lost(id(0))), [(FateKind::Displaced, "the machine is lost".to_owned())]);
    let stopped = Supposition::Unit { name: all.clone(), spec: model.desired(&all, DesiredState::Inactive) };
    assert_eq!(told(stopped), [(FateKind::Withdrawn, "not wanted".to_owned())]);
}

fn supposition() -> impl Strategy<Value = (u8, u8)> {
    (0..6_u8, 0..9_u8)
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0x0afc_1ee7), ..ProptestConfig::default() })]

    /// A person would drain a machine, or start a unit, and see something else happen than they were told.
    #[test]
    fn what_is_forecast_is_what_happens(
        steps in prop::collection::vec(step(), 1..40),
        changes in prop::collection::vec(supposition(), 1..4),
    ) {
        let mut model = Model::default();
        for step in &steps {
            apply(&mut model, step);
            if matches!(step, Step::Plan) {
                model.plan();
            }
        }
        let change: Vec<Supposition> = changes.into_iter().filter_map(|(kind, n)| {
            let machine = id(n % 5);
            let known = model.machines.contains_key(&machine);
            Some(match kind {
                0..=2 => start(&model, model.units.get_key_value(&name(n))?.0),
                3 if known => Supposition::Lost(machine),
                4 if known => Supposition::Draining(machine),
                5 if known => Supposition::Metadata { machine, key: "zone".into(), value: Some("z1".into()) },
                _ => return None,
            })
        }).collect();
        let forecast = model.cluster.what_if(&change);
        let wrong = wrong(&model, &change, &forecast);
        prop_assert!(wrong.is_none(), "{wrong:?}");
        prop_assert!(forecast == model.cluster.what_if(&change), "the same question has two answers");
    }

    /// A person would do as they were advised, and the unit still have no machine.
    #[test]
    fn what_is_advised_helps(steps in prop::collection::vec(step(), 1..60)) {
        let mut model = Model::default();
        for step in &steps {
            apply(&mut model, step);
        }
        rest(&mut model);
        for name in model.units.keys() {
            let Some(remedy) = model.cluster.clone().explain(name).and_then(|found| found.remedy) else { continue };
            let mut cured = model.clone();
            cure(&mut cured, &remedy);
            rest(&mut cured);
            prop_assert!(cured.listed().contains_key(name), "{name} is nowhere after: {remedy}");
        }
    }

    /// A rebalance would move what need not be moved, or break a rule, or never end.
    #[test]
    fn a_rebalance_evens_out_and_ends(steps in prop::collection::vec(step(), 1..60)) {
        let mut model = Model::default();
        for step in &steps {
            apply(&mut model, step);
        }
        let found = model.cluster.rebalance(usize::MAX);
        let after = made(&model, &found);
        prop_assert_eq!(after.cluster.rebalance(usize::MAX).moves, [], "something is left to do");
        let first = model.cluster.rebalance(1);
        prop_assert_eq!(&first.moves[..], &found.moves[..found.moves.len().min(1)]);
    }
}
