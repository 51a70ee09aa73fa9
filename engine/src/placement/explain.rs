//! Every machine's verdict on a unit, by the code that decides.

use std::collections::{BTreeMap, BTreeSet};

use fleet_units::{MachineId, UnitName};

use super::choice::Choice;
use super::cluster::Cluster;
use super::decision::Outcome;
use super::facts::Presence;
use super::hold::Hold;
use super::rejection::Rejection;
use super::slots::{MachineIx, UnitIx};

/// What each machine would answer about a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was decided.
    pub outcome: Outcome,
    /// Why it is not started where it is.
    pub held: Option<Hold>,
    /// Where it is.
    pub places: Vec<MachineId>,
    /// Where it would be placed if it, and all that is there with it by `MachineOf=`, had no machine yet, and why. None
    /// for a unit that is nowhere, or global.
    pub anew: Option<(MachineId, Choice)>,
    /// Each machine that is known, by id.
    pub verdicts: Vec<Verdict>,
}

/// What one machine answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which.
    pub machine: MachineId,
    /// How many units it has.
    pub load: u32,
    /// The first filter that rejects; none where the machine has the unit and keeps it, or could take it.
    pub rejection: Option<Rejection>,
    /// Whose requirement rejects, where that is another unit, which must be with this one.
    pub member: Option<UnitName>,
}

/// Machines that reject for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alike {
    /// The reason, as the first of them has it.
    pub example: Rejection,
    /// Whose requirement it is, where that is another unit of the group.
    pub member: Option<UnitName>,
    /// Which, by id.
    pub machines: Vec<MachineId>,
}

impl Alike {
    /// The reason in words that follow "1 machine" or "3 machines".
    #[must_use]
    pub fn reason(&self) -> String {
        let words = if self.machines.len() == 1 { self.example.to_string() } else { self.example.plural() };
        match &self.member {
            Some(member) => format!("{words} (for {member}, which must be with it)"),
            None => words,
        }
    }
}

impl Explanation {
    /// The machines that reject it, by reason: the most frequent first.
    #[must_use]
    pub fn rejecting(&self) -> Vec<Alike> {
        let mut by_class: BTreeMap<_, Alike> = BTreeMap::new();
        for verdict in &self.verdicts {
            let Some(example) = &verdict.rejection else { continue };
            let member = verdict.member.clone();
            let fresh = || Alike { example: example.clone(), member: member.clone(), machines: Vec::new() };
            let alike = by_class.entry((example.class(), member.clone())).or_insert_with(fresh);
            alike.machines.push(verdict.machine.clone());
            alike.example.merge(example.clone());
        }
        let mut reasons: Vec<Alike> = by_class.into_values().collect();
        reasons.sort_by_key(|alike| std::cmp::Reverse(alike.machines.len()));
        reasons
    }

    /// The machines that could take it and do not have it, the least loaded first.
    #[must_use]
    pub fn able(&self) -> Vec<&Verdict> {
        let able = |verdict: &&Verdict| verdict.rejection.is_none() && !self.places.contains(&verdict.machine);
        let mut able: Vec<&Verdict> = self.verdicts.iter().filter(able).collect();
        able.sort_by_key(|verdict| (verdict.load, &verdict.machine));
        able
    }
}

impl Cluster {
    /// Explains a unit; none if there is no such unit.
    #[must_use]
    pub fn explain(&self, name: &UnitName) -> Option<Explanation> {
        let unit = self.units.find(name.as_str())?;
        self.units[unit].spec.as_ref()?;
        let together = self.together(unit);
        let verdicts = self.machines.iter().map(|(machine, entry)| {
            let (rejection, member) = if entry.facts.presence != Presence::Present {
                (Some(entry.facts.absence()), None)
            } else if entry.units.contains(&unit) {
                (self.rejection_kept(unit, machine), None)
            } else if let Some((rejection, whose)) = self.rejection_of(&together, machine) {
                let member = (whose != unit && !rejection.is_joint()).then(|| self.units[whose].name.clone());
                (Some(rejection), member)
            } else {
                (self.rejection_by_group(unit, machine), None)
            };
            Verdict { machine: entry.facts.id.clone(), load: entry.load(), rejection, member }
        });
        let verdicts = verdicts.collect();
        let outcome = self.units[unit].outcome.clone();
        let held = self.units[unit].hold.clone();
        Some(Explanation { outcome, held, places: self.places(name), anew: self.anew(unit), verdicts })
    }

    /// Explains a unit of a cluster that was only just told of, so that nothing is decided yet: what is decided about the
    /// unit now is found out too, as though nothing but the unit had changed.
    #[must_use]
    pub fn explain_undecided(mut self, name: &UnitName) -> Option<Explanation> {
        self.recall_claims();
        let mut explanation = self.explain(name)?;
        let unit = self.units.find(name.as_str())?;
        self.dirty = BTreeSet::from([unit]);
        self.dirty_globals.clear();
        self.pass();
        explanation.outcome = self.units[unit].outcome.clone();
        explanation.held = self.units[unit].hold.clone();
        Some(explanation)
    }

    /// The units that are given a machine with this one, itself included: those without one that `MachineOf=` ties to it.
    pub(super) fn together(&self, unit: UnitIx) -> Vec<UnitIx> {
        let mut group = self.group_of(unit);
        if group.iter().any(|member| !self.units[*member].places.is_empty()) {
            return vec![unit];
        }
        let blocked = self.blocked(&group);
        group.retain(|member| !blocked.contains_key(member));
        let own = self.parts(group).into_iter().find(|part| part.contains(&unit));
        own.unwrap_or_else(|| vec![unit])
    }

    /// Where a unit that has a machine would be placed if it had none.
    fn anew(&self, unit: UnitIx) -> Option<(MachineId, Choice)> {
        let here = self.units[unit].places.first().filter(|_| self.units[unit].is_placeable())?;
        let mut group = self.group_of(unit);
        group.retain(|member| self.units[*member].places.contains(here));
        let mut bare = self.clone();
        for &member in &group {
            bare.unlist(member, *here);
        }
        let (machine, why) = bare.find_machine(&group)?;
        Some((bare.machines[machine].facts.id.clone(), why))
    }

    /// A unit that `MachineOf=` names and that is elsewhere.
    fn rejection_by_group(&self, unit: UnitIx, machine: MachineIx) -> Option<Rejection> {
        self.peers(unit).find_map(|peer| {
            let entry = &self.units[peer];
            let elsewhere = entry.places.iter().find(|at| **at != machine)?;
            let machine = self.machines[*elsewhere].facts.id.clone();
            (!entry.is_global()).then(|| Rejection::GroupElsewhere { peer: entry.name.clone(), machine })
        })
    }
}
