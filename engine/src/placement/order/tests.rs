//! The machine that a unit is given is the best of all that can take it, whatever was tried, remembered, and put back
//! before.

use std::sync::Arc;

use fleet_registry::record::ContentKey;
use fleet_units::{DesiredState, MachineId, Requirements, UnitFile, UnitName};

use super::super::facts::{Capacity, MachineFacts, Presence, UnitSpec};
use super::*;

/// What units of some templates ask for.
const KINDS: [&str; 7] = [
    "Memory=1G\n",
    "Memory=3G\nCPU=50%\n",
    "Memory=1G\nSpreadBy=zone\nConflicts=%p@*.service\n",
    "SpreadBy=zone\nMaxPerMachine=2\n",
    "SpreadBy=name\nMemory=512M\n",
    "PreferMetadata=disk=ssd\nMachineMetadata=zone=a\nMachineMetadata=zone=b\n",
    "CPU=25%\nConflicts=kind0@*.service\n",
];

/// Numbers that look like chance, and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

fn machine(n: usize, dice: &mut Dice) -> MachineFacts {
    let id = MachineId::parse(&format!("{:08x}", (n * 7919) % 100_003)).expect("hexadecimal digits are an id");
    let mut facts = MachineFacts::new(id);
    let zone = ["a", "b", "c"].get(dice.roll(4)).copied();
    facts.metadata.extend(zone.map(|zone| ("zone".to_owned(), zone.to_owned())));
    facts.metadata.insert("name".to_owned(), format!("m{n}"));
    facts.metadata.insert("disk".to_owned(), ["ssd", "hdd"][dice.roll(2)].to_owned());
    facts.capacity = Capacity { memory: Some(4 << 30 << dice.roll(3)), cpu_millis: Some(2_000 << dice.roll(3)) };
    facts.carries_registry = dice.roll(10) == 0;
    facts
}

fn unit(kind: usize, instance: usize, uid: i64) -> (UnitName, UnitSpec) {
    let name = UnitName::parse(&format!("kind{kind}@{instance}.service")).expect("a name");
    let text = format!("[X-Fleet]\n{}", KINDS[kind]);
    let file = UnitFile::parse(&text).expect("a file");
    let requirements = Ok(Arc::new(Requirements::parse(&file, &name).expect("sound options")));
    let (content, desired) = (ContentKey::of(&text, &Default::default()), DesiredState::Launched);
    (name, UnitSpec { uid, content, desired, restarts: 0, requirements, readable: true })
}

/// The best machine for a unit, found by looking at all.
fn best(cluster: &Cluster, unit: UnitIx) -> Option<MachineIx> {
    let wanted = cluster.units[unit].requirements().expect("it can be read").clone();
    let able = cluster.machines.iter().filter(|(machine, _)| cluster.rejection_of(&[unit], *machine).is_none());
    let best = able.min_by_key(|(_, entry)| {
        let spread = cluster
            .spread_of(&[unit])
            .map(|(group, key)| entry.value(key).map_or(u32::MAX, |value| cluster.count_of(group, key, value)));
        let share = if wanted.asks_resources() { entry.share() } else { 0 };
        let unmet = wanted.prefer.unmet(&entry.facts.traits());
        (spread, unmet, share, entry.load(), entry.facts.carries_registry, entry.facts.id.clone())
    });
    best.map(|(machine, _)| machine)
}

#[test]
fn a_unit_is_given_the_best_machine_of_all() {
    let mut dice = Dice(7);
    let mut cluster = Cluster::new();
    let mut machines: Vec<MachineFacts> = (0..80).map(|n| machine(n, &mut dice)).collect();
    machines.iter().for_each(|facts| cluster.set_machine(facts.clone()));
    let (mut placed, mut known): (usize, Vec<UnitName>) = (0, Vec::new());
    let mut kind = 0;
    for n in 0..1_500 {
        if dice.roll(4) == 0 {
            kind = dice.roll(KINDS.len());
        }
        let (name, spec) = unit(kind, n, n as i64 + 1);
        cluster.set_unit(&name, spec);
        let number = cluster.units.find(name.as_str()).expect("it was told");
        let expected = best(&cluster, number);
        cluster.pass();
        assert_eq!(cluster.units[number].places.first().copied(), expected, "unit {n}: {name}");
        placed += usize::from(expected.is_some());
        known.push(name);
        match dice.roll(40) {
            0 => {
                let at = dice.roll(machines.len());
                let facts = &mut machines[at];
                let is_there = facts.presence == Presence::Present;
                facts.presence = if is_there { Presence::Gone } else { Presence::Present };
                cluster.set_machine(facts.clone());
                cluster.pass();
            }
            1..15 => {
                let name = known.swap_remove(dice.roll(known.len()));
                let held = cluster.places(&name);
                cluster.remove_unit(&name);
                cluster.pass();
                for id in held {
                    cluster.set_generation(&id, 1);
                    cluster.acknowledge(&id, 1, &BTreeSet::new());
                }
                cluster.pass();
            }
            _ => {}
        }
    }
    assert!(placed > 1_000, "{placed} placed");
}

#[test]
fn many_units_at_once_go_where_they_would_go_one_by_one() {
    let told = || {
        let mut dice = Dice(3);
        let mut cluster = Cluster::new();
        (0..150).for_each(|n| cluster.set_machine(machine(n, &mut dice)));
        cluster
    };
    let (mut at_once, mut one_by_one) = (told(), told());
    let units: Vec<(UnitName, UnitSpec)> = (0..900).map(|n| unit(n / 20 % KINDS.len(), n, n as i64 + 1)).collect();
    for (name, spec) in &units {
        at_once.set_unit(name, spec.clone());
        one_by_one.set_unit(name, spec.clone());
        one_by_one.pass();
    }
    at_once.pass();
    for (name, _) in &units {
        assert_eq!(at_once.places(name), one_by_one.places(name), "{name}");
        if !at_once.places(name).is_empty() {
            assert_eq!(at_once.outcome(name), one_by_one.outcome(name), "{name}");
        }
    }
}
