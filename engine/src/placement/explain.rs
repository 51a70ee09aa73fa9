//! Every machine's verdict on a unit, by the code that decides.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use fleet_units::{MachineId, UnitName};

use super::choice::Choice;
use super::cluster::Cluster;
use super::decision::{Departure, Outcome};
use super::facts::Presence;
use super::hold::Hold;
use super::marks::Marks;
use super::rejection::Rejection;
use super::remedy::Remedy;
use super::replaces::ReplacesCircle;
use super::slots::{MachineIx, UnitIx};

/// What each machine would answer about a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was decided.
    pub outcome: Outcome,
    /// Why it is not started where it is.
    pub held: Option<Hold>,
    /// Those among whom its `Replaces=` has no effect.
    pub circle: Option<ReplacesCircle>,
    /// Where it is.
    pub places: Vec<MachineId>,
    /// Where it would be placed if it, and all that is there with it by `MachineOf=`, had no machine yet, and why. None
    /// for a unit that is nowhere, or global.
    pub anew: Option<(MachineId, Choice)>,
    /// Each machine that is known, by id.
    pub verdicts: Vec<Verdict>,
    /// The smallest change that would place it, where it has no machine and there is one.
    pub remedy: Option<Remedy>,
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

impl Verdict {
    /// Whether another machine answers alike.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let same = match (&self.rejection, &other.rejection) {
            (Some(this), Some(other)) => this.is_like(other),
            (this, other) => this.is_none() && other.is_none(),
        };
        same && self.member == other.member
    }
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
            Some(member) => format!("{words} (for {member})"),
            None => words,
        }
    }
}

impl Explanation {
    /// What was decided, and what else there is to say of it, in one line.
    #[must_use]
    pub fn reason(&self) -> String {
        let circle = self.circle.as_ref().map_or_else(String::new, |circle| format!("; {circle}"));
        let held = self.held.as_ref().map_or_else(String::new, |held| format!("; {held}"));
        format!("{}{circle}{held}", self.outcome)
    }

    /// The machines that reject it, by reason: the most frequent first.
    #[must_use]
    pub fn rejecting(&self) -> Vec<Alike> {
        let mut reasons: Vec<Alike> = Vec::new();
        for verdict in &self.verdicts {
            let Some(example) = &verdict.rejection else { continue };
            let same = |alike: &&mut Alike| alike.example.is_like(example) && alike.member == verdict.member;
            match reasons.iter_mut().find(same) {
                Some(alike) => {
                    alike.machines.push(verdict.machine.clone());
                    alike.example.merge(example.clone());
                }
                None => reasons.push(Alike {
                    example: example.clone(),
                    member: verdict.member.clone(),
                    machines: vec![verdict.machine.clone()],
                }),
            }
        }
        reasons
            .sort_by_cached_key(|alike| (Reverse(alike.machines.len()), alike.example.class(), alike.member.clone()));
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

/// What a cluster keeps of what is to be done, put aside while something is tried.
#[derive(Debug)]
struct ToDo {
    dirty: Marks<UnitIx>,
    dirty_globals: BTreeSet<(UnitIx, MachineIx)>,
    changed: Marks<MachineIx>,
    relies_on_loss: BTreeMap<MachineIx, BTreeSet<MachineIx>>,
    departures: BTreeMap<UnitIx, Vec<(MachineId, Departure)>>,
    arrivals: BTreeMap<UnitIx, Vec<MachineId>>,
    pending: BTreeSet<UnitIx>,
}

impl Cluster {
    /// Explains a unit; none if there is no such unit. What is tried on the way is undone.
    #[must_use]
    pub fn explain(&mut self, name: &UnitName) -> Option<Explanation> {
        let unit = self.explicable(name)?;
        let mut explanation = self.explained(unit);
        explanation.remedy = self.remedy(unit, &explanation.outcome, &explanation.verdicts);
        Some(explanation)
    }

    /// Explains a unit of a cluster that follows what others decide, so that nothing is decided in it: what is decided
    /// about the unit now is found out too, as though nothing but the unit had changed. Answers the machines whose
    /// schedule is not as it was, which are to be told anew ([`Self::replace_schedule`]).
    #[must_use]
    pub fn explain_in_place(&mut self, name: &UnitName) -> Option<(Explanation, BTreeSet<MachineId>)> {
        let unit = self.explicable(name)?;
        if !self.is_plain(unit) {
            // What is decided about one unit counts for others then: that is tried on a copy.
            let mut copy = self.clone();
            copy.recall_claims();
            let mut explanation = copy.explained(unit);
            copy.dirty = Marks::from_iter([unit]);
            copy.dirty_globals.clear();
            copy.pass();
            explanation.outcome = copy.units[unit].outcome.clone();
            explanation.held = copy.units[unit].rare.hold.clone();
            explanation.remedy = copy.remedy(unit, &explanation.outcome, &explanation.verdicts);
            return Some((explanation, BTreeSet::new()));
        }
        let mut explanation = self.explained(unit);
        let to_do = self.put_aside();
        self.dirty.insert(unit);
        let decided: Vec<UnitName> = self.pass().into_iter().map(|decision| decision.unit).collect();
        explanation.outcome = self.units[unit].outcome.clone();
        explanation.remedy = self.remedy(unit, &explanation.outcome, &explanation.verdicts);
        let disturbed = self.changed.iter().map(|machine| self.machines[machine].facts.id.clone()).collect();
        for name in decided {
            if let Some(unit) = self.units.find(name.as_str()) {
                self.units[unit].outcome = Outcome::Withdrawn;
            }
        }
        self.put_back(to_do);
        Some((explanation, disturbed))
    }

    /// Whether nobody's start waits for another, and no unit without a machine, nor this one, may displace others.
    fn is_plain(&self, unit: UnitIx) -> bool {
        self.units.iter().all(|(other, entry)| {
            let ordered =
                entry.requirements().is_some_and(|wanted| !wanted.after.is_empty() || !wanted.requires.is_empty());
            let moves = other == unit || entry.is_placeable() && entry.places.is_empty();
            !(ordered || moves && self.may_displace(other))
        })
    }

    fn explicable(&self, name: &UnitName) -> Option<UnitIx> {
        let unit = self.units.find(name.as_str())?;
        self.units[unit].spec.is_some().then_some(unit)
    }

    /// All but what would help.
    fn explained(&mut self, unit: UnitIx) -> Explanation {
        let together = self.together(unit);
        let verdicts = self.machines.iter().map(|(machine, _)| self.verdict(&together, unit, machine)).collect();
        let entry = &self.units[unit];
        let (outcome, held, places) = (entry.outcome.clone(), entry.rare.hold.clone(), self.places(&entry.name));
        let circle = self.replaces_circle(unit);
        Explanation { outcome, held, circle, places, anew: self.anew(unit), verdicts, remedy: None }
    }

    /// What a machine answers about a unit that comes together with these, itself included.
    pub(super) fn verdict(&self, together: &[UnitIx], unit: UnitIx, machine: MachineIx) -> Verdict {
        let entry = &self.machines[machine];
        let (rejection, member) = if entry.facts.presence != Presence::Present {
            (Some(entry.facts.absence()), None)
        } else if entry.units.contains(&unit) {
            (self.rejection_kept(unit, machine), None)
        } else if let Some((rejection, whose)) = self.rejection_of(together, machine) {
            let member = (whose != unit && !rejection.is_joint()).then(|| self.units[whose].name.clone());
            (Some(rejection), member)
        } else {
            (self.rejection_by_group(unit, machine), None)
        };
        Verdict { machine: entry.facts.id.clone(), load: entry.load(), rejection, member }
    }

    fn put_aside(&mut self) -> ToDo {
        ToDo {
            dirty: std::mem::take(&mut self.dirty),
            dirty_globals: std::mem::take(&mut self.dirty_globals),
            changed: std::mem::take(&mut self.changed),
            relies_on_loss: std::mem::take(&mut self.relies_on_loss),
            departures: std::mem::take(&mut self.departures),
            arrivals: std::mem::take(&mut self.arrivals),
            pending: self.pending.clone(),
        }
    }

    fn put_back(&mut self, to_do: ToDo) {
        self.dirty = to_do.dirty;
        self.dirty_globals = to_do.dirty_globals;
        self.changed = to_do.changed;
        self.relies_on_loss = to_do.relies_on_loss;
        self.departures = to_do.departures;
        self.arrivals = to_do.arrivals;
        self.pending = to_do.pending;
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
    fn anew(&mut self, unit: UnitIx) -> Option<(MachineId, Choice)> {
        let here = *self.units[unit].places.first().filter(|_| self.units[unit].is_placeable())?;
        let mut group = self.group_of(unit);
        group.retain(|member| self.units[*member].places.contains(&here));
        let (machine, why) = self.placed_anew(&group, here)?;
        Some((self.machines[machine].facts.id.clone(), why))
    }

    /// Where units that are on one machine would be placed if they were on none.
    pub(super) fn placed_anew(&mut self, group: &[UnitIx], here: MachineIx) -> Option<(MachineIx, Choice)> {
        let to_do = self.put_aside();
        for &member in group {
            self.unlist(member, here);
        }
        let found = self.find_machine(group);
        for &member in group {
            self.list(member, here);
        }
        self.put_back(to_do);
        found
    }

    /// A unit that `MachineOf=` names and that is elsewhere.
    pub(super) fn rejection_by_group(&self, unit: UnitIx, machine: MachineIx) -> Option<Rejection> {
        self.peers(unit).find_map(|peer| {
            let entry = &self.units[peer];
            let elsewhere = entry.places.iter().find(|at| **at != machine)?;
            let machine = self.machines[*elsewhere].facts.id.clone();
            (!entry.is_global()).then(|| Rejection::GroupElsewhere { peer: entry.name.clone(), machine })
        })
    }
}
