//! What would come of a change: it is made on a copy, which is then decided about until it is at rest.
//!
//! Moves come in steps, since a unit starts elsewhere only once its machine has stopped it. Here every stop counts as
//! acknowledged at once, so that the end of all steps is what is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use fleet_units::{MachineId, UnitName};
use sha2::{Digest, Sha256};

use super::cluster::Cluster;
use super::decision::{Decision, Departure, Outcome};
use super::facts::{Presence, UnitSpec};
use super::marks::Marks;
use super::slots::{MachineIx, UnitIx};
use crate::absence::too_many;

/// What is settled for good comes to rest in a few steps; two rules that chase each other never would.
const MAX_STEPS: usize = 64;

/// Digits of a token: enough that no two plans of one cluster are taken for each other.
const TOKEN_LENGTH: usize = 16;

/// A change to think through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Supposition {
    /// A unit is as this says: new, started, stopped, or with another text.
    Unit {
        /// Which.
        name: UnitName,
        /// How it is.
        spec: UnitSpec,
    },
    /// A machine is lost.
    Lost(MachineId),
    /// An operator wants a machine empty.
    Draining(MachineId),
    /// A machine has another value under a key of its metadata, or none.
    Metadata {
        /// Which machine.
        machine: MachineId,
        /// The key.
        key: String,
        /// The value.
        value: Option<String>,
    },
}

/// What becomes of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FateKind {
    /// It had no machine, and is given one.
    Placed,
    /// It leaves its machine for another.
    Moved,
    /// It loses its machine, and no other can take it (yet).
    Displaced,
    /// It was asked about, has no machine, and gets none.
    Unplaced,
    /// It was asked about, and stays where it is.
    Stays,
    /// It is global, and is to run on other machines than before, or on fewer.
    Spread,
    /// It leaves its machine because nobody wants it to run, or it was asked about and nobody wants it to.
    Withdrawn,
}

/// What becomes of one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// Which.
    pub unit: UnitName,
    /// In a word.
    pub kind: FateKind,
    /// Machines that it leaves.
    pub from: Vec<MachineId>,
    /// Machines that it comes to, or stays on where it was asked about.
    pub to: Vec<MachineId>,
    /// Why it leaves.
    pub departure: Option<Departure>,
    /// What is decided about it at the end.
    pub outcome: Outcome,
}

/// What would come of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// Each unit whose place changes, and each that was asked about, by name.
    pub fates: Vec<Fate>,
    /// Whether so many machines would be lost at once that nothing moves before an operator says so.
    pub brake: bool,
}

impl fmt::Display for Fate {
    /// Why, in the words that follow where it goes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leaves = self.departure.as_ref().filter(|_| self.kind != FateKind::Withdrawn);
        match (&self.outcome, leaves) {
            (Outcome::Placed { why, .. }, Some(left)) => write!(f, "{left}; {why}"),
            (Outcome::Placed { why, .. }, None) => why.fmt(f),
            (Outcome::Kept { .. }, Some(left)) => left.fmt(f),
            (Outcome::Kept { .. }, None) => f.write_str("it is there already"),
            (Outcome::Everywhere { .. }, Some(left)) => left.fmt(f),
            (outcome, Some(left)) if self.kind == FateKind::Displaced => write!(f, "{left}; {outcome}"),
            (outcome, _) => outcome.fmt(f),
        }
    }
}

impl Forecast {
    /// Names this answer: it is another as soon as something else is asked, or another unit is to go anywhere else.
    /// Reasons do not count, since they tell of loads too, which change all the time.
    #[must_use]
    pub fn token(&self, asked: &[Supposition]) -> String {
        let mut hash = Sha256::new();
        let mut line = |words: String| {
            hash.update((words.len() as u64).to_le_bytes());
            hash.update(words.as_bytes());
        };
        for supposed in asked {
            line(match supposed {
                Supposition::Unit { name, spec } => format!("unit {name} {} {}", spec.content, spec.desired),
                Supposition::Lost(machine) => format!("lost {machine}"),
                Supposition::Draining(machine) => format!("draining {machine}"),
                Supposition::Metadata { machine, key, value } => format!("metadata {machine} {key} {value:?}"),
            });
        }
        for Fate { unit, kind, from, to, .. } in &self.fates {
            line(format!("fate {unit} {kind:?} {from:?} {to:?}"));
        }
        let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        digits[..TOKEN_LENGTH].to_owned()
    }
}

impl Cluster {
    /// What would come of a change, all of it made at once. Nothing of this cluster changes.
    #[must_use]
    pub fn what_if(&self, change: &[Supposition]) -> Forecast {
        let mut cluster = self.clone();
        // What is under way is none of the change's doing.
        cluster.settle(|_| {});
        let before = cluster.all_places();
        let mut asked = BTreeSet::new();
        for supposed in change {
            if let Supposition::Unit { name, .. } = supposed {
                asked.insert(name.clone());
            }
            cluster.suppose(supposed);
        }
        let mut reasons: BTreeMap<UnitName, (Vec<(MachineId, Departure)>, Outcome)> = BTreeMap::new();
        cluster.settle(|decision| {
            let told = reasons.entry(decision.unit).or_insert_with(|| (Vec::new(), Outcome::Withdrawn));
            told.0.extend(decision.left);
            told.1 = decision.outcome;
        });
        let after = cluster.all_places();
        let touched: BTreeSet<&UnitName> = before.keys().chain(after.keys()).chain(&asked).collect();
        let none = BTreeSet::new();
        let mut fates = Vec::new();
        for name in touched {
            let (old, new) = (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
            let is_asked = asked.contains(name);
            if old == new && !is_asked {
                continue;
            }
            let (left, last) = reasons.remove(name).unwrap_or_else(|| (Vec::new(), Outcome::Withdrawn));
            let known = cluster.units.find(name.as_str()).map(|unit| &cluster.units[unit]);
            let outcome = known.map_or(last, |unit| unit.outcome.clone());
            let kind = match (old.is_empty(), new.is_empty()) {
                (_, true) if outcome == Outcome::Withdrawn => FateKind::Withdrawn,
                (true, true) => FateKind::Unplaced,
                (false, true) => FateKind::Displaced,
                _ if known.is_some_and(|unit| unit.is_global()) && old != new => FateKind::Spread,
                (true, false) => FateKind::Placed,
                (false, false) if old == new => FateKind::Stays,
                (false, false) => FateKind::Moved,
            };
            let ids = |machines: &mut dyn Iterator<Item = &MachineIx>| -> Vec<MachineId> {
                let mut ids: Vec<MachineId> = machines.map(|&at| cluster.machines[at].facts.id.clone()).collect();
                ids.sort();
                ids
            };
            let from = ids(&mut old.difference(new));
            let to = if old == new { ids(&mut new.iter()) } else { ids(&mut new.difference(old)) };
            let departure = left.into_iter().find(|(machine, _)| from.contains(machine)).map(|(_, why)| why);
            // It is not taken off a lost machine as long as no other can take it.
            let lost = || old.difference(new).any(|&at| cluster.machines[at].facts.presence == Presence::Gone);
            let departure = departure.or_else(|| lost().then_some(Departure::Lost));
            fates.push(Fate { unit: name.clone(), kind, from, to, departure, outcome });
        }
        Forecast { fates, brake: self.brake_would_hold(change) }
    }

    /// Makes the change.
    pub(super) fn suppose(&mut self, supposed: &Supposition) {
        let machine = match supposed {
            Supposition::Unit { name, spec } => return self.set_unit(name, spec.clone()),
            Supposition::Lost(machine) | Supposition::Draining(machine) | Supposition::Metadata { machine, .. } => {
                machine
            }
        };
        let Some(found) = self.machines.find(machine.as_str()) else { return };
        let mut facts = self.machines[found].facts.clone();
        match supposed {
            Supposition::Unit { .. } => {}
            Supposition::Lost(_) => {
                // However long that takes: what it may still be stopping has been stopped in the end.
                (facts.presence, facts.unreadable) = (Presence::Gone, false);
                facts.fencing.clear();
            }
            Supposition::Draining(_) => facts.draining = true,
            Supposition::Metadata { key, value, .. } => match value {
                Some(value) => drop(facts.metadata.insert(key.clone(), value.clone())),
                None => drop(facts.metadata.remove(key)),
            },
        }
        self.set_machine(facts);
    }

    /// Decides until nothing is left to decide, where each machine that is present has stopped what it was to stop. Tells
    /// of every decision on the way.
    pub(super) fn settle(&mut self, mut tell: impl FnMut(Decision)) {
        let nothing = BTreeSet::new();
        for _ in 0..MAX_STEPS {
            self.pass().into_iter().for_each(&mut tell);
            self.changed = Marks::default();
            self.relies_on_loss.clear();
            let stopping = self
                .machines
                .iter()
                .filter(|(_, machine)| machine.facts.presence == Presence::Present && !machine.leaving.is_empty());
            let stopping: Vec<(MachineIx, MachineId)> =
                stopping.map(|(machine, entry)| (machine, entry.facts.id.clone())).collect();
            for (machine, id) in stopping {
                self.machines[machine].leaving.values_mut().for_each(|given| *given = Some(0));
                self.acknowledge(&id, u64::MAX, &nothing);
            }
            if !self.is_dirty() {
                break;
            }
        }
    }

    /// Where each unit is that is anywhere. What a lost machine lists is nowhere.
    fn all_places(&self) -> BTreeMap<UnitName, BTreeSet<MachineIx>> {
        let is_there = |machine: &&MachineIx| self.machines[**machine].facts.presence != Presence::Gone;
        let places = self.units.iter().map(|(_, unit)| {
            let places: BTreeSet<MachineIx> = unit.places.iter().filter(is_there).copied().collect();
            (unit.name.clone(), places)
        });
        places.filter(|(_, places)| !places.is_empty()).collect()
    }

    /// Whether so many are lost at once that the brake holds.
    fn brake_would_hold(&self, change: &[Supposition]) -> bool {
        let is_there = |id: &MachineId| {
            let machine = self.machines.find(id.as_str()).map(|machine| &self.machines[machine]);
            machine.is_some_and(|machine| machine.facts.presence == Presence::Present)
        };
        let lost = change.iter().filter_map(|supposed| match supposed {
            Supposition::Lost(machine) => Some(machine),
            _ => None,
        });
        let lost = lost.filter(|id| is_there(id)).collect::<BTreeSet<_>>().len();
        let present = self.machines.iter().filter(|(_, m)| m.facts.presence == Presence::Present).count();
        too_many(lost, present)
    }

    /// A cluster of these units and one machine, with all that is on it: whether that machine can take them hangs on
    /// nothing else. Decides nothing yet.
    pub(super) fn part(&self, machine: MachineIx, members: &[UnitIx]) -> Self {
        let mut part = Self::new();
        let entry = &self.machines[machine];
        part.set_machine(entry.facts.clone());
        for &unit in entry.units.iter().chain(entry.leaving.keys()).chain(members) {
            let unit = &self.units[unit];
            if let Some(spec) = &unit.spec {
                part.set_unit(&unit.name, spec.clone());
            }
        }
        let names = |unit: &UnitIx| &self.units[*unit].name;
        let leaving = entry.leaving.iter().map(|(unit, given)| (names(unit), given.unwrap_or(u64::MAX)));
        part.set_schedule(&entry.facts.id, entry.units.iter().map(names), leaving);
        part
    }
}
