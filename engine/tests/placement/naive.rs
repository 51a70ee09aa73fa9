//! The rules, checked by brute force and without a look at the engine's code.

use std::collections::BTreeSet;

use fleet_engine::placement::{MachineFacts, Presence};
use fleet_units::{
    Comparison, DesiredState, MachineId, MetadataPredicate, MetadataTest, MetadataValues, Peer, UnitName,
};

use crate::model::Model;

/// What `MachineMetadata=` asks, told again in other words.
fn meets(demand: &MetadataPredicate, facts: &MachineFacts) -> bool {
    let value = facts.metadata.get(&demand.key);
    let named = |values: &MetadataValues| {
        let mut all: BTreeSet<String> = values.fixed.clone();
        let replaced = |text: &String| text.replace("%H", &facts.hostname).replace("%m", facts.id.as_str());
        all.extend(values.of_machine.iter().map(replaced));
        value.is_some_and(|value| all.contains(value))
    };
    match &demand.test {
        MetadataTest::In(values) => named(values),
        MetadataTest::NotIn(values) => !named(values),
        MetadataTest::Compare(comparison, limit) => {
            let limit: f64 = limit.to_string().parse().expect("a number");
            value.and_then(|value| value.parse::<f64>().ok()).is_some_and(|value| match comparison {
                Comparison::AtLeast => value >= limit,
                Comparison::AtMost => value <= limit,
                Comparison::Above => value > limit,
                Comparison::Below => value < limit,
            })
        }
    }
}

impl Model {
    pub(crate) fn wanted(&self, name: &UnitName) -> bool {
        self.units.get(name).is_some_and(|unit| unit.desired > DesiredState::Inactive) && !name.is_template()
    }

    pub(crate) fn global(&self, name: &UnitName) -> bool {
        self.units.get(name).is_some_and(|unit| unit.requirements.global)
    }

    pub(crate) fn conflict(&self, a: &UnitName, b: &UnitName) -> bool {
        let one_way = |a: &UnitName, b: &UnitName| {
            let unit = self.units.get(a);
            unit.is_some_and(|unit| unit.requirements.conflicts.iter().any(|glob| glob.matches(b.as_str())))
        };
        a != b && (one_way(a, b) || one_way(b, a))
    }

    fn names_in_replaces(&self, a: &UnitName, b: &UnitName) -> bool {
        let unit = self.units.get(a);
        unit.is_some_and(|unit| unit.requirements.replaces.iter().any(|glob| glob.matches(b.as_str())))
    }

    /// Whether `a` drives `b` away: units that replace each other in a circle do not.
    pub(crate) fn drives_away(&self, a: &UnitName, b: &UnitName) -> bool {
        if a == b || self.global(b) || !self.names_in_replaces(a, b) {
            return false;
        }
        let mut reached = BTreeSet::from([b.clone()]);
        loop {
            let before = reached.len();
            for from in reached.clone() {
                reached.extend(self.units.keys().filter(|to| self.names_in_replaces(&from, to)).cloned());
            }
            if reached.len() == before {
                return !reached.contains(a);
            }
        }
    }

    /// What the unit itself asks of a machine.
    pub(crate) fn suits(&self, name: &UnitName, id: &MachineId) -> bool {
        let (wanted, facts) = (&self.units[name].requirements, &self.machines[id]);
        wanted.machine_id.as_ref().is_none_or(|wanted| facts.id.matches(wanted))
            && wanted.metadata.iter().all(|demand| meets(demand, facts))
    }

    pub(crate) fn is_open(&self, id: &MachineId) -> bool {
        let facts = &self.machines[id];
        facts.presence == Presence::Present && !facts.catching_up && !facts.cordoned && !facts.draining
    }

    /// Whether a machine could be given these units, which are on none.
    pub(crate) fn could_take(&self, names: &[UnitName], id: &MachineId) -> bool {
        let written = &self.written[id];
        self.is_open(id)
            && self.has_room(names, id)
            && names.iter().all(|name| !self.is_kept_from(name, id))
            && names.iter().all(|name| {
                let occupants = written.units.keys().chain(written.leaving.keys());
                self.suits(name, id)
                    && occupants.clone().all(|other| !self.conflict(name, other))
                    && written.units.keys().all(|other| !self.drives_away(other, name))
                    && names.iter().all(|other| !self.conflict(name, other))
                    && !self.has_nobody_to_be_with(name)
                    && self.in_number(name, &occupants.chain(names).collect())
                    && self
                        .peers(name)
                        .iter()
                        .all(|peer| names.contains(peer) || (self.global(peer) && written.units.contains_key(peer)))
            })
    }

    /// What a unit asks for, memory and processor.
    pub(crate) fn asks(&self, name: &UnitName) -> [u64; 2] {
        let wanted = self.units.get(name).map(|unit| &unit.requirements);
        wanted.map_or([0, 0], |wanted| [wanted.memory.unwrap_or(0), wanted.cpu_millis.unwrap_or(0)])
    }

    /// Whether a machine has what these ask for, beside what it holds and what it is still stopping.
    fn has_room(&self, names: &[UnitName], id: &MachineId) -> bool {
        let (facts, written) = (&self.machines[id], &self.written[id]);
        let all: BTreeSet<&UnitName> = written.units.keys().chain(written.leaving.keys()).chain(names).collect();
        [facts.capacity.memory, facts.capacity.cpu_millis].into_iter().enumerate().all(|(n, capacity)| {
            let asked = names.iter().any(|name| self.asks(name)[n] > 0);
            let sum: u64 = all.iter().map(|name| self.asks(name)[n]).sum();
            !asked || capacity.is_some_and(|capacity| sum <= capacity)
        })
    }

    /// The group of a unit by `MaxPerMachine=`, `SpreadBy=`, and `SpreadGroup=`.
    fn group(&self, name: &UnitName) -> Option<String> {
        let wanted = &self.units.get(name)?.requirements;
        let of_template = || match name.as_str().split_once('@') {
            Some((prefix, rest)) => format!("{prefix}@{}", &rest[rest.rfind('.').expect("a type")..]),
            None => name.to_string(),
        };
        let asks = wanted.max_per_machine.is_some() || wanted.spread_by.is_some();
        wanted.spread_group.clone().or_else(|| asks.then(of_template))
    }

    /// Whether a unit can be among these by the numbers that it and they allow.
    pub(crate) fn in_number(&self, name: &UnitName, among: &BTreeSet<&UnitName>) -> bool {
        let Some(group) = self.group(name) else { return true };
        let alike: Vec<_> = among.iter().filter(|other| self.group(other).as_ref() == Some(&group)).collect();
        let limits = alike.iter().filter_map(|other| self.units[**other].requirements.max_per_machine);
        limits.min().is_none_or(|limit| alike.len() <= limit as usize)
    }

    /// Whether only its own demands decide where a unit goes that is nowhere: nothing ties it to others, it failed nowhere,
    /// and no machine may still have it.
    pub(crate) fn is_free(&self, name: &UnitName) -> bool {
        let alone = self.tied(name).len() == 1 && self.peers(name).is_empty() && !self.global(name);
        let found = self.found.get(name).is_some_and(|found| !found.is_empty());
        alone && !found && !self.failures.contains_key(name) && !self.may_run_somewhere(name)
    }

    /// How well a machine suits a unit that nothing ties to others: the lowest is to be taken.
    pub(crate) fn score(&self, name: &UnitName, id: &MachineId) -> impl Ord + use<> {
        let (wanted, facts) = (&self.units[name].requirements, &self.machines[id]);
        let spread = wanted.spread_by.as_ref().map(|key| {
            let Some(value) = facts.metadata.get(key) else { return usize::MAX };
            let alike = self.machines.values().filter(|other| other.metadata.get(key) == Some(value));
            let alike = alike.filter(|other| other.presence != Presence::Gone);
            let listed = alike.flat_map(|other| self.written[&other.id].units.keys());
            listed.filter(|other| self.group(other) == self.group(name)).count()
        });
        let unmet = wanted.prefer.iter().filter(|demand| !meets(demand, facts)).count();
        let units = &self.written[id].units;
        let share = [facts.capacity.memory, facts.capacity.cpu_millis].into_iter().enumerate().map(|(n, capacity)| {
            let used: u64 = units.keys().map(|name| self.asks(name)[n]).sum();
            capacity.map_or(0, |capacity| used * 1_000_000 / capacity)
        });
        let share = if self.asks(name) == [0, 0] { 0 } else { share.max().unwrap_or(0) };
        (spread, unmet, share, units.len(), facts.carries_registry, id.clone())
    }

    /// The units beside which one must be.
    pub(crate) fn peers(&self, name: &UnitName) -> BTreeSet<UnitName> {
        let mut peers = BTreeSet::new();
        for peer in &self.units[name].requirements.machine_of {
            match peer {
                Peer::Unit(unit) => _ = peers.insert(unit.clone()),
                Peer::Pattern(glob) => {
                    let runs = |unit: &&UnitName| glob.matches(unit.as_str()) && self.wanted(unit);
                    peers.extend(self.units.keys().filter(runs).cloned());
                }
            }
        }
        peers.remove(name);
        peers
    }

    /// Whether a pattern of units to be with matches none that is to run, itself included.
    pub(crate) fn has_nobody_to_be_with(&self, name: &UnitName) -> bool {
        self.units[name].requirements.machine_of.iter().any(|peer| match peer {
            Peer::Unit(_) => false,
            Peer::Pattern(glob) => {
                let matches = |unit: &UnitName| glob.matches(unit.as_str()) && self.wanted(unit);
                !matches(name) && !self.units.keys().any(matches)
            }
        })
    }

    /// Whether a unit may still run on some machine.
    pub(crate) fn may_run_somewhere(&self, name: &UnitName) -> bool {
        self.written.iter().any(|(id, written)| {
            !self.is_gone(id) && (written.units.contains_key(name) || written.leaving.contains_key(name))
        })
    }

    /// Units tied to each other by `MachineOf=`, whatever the direction.
    pub(crate) fn tied(&self, name: &UnitName) -> Vec<UnitName> {
        let mut tied = BTreeSet::from([name.clone()]);
        loop {
            let before = tied.len();
            for unit in self.units.keys().filter(|unit| self.wanted(unit) && !self.global(unit)) {
                let peers: Vec<_> = self.peers(unit).into_iter().filter(|peer| !self.global(peer)).collect();
                if tied.contains(unit) {
                    tied.extend(peers);
                } else if peers.iter().any(|peer| tied.contains(peer)) {
                    tied.insert(unit.clone());
                }
            }
            if tied.len() == before {
                return tied.into_iter().collect();
            }
        }
    }

    /// Every hard rule that is broken.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, machines) in self.listed() {
            // One that was global until all its machines were absent stays where it is.
            let judged =
                machines.iter().any(|id| self.machines.get(id).is_none_or(|facts| facts.presence != Presence::Held));
            if machines.len() > 1 && judged && !self.global(&name) {
                found.push(format!("{name} is listed by {machines:?}"));
            }
            for id in &machines {
                if self.is_gone(id) {
                    continue;
                }
                self.violations_at(&name, id, &mut found);
            }
        }
        found
    }

    fn violations_at(&self, name: &UnitName, id: &MachineId, found: &mut Vec<String>) {
        let mut broken = |what: &str| found.push(format!("{name} on {id}: {what}"));
        if !self.wanted(name) {
            return broken("nobody wants it to run");
        }
        let is_new = self.before.get(name).is_none_or(|machines| !machines.contains(id));
        for (other, written) in self.written.iter().filter(|_| is_new) {
            if other != id && !self.is_gone(other) && written.leaving.contains_key(name) && !self.global(name) {
                broken(&format!("{other} has not given it back"));
            }
        }
        if self.machines[id].presence == Presence::Held {
            return;
        }
        if !self.suits(name, id) {
            broken("the machine does not suit it");
        }
        let new_here = |name: &UnitName| self.before.get(name).is_none_or(|machines| !machines.contains(id));
        if new_here(name) && !self.has_room(std::slice::from_ref(name), id) {
            broken("the machine has no room for it");
        }
        if !self.in_number(name, &self.written[id].units.keys().collect()) {
            broken("there are too many of its group");
        }
        if self.machines[id].draining && !self.global(name) {
            broken("the machine drains");
        }
        if self.has_nobody_to_be_with(name) {
            broken("there is nobody to be with");
        }
        for peer in self.peers(name) {
            if self.stays_without(name, &peer) {
                continue;
            }
            // On its way here, but not given back by another machine yet.
            let comes = self.written.values().any(|written| written.leaving.contains_key(&peer));
            if !self.written[id].units.contains_key(&peer) && !comes {
                broken(&format!("{peer} is not here"));
            }
        }
        for other in self.written[id].units.keys() {
            if self.conflict(name, other) {
                broken(&format!("conflicts with {other}"));
            }
            if self.drives_away(other, name) {
                broken(&format!("replaced by {other}"));
            }
        }
    }

    /// Whether a unit may be where another is not that a pattern of it matches: that one has no machine, and must be with
    /// this one in turn.
    fn stays_without(&self, name: &UnitName, peer: &UnitName) -> bool {
        let by_name = self.units[name].requirements.machine_of.iter().any(|named| named.unit() == Some(peer));
        if by_name || !self.wanted(peer) {
            return false;
        }
        let mut led = self.peers(peer);
        loop {
            let before = led.len();
            for next in led.clone() {
                if self.wanted(&next) && !self.global(&next) {
                    led.extend(self.peers(&next));
                }
            }
            if led.len() == before {
                break;
            }
        }
        !self.listed().contains_key(peer) && led.contains(name)
    }

    /// Every unit, or group of units, that has no machine though one could take it.
    pub(crate) fn missed(&self) -> Vec<String> {
        let listed = self.listed();
        let mut found = Vec::new();
        for name in self.units.keys().filter(|name| self.wanted(name)) {
            if self.global(name) {
                let everywhere = self.machines.keys().filter(|id| self.could_take(std::slice::from_ref(name), id));
                let missing = everywhere.filter(|id| !self.written[*id].units.contains_key(name));
                found.extend(missing.map(|id| format!("global {name} is not on {id}")));
                continue;
            }
            let tied = self.tied(name);
            let returns = |id: &MachineId| self.machines.get(id).is_some_and(|facts| facts.catching_up);
            let awaited = |unit: &UnitName| self.found.get(unit).is_some_and(|found| found.iter().any(returns));
            let settled = |unit: &UnitName| {
                !self.wanted(unit) || listed.contains_key(unit) || self.may_run_somewhere(unit) || awaited(unit)
            };
            if tied.iter().any(settled) {
                continue;
            }
            let able = self.machines.keys().filter(|id| self.could_take(&tied, id));
            found.extend(able.map(|id| format!("{tied:?} could be on {id}")));
        }
        found
    }

    /// Whether a unit that nothing ties to others could stay where it is.
    pub(crate) fn could_stay(&self, name: &UnitName, id: &MachineId) -> bool {
        let alone = self.wanted(name)
            && self.tied(name).len() == 1
            && self.peers(name).is_empty()
            && !self.has_nobody_to_be_with(name);
        let undisturbed = self.units.keys().all(|other| !self.drives_away(other, name));
        let mut broken = Vec::new();
        self.violations_at(name, id, &mut broken);
        alone && undisturbed && broken.is_empty() && !(self.leaves(name, id) && self.has_other(name, id))
    }

    /// Whether a unit failed on a machine last, and is to leave it.
    fn leaves(&self, name: &UnitName, id: &MachineId) -> bool {
        self.failures.get(name).is_some_and(|failures| failures.leaves && failures.machines.last() == Some(id))
    }

    /// Whether a machine other than this one could take a unit and all that is tied to it.
    fn has_other(&self, name: &UnitName, id: &MachineId) -> bool {
        let tied = self.tied(name);
        self.machines.keys().any(|other| other != id && self.could_take(&tied, other))
    }

    /// Every unit that is still where it failed though another machine could take it, and every one that went to a
    /// machine where it failed though it had a better one.
    pub(crate) fn misplaced(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, failures) in &self.failures {
            let alone = self.wanted(name) && self.tied(name).len() == 1;
            for id in self.listed().remove(name).into_iter().flatten().filter(|_| alone) {
                if self.machines[&id].presence != Presence::Present {
                    continue;
                }
                if self.leaves(name, &id) && self.has_other(name, &id) {
                    found.push(format!("{name} is still on {id}"));
                }
                let is_new = self.before.get(name).is_none_or(|machines| !machines.contains(&id));
                let fresh = |other: &&MachineId| {
                    !failures.machines.contains(other) && self.could_take(std::slice::from_ref(name), other)
                };
                if is_new && failures.machines.contains(&id) && self.machines.keys().any(|other| fresh(&other)) {
                    found.push(format!("{name} is back on {id}, where it failed"));
                }
            }
        }
        found
    }
}
