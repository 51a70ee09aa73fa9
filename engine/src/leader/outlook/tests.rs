//! An outlook that was told of changes says what one says that was just loaded.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fleet_registry::mirror::KvChange;
use fleet_registry::record::{ContentRecord, Extra, FORMAT, Record};
use fleet_registry::store::KeyValue;
use fleet_registry::view::Contents;
use fleet_registry::{Key, Layout, View};
use fleet_units::{MachineId, UnitName};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError};
use serde_json::{Value, json};

use super::{Outlook, Touched};

const TEXTS: [&str; 9] = [
    "",
    "MachineMetadata=zone=z1",
    "Conflicts=u*.service",
    "MachineOf=u0.service",
    "Global=true",
    "Memory=2G",
    "SpreadGroup=g\nSpreadBy=zone\nMaxPerMachine=1",
    "Requires=u0.service",
    "After=u*.service",
];

#[derive(Debug, Clone)]
enum Step {
    Machine { id: u8, zone: Option<u8>, catching_up: bool },
    Cordon { id: u8, cordoned: bool },
    Submit { unit: u8, text: usize, desired: &'static str, with_text: bool },
    Text { text: usize },
    Destroy { unit: u8 },
    Schedule { id: u8, units: BTreeSet<u8>, leaving: BTreeSet<u8>, target: &'static str },
    Forget { id: u8 },
    Applied { id: u8 },
    Found { id: u8, unit: u8, text: usize },
    State { id: u8, unit: u8, active: &'static str },
    Ask { unit: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let desired = prop_oneof![4 => Just("launched"), 1 => Just("inactive")];
    let units = || prop::collection::btree_set(0..5_u8, 0..4);
    prop_oneof![
        3 => (0..4_u8, prop::option::weighted(0.8, 0..3_u8), prop::bool::weighted(0.2))
            .prop_map(|(id, zone, catching_up)| Step::Machine { id, zone, catching_up }),
        1 => (0..4_u8, any::<bool>()).prop_map(|(id, cordoned)| Step::Cordon { id, cordoned }),
        4 => (0..5_u8, 0..TEXTS.len(), desired, prop::bool::weighted(0.9))
            .prop_map(|(unit, text, desired, with_text)| Step::Submit { unit, text, desired, with_text }),
        1 => (0..TEXTS.len()).prop_map(|text| Step::Text { text }),
        1 => (0..5_u8).prop_map(|unit| Step::Destroy { unit }),
        4 => (0..4_u8, units(), units(), prop_oneof![Just("loaded"), Just("launched")])
            .prop_map(|(id, units, leaving, target)| Step::Schedule { id, units, leaving, target }),
        1 => (0..4_u8).prop_map(|id| Step::Forget { id }),
        2 => (0..4_u8).prop_map(|id| Step::Applied { id }),
        1 => (0..4_u8, 0..5_u8, 0..TEXTS.len()).prop_map(|(id, unit, text)| Step::Found { id, unit, text }),
        3 => (0..4_u8, 0..5_u8, prop_oneof![3 => Just("active"), 1 => Just("failed"), 1 => Just("activating")])
            .prop_map(|(id, unit, active)| Step::State { id, unit, active }),
        3 => (0..5_u8).prop_map(|unit| Step::Ask { unit }),
    ]
}

fn unit(n: u8) -> UnitName {
    format!("u{n}.service").parse().unwrap()
}

fn machine(n: u8) -> MachineId {
    format!("m{n}").parse().unwrap()
}

fn content(text: usize) -> ContentRecord {
    let text = format!("[Service]\nExecStart=/bin/true\n[X-Fleet]\n{}\n", TEXTS[text]);
    ContentRecord { v: FORMAT, text, drop_ins: BTreeMap::new(), extra: Extra::new() }
}

/// A registry, as whoever follows it sees it.
struct Followed {
    view: View,
    touched: Touched,
    revision: i64,
    created: BTreeMap<Key, i64>,
}

impl Followed {
    fn put(&mut self, key: Key, value: &Value) {
        self.change(key, Some(Bytes::from(value.to_string())));
    }

    fn change(&mut self, key: Key, value: Option<Bytes>) {
        self.revision += 1;
        let stored = self.view.layout().encode(&key);
        let created = match value {
            Some(_) => *self.created.entry(key).or_insert(self.revision),
            None => self.created.remove(&key).unwrap_or_default(),
        };
        let new = value.map(|value| KeyValue {
            key: stored.clone(),
            value,
            create_revision: created,
            mod_revision: self.revision,
            version: 1,
            lease: 0,
        });
        if let Some(change) = self.view.apply(&KvChange { key: stored, new }) {
            self.touched.add(&change);
        }
    }

    fn schedule(&mut self, id: u8, units: &BTreeSet<u8>, leaving: &BTreeSet<u8>, target: &str) {
        let uid = |n: u8| self.created.get(&Key::Unit(unit(n))).copied().unwrap_or(1);
        let given = |n: u8| json!({"uid": uid(n), "content": "", "target": target});
        let assigned: serde_json::Map<_, _> = units.iter().map(|&n| (unit(n).to_string(), given(n))).collect();
        let leaving: serde_json::Map<_, _> =
            leaving.difference(units).map(|n| (unit(*n).to_string(), json!(3))).collect();
        let value = json!({"v": 1, "generation": 3, "units": assigned, "leaving": leaving});
        self.put(Key::Schedule(machine(id)), &value);
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Machine { id, zone: Some(zone), catching_up } => {
                let id = machine(*id);
                let metadata = json!({"zone": format!("z{zone}")});
                let capacity = json!({"memory": 5_u64 << 30, "cpu_millis": 1000});
                let value = json!({"v": 1, "id": id, "metadata": metadata, "capacity": capacity, "version": "",
                    "boot_id": "", "instance": "", "catching_up": catching_up});
                self.put(Key::Machine(id), &value);
            }
            Step::Machine { id, zone: None, .. } => self.change(Key::Machine(machine(*id)), None),
            Step::Cordon { id, cordoned } => {
                self.put(Key::Operator(machine(*id)), &json!({"v": 1, "cordoned": cordoned}));
            }
            Step::Submit { unit: n, text, desired, with_text } => {
                let text = content(*text);
                let hash = fleet_units::UnitFile::parse(&text.text).unwrap().hash();
                let value = json!({"v": 1, "content": text.key(), "hash": hash, "desired": desired, "changed": 0});
                if *with_text {
                    self.change(Key::Content(text.key()), Some(text.encode()));
                }
                self.put(Key::Unit(unit(*n)), &value);
            }
            Step::Text { text } => {
                let text = content(*text);
                self.change(Key::Content(text.key()), Some(text.encode()));
            }
            Step::Destroy { unit: n } => self.change(Key::Unit(unit(*n)), None),
            Step::Schedule { id, units, leaving, target } => {
                // No unit is listed twice.
                for other in (0..4).filter(|other| other != id) {
                    let listed = self.view.schedules.get(&machine(other)).map(|schedule| &schedule.value.units);
                    let rest: Option<BTreeSet<u8>> =
                        listed.map(|listed| (0..5).filter(|n| listed.contains_key(&unit(*n))).collect());
                    if let Some(rest) = rest.filter(|rest| !rest.is_disjoint(units)) {
                        self.schedule(other, &rest.difference(units).copied().collect(), &BTreeSet::new(), target);
                    }
                }
                self.schedule(*id, units, leaving, target);
            }
            Step::Forget { id } => self.change(Key::Schedule(machine(*id)), None),
            Step::Applied { id } => {
                self.put(Key::Applied(machine(*id)), &json!({"v": 1, "generation": 3, "boot_id": ""}));
            }
            Step::Found { id, unit: n, text } => {
                let value = json!({"v": 1, "uid": 0, "content": content(*text).key(), "active": "active", "sub": "running", "load": "loaded", "orphan": true});
                self.put(Key::State(machine(*id), unit(*n)), &value);
            }
            Step::State { id, unit: n, active } => {
                let Some(record) = self.view.units.get(&unit(*n)) else { return };
                let value = json!({"v": 1, "uid": record.create_revision, "content": record.value.content,
                    "active": active, "sub": "", "load": "loaded", "reached": "launched", "since": 5});
                self.put(Key::State(machine(*id), unit(*n)), &value);
            }
            Step::Ask { .. } => {}
        }
    }
}

/// Takes these steps, and holds what was followed against what was just loaded wherever somebody asks.
fn hold_against(steps: &[Step]) -> Result<(), TestCaseError> {
    let view = View::new(Layout::default(), Contents::Keep);
    let mut followed = Followed { view, touched: Touched::default(), revision: 0, created: BTreeMap::new() };
    let mut outlook = Outlook::load(&followed.view);
    for step in steps {
        followed.take(step);
        let Step::Ask { unit: n } = step else { continue };
        outlook.update(&followed.view, std::mem::take(&mut followed.touched));
        let mut fresh = Outlook::load(&followed.view);
        prop_assert_eq!(outlook.cluster().what_if(&[]), fresh.cluster().what_if(&[]));
        // What was tried for one answer leaves no trace in the next.
        for name in [unit(*n), unit((*n + 1) % 5)] {
            outlook.update(&followed.view, Touched::default());
            fresh.update(&followed.view, Touched::default());
            prop_assert_eq!(outlook.explain(&name), fresh.explain(&name), "{}", name);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0x0007_1ee7), cases: 512, ..ProptestConfig::default() })]

    /// Whoever asks a fleetd that was asked before would be told of a cluster that is no more.
    #[test]
    fn what_was_followed_is_what_is(steps in prop::collection::vec(step(), 1..50)) {
        hold_against(&steps)?;
    }
}

/// Each unit that was ever destroyed would stay in fleetd's memory, and one that a start waited for would end the question
/// after next with a bug.
#[test]
fn a_unit_that_no_machine_has_any_more_is_forgotten() {
    let schedule = |units: &[u8]| {
        let (units, leaving) = (units.iter().copied().collect(), BTreeSet::new());
        Step::Schedule { id: 0, units, leaving, target: "loaded" }
    };
    let submit = |unit, text, with_text| Step::Submit { unit, text, desired: "launched", with_text };
    let ask = |unit| Step::Ask { unit };
    let gone = [ask(0), Step::Destroy { unit: 0 }, ask(0), schedule(&[])];
    let begin = [submit(0, 7, true), Step::Text { text: 0 }, schedule(&[0])];
    let steps: Vec<Step> = begin.into_iter().chain(gone).chain([submit(4, 0, false), ask(3), ask(0)]).collect();
    hold_against(&steps).unwrap();
}
