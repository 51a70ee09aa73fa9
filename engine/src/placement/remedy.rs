//! The smallest change that would place a unit that has no machine: each is found by removing, one after the other, what
//! keeps the unit from one machine, and counts only once the unit was placed with it.
//!
//! Whether one machine can take a unit hangs on that machine alone, on what is on it, and on the units that must come
//! with it: so each trial is made on a copy of so much, not of the whole cluster.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use fleet_units::{
    Comparison, DesiredState, MachineId, MetadataConstraints, MetadataPredicate, MetadataTest, Requirements, UnitName,
};

use super::cluster::Cluster;
use super::decision::{Blocker, Outcome};
use super::explain::Verdict;
use super::facts::Presence;
use super::filter::rejection_by_state;
use super::rejection::Rejection;
use super::resources::Resource;
use super::slots::{MachineIx, UnitIx};

/// Machines that are tried among those that reject for one reason.
const MACHINES_A_REASON: usize = 3;

/// Others that wait for a machine, the oldest of them, and might take what is made room for.
const RIVALS: usize = 16;

/// More changes than this at once are no advice.
const MAX_STEPS: usize = 3;

/// A change that would place a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// What to change; all of it is needed.
    pub steps: Vec<Step>,
    /// The machine that could take it then. There may be others.
    pub machine: MachineId,
}

/// A part of such a change, the smaller kinds first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// End a machine's cordon.
    Uncordon(MachineId),
    /// End a machine's drain.
    EndDrain(MachineId),
    /// Start a unit that it must be with.
    Start(UnitName),
    /// Give a machine another value of metadata, or none.
    Metadata {
        /// Which machine.
        machine: MachineId,
        /// The key.
        key: String,
        /// The value.
        value: Option<String>,
    },
    /// Have a unit ask for less.
    Lower {
        /// The unit.
        unit: UnitName,
        /// Of what.
        resource: Resource,
        /// For so much, which is what is free.
        to: u64,
    },
    /// Stop a unit that is in its way, or whose room it needs.
    Stop {
        /// That unit.
        unit: UnitName,
        /// Where it is.
        machine: MachineId,
    },
    /// Take an option out of a unit's file.
    Drop {
        /// The unit.
        unit: UnitName,
        /// The option.
        option: &'static str,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uncordon(machine) => write!(f, "uncordon {}", machine.short()),
            Self::EndDrain(machine) => write!(f, "uncordon {}, which is draining", machine.short()),
            Self::Start(unit) => write!(f, "start {unit}"),
            Self::Metadata { machine, key, value: Some(value) } => {
                write!(f, "set {key}={value} on {}", machine.short())
            }
            Self::Metadata { machine, key, value: None } => write!(f, "remove {key} from {}", machine.short()),
            Self::Lower { unit, resource, to } => {
                write!(f, "lower {}= of {unit} to {}", resource.option(), resource.show(*to))
            }
            Self::Stop { unit, machine } => write!(f, "stop {unit} on {}", machine.short()),
            Self::Drop { unit, option } => write!(f, "take {option}= out of {unit}"),
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.steps.iter().enumerate() {
            let joint = if n == 0 { "" } else { " and " };
            write!(f, "{joint}{step}")?;
        }
        write!(f, ": it would be placed on {}", self.machine.short())
    }
}

impl Step {
    /// How much it asks of people, in no unit: fewer steps go before smaller ones.
    fn size(&self) -> u32 {
        match self {
            Self::Uncordon(_) => 1,
            Self::EndDrain(_) | Self::Start(_) => 2,
            Self::Metadata { .. } | Self::Lower { .. } => 3,
            Self::Stop { .. } => 4,
            Self::Drop { .. } => 5,
        }
    }
}

/// A remedy that works, in the order in which they are preferred.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    count: usize,
    size: u32,
    load: u32,
    machine: MachineId,
    steps: Vec<Step>,
}

impl Cluster {
    /// The smallest change that would place a unit of which this was decided, and of which each machine says this.
    pub(super) fn remedy(&self, unit: UnitIx, outcome: &Outcome, verdicts: &[Verdict]) -> Option<Remedy> {
        if self.units[unit].is_global() {
            return None;
        }
        let (members, given, machines) = match outcome {
            Outcome::Unplaceable { .. } => {
                let members = self.together(unit);
                (members, Vec::new(), self.worth_trying(verdicts))
            }
            Outcome::Waiting { on: Blocker::PeerInactive { peer } } => {
                let mut members = self.together(unit);
                members.extend(self.units.find(peer.as_str()));
                let verdicts: Vec<Verdict> =
                    self.machines.iter().map(|(machine, _)| self.verdict(&members, unit, machine)).collect();
                (members, vec![Step::Start(peer.clone())], self.worth_trying(&verdicts))
            }
            _ => return None,
        };
        let mut best: Option<Found> = None;
        let rivals = self.rivals(&members);
        for machine in machines {
            let mut trial = Trial::new(self, machine, &members, &rivals);
            given.iter().for_each(|step| trial.make(step));
            trial.search(given.clone(), &mut best);
        }
        best.map(|found| Remedy { steps: found.steps, machine: found.machine })
    }

    /// Who might take what is made room for: global units, and the oldest units that wait for a machine as these do.
    fn rivals(&self, members: &[UnitIx]) -> Vec<UnitIx> {
        let waits = |unit: &UnitIx| {
            let entry = &self.units[*unit];
            entry.places.is_empty() && entry.is_placeable() && !members.contains(unit)
        };
        let waiting = self.pending.iter().copied().filter(waits);
        let mut rivals = self.in_order(waiting);
        rivals.truncate(RIVALS);
        rivals.extend(self.globals.iter().copied());
        rivals
    }

    /// For each reason for which machines reject, the least loaded of them. `verdicts` has all machines by id.
    fn worth_trying(&self, verdicts: &[Verdict]) -> Vec<MachineIx> {
        let mut reasons: Vec<&Verdict> = Vec::new();
        let mut alike: Vec<BTreeSet<(bool, u32, &MachineId, MachineIx)>> = Vec::new();
        for ((machine, entry), verdict) in self.machines.iter().zip(verdicts) {
            if entry.facts.presence != Presence::Present {
                continue;
            }
            let at = reasons.iter().position(|first| first.says_the_same(verdict)).unwrap_or_else(|| {
                reasons.push(verdict);
                alike.push(BTreeSet::new());
                alike.len() - 1
            });
            alike[at].insert((rejection_by_state(entry).is_some(), entry.load(), &entry.facts.id, machine));
            if alike[at].len() > MACHINES_A_REASON {
                alike[at].pop_last();
            }
        }
        alike.into_iter().flatten().map(|(.., machine)| machine).collect()
    }
}

/// One machine and the units that are to go there.
#[derive(Clone)]
struct Trial {
    cluster: Cluster,
    machine: MachineId,
    load: u32,
    members: Vec<UnitName>,
}

impl Trial {
    fn new(cluster: &Cluster, machine: MachineIx, members: &[UnitIx], rivals: &[UnitIx]) -> Self {
        let entry = &cluster.machines[machine];
        let all: Vec<UnitIx> = members.iter().chain(rivals).copied().collect();
        Self {
            cluster: cluster.part(machine, &all),
            machine: entry.facts.id.clone(),
            load: entry.load(),
            members: members.iter().map(|&unit| cluster.units[unit].name.clone()).collect(),
        }
    }

    /// Removes what is in the way, each thing in each way, until nothing is, and keeps the best way that works.
    fn search(&self, steps: Vec<Step>, best: &mut Option<Found>) {
        let Some(machine) = self.cluster.machines.find(self.machine.as_str()) else { return };
        let members: Vec<UnitIx> =
            self.members.iter().filter_map(|name| self.cluster.units.find(name.as_str())).collect();
        let found = |steps: Vec<Step>| Found {
            count: steps.len(),
            size: steps.iter().map(Step::size).sum(),
            load: self.load,
            machine: self.machine.clone(),
            steps,
        };
        let Some((rejection, whose)) = self.cluster.rejection_of(&members, machine) else {
            let found = found(steps);
            if found.count > 0 && best.as_ref().is_none_or(|best| found < *best) && self.places(&found.steps) {
                *best = Some(found);
            }
            return;
        };
        if steps.len() >= MAX_STEPS || best.as_ref().is_some_and(|best| best.count <= steps.len()) {
            return;
        }
        for step in self.ways(&rejection, whose) {
            let mut next = self.clone();
            next.make(&step);
            let steps = steps.iter().cloned().chain([step]).collect();
            next.search(steps, best);
        }
    }

    /// What would remove a reason to reject.
    fn ways(&self, rejection: &Rejection, whose: UnitIx) -> Vec<Step> {
        let machine = self.machine.clone();
        let whose = &self.cluster.units[whose];
        let drop = |option| Step::Drop { unit: whose.name.clone(), option };
        let conflicts = whose.requirements().is_some_and(|wanted| !wanted.conflicts.is_empty());
        match rejection {
            Rejection::Cordoned => vec![Step::Uncordon(machine)],
            Rejection::Draining => vec![Step::EndDrain(machine)],
            Rejection::Metadata { unmet } => {
                let key = unmet.key.clone();
                let set = fitting(unmet).map(|value| Step::Metadata { machine, key, value });
                set.into_iter().chain([drop("MachineMetadata")]).collect()
            }
            Rejection::OtherMachine { .. } => vec![drop("MachineID")],
            Rejection::Conflict { with } => {
                let stop = Step::Stop { unit: with.clone(), machine };
                [stop].into_iter().chain(conflicts.then(|| drop("Conflicts"))).collect()
            }
            Rejection::Resources { resource, free, asked, together } => {
                self.ways_to_room(*resource, *free, *asked, *together, &whose.name)
            }
            Rejection::MaxPerMachine { group, .. } => {
                let stop = self.youngest_there(|unit| {
                    let wanted = unit.requirements();
                    wanted.is_some_and(|wanted| wanted.group(&unit.name).as_deref() == Some(&**group))
                });
                let limits = whose.requirements().is_some_and(|wanted| wanted.max_per_machine.is_some());
                stop.into_iter().chain(limits.then(|| drop("MaxPerMachine"))).collect()
            }
            Rejection::Replaced { by } => vec![Step::Stop { unit: by.clone(), machine }],
            Rejection::GroupElsewhere { .. } | Rejection::PeerNotHere { .. } => vec![drop("MachineOf")],
            Rejection::StillStopping { .. }
            | Rejection::StillUsed { .. }
            | Rejection::Kept { .. }
            | Rejection::Absent
            | Rejection::Unreadable
            | Rejection::CatchingUp
            | Rejection::Full
            | Rejection::Failed
            | Rejection::AskedAway => Vec::new(),
        }
    }

    /// What would make room: that the unit asks for no more than there is, or that another leaves.
    fn ways_to_room(
        &self,
        resource: Resource,
        free: Option<u64>,
        asked: u64,
        together: bool,
        whose: &UnitName,
    ) -> Vec<Step> {
        let Some(free) = free else { return vec![Step::Drop { unit: whose.clone(), option: resource.option() }] };
        let lower = (!together && free > 0).then(|| Step::Lower { unit: whose.clone(), resource, to: free });
        // The smallest one whose room is enough, or else the one with the most.
        let missing = asked.saturating_sub(free);
        let used = |unit: &super::unit::Unit| unit.requirements().map_or(0, |wanted| resource.asked(wanted));
        let enough =
            self.there().filter(|unit| used(unit) >= missing).min_by_key(|unit| (used(unit), unit.name.clone()));
        let most = || self.there().filter(|unit| used(unit) > 0).max_by_key(|unit| (used(unit), unit.name.clone()));
        let stop =
            enough.or_else(most).map(|unit| Step::Stop { unit: unit.name.clone(), machine: self.machine.clone() });
        lower.into_iter().chain(stop).collect()
    }

    /// The units that the machine lists, but for those that are to be placed.
    fn there(&self) -> impl Iterator<Item = &super::unit::Unit> {
        let machine = self.cluster.machines.find(self.machine.as_str()).map(|machine| &self.cluster.machines[machine]);
        let units = machine.into_iter().flat_map(|machine| &machine.units).map(|&unit| &self.cluster.units[unit]);
        units.filter(|unit| !self.members.contains(&unit.name))
    }

    /// The unit of some that came last.
    fn youngest_there(&self, is_one: impl Fn(&super::unit::Unit) -> bool) -> Option<Step> {
        let uid = |unit: &super::unit::Unit| unit.spec.as_ref().map_or(0, |spec| spec.uid);
        let youngest = self.there().filter(|unit| is_one(unit)).max_by_key(|unit| (uid(unit), unit.name.clone()))?;
        Some(Step::Stop { unit: youngest.name.clone(), machine: self.machine.clone() })
    }

    /// Makes a change.
    fn make(&mut self, step: &Step) {
        match step {
            Step::Uncordon(_) => self.change_machine(|facts| facts.cordoned = false),
            Step::EndDrain(_) => self.change_machine(|facts| (facts.draining, facts.cordoned) = (false, false)),
            Step::Metadata { key, value, .. } => self.change_machine(|facts| match value {
                Some(value) => drop(facts.metadata.insert(key.clone(), value.clone())),
                None => drop(facts.metadata.remove(key)),
            }),
            Step::Start(unit) => self.desire(unit, DesiredState::Launched),
            Step::Stop { unit, .. } => self.desire(unit, DesiredState::Inactive),
            Step::Lower { unit, resource, to } => self.change_unit(unit, |wanted| match resource {
                Resource::Memory => wanted.memory = Some(*to),
                Resource::Cpu => wanted.cpu_millis = Some(*to),
            }),
            Step::Drop { unit, option } => self.change_unit(unit, |wanted| match *option {
                "MachineID" => wanted.machine_id = None,
                "MachineMetadata" => wanted.metadata = MetadataConstraints::default(),
                "MachineOf" => wanted.machine_of.clear(),
                "MaxPerMachine" => wanted.max_per_machine = None,
                "Memory" => wanted.memory = None,
                "CPU" => wanted.cpu_millis = None,
                _ => wanted.conflicts.clear(),
            }),
        }
    }

    fn change_machine(&mut self, change: impl FnOnce(&mut super::MachineFacts)) {
        let Some(machine) = self.cluster.machines.find(self.machine.as_str()) else { return };
        let mut facts = self.cluster.machines[machine].facts.clone();
        change(&mut facts);
        self.cluster.set_machine(facts);
    }

    /// A unit that is stopped is gone at once.
    fn desire(&mut self, name: &UnitName, desired: DesiredState) {
        let Some(unit) = self.cluster.units.find(name.as_str()) else { return };
        let Some(mut spec) = self.cluster.units[unit].spec.clone() else { return };
        spec.desired = desired;
        self.cluster.set_unit(name, spec);
        if desired == DesiredState::Inactive {
            let places: Vec<MachineIx> = self.cluster.units[unit].places.iter().copied().collect();
            places.into_iter().for_each(|machine| self.cluster.unlist(unit, machine));
        }
    }

    fn change_unit(&mut self, name: &UnitName, change: impl FnOnce(&mut Requirements)) {
        let Some(unit) = self.cluster.units.find(name.as_str()) else { return };
        let Some(mut spec) = self.cluster.units[unit].spec.clone() else { return };
        if let Ok(wanted) = &mut spec.requirements {
            change(Arc::make_mut(wanted));
        }
        self.cluster.set_unit(name, spec);
    }

    /// Whether all of them are placed there, and whoever is there and is not to be stopped stays.
    fn places(&self, steps: &[Step]) -> bool {
        let mut cluster = self.cluster.clone();
        let listed = |cluster: &Cluster| -> BTreeSet<UnitName> {
            let machine = cluster.machines.find(self.machine.as_str()).map(|machine| &cluster.machines[machine]);
            let units = machine.into_iter().flat_map(|machine| &machine.units);
            units.map(|&unit| cluster.units[unit].name.clone()).collect()
        };
        let stopped =
            |name: &UnitName| steps.iter().any(|step| matches!(step, Step::Stop { unit, .. } if unit == name));
        let before: BTreeSet<UnitName> = listed(&cluster).into_iter().filter(|name| !stopped(name)).collect();
        cluster.settle(|_| {});
        let after = listed(&cluster);
        self.members.iter().all(|name| after.contains(name)) && before.is_subset(&after)
    }
}

/// A value that meets a demand, where one can be named; none for no value at all.
fn fitting(unmet: &MetadataPredicate) -> Option<Option<String>> {
    match &unmet.test {
        MetadataTest::In(values) => values.fixed.first().cloned().map(Some),
        MetadataTest::NotIn(_) => Some(None),
        MetadataTest::Compare(Comparison::AtLeast | Comparison::AtMost, limit) => Some(Some(limit.to_string())),
        MetadataTest::Compare(..) => None,
    }
}
