//! A pass: decides about everything that is dirty, and about what those decisions make dirty in turn.
//!
//! First what must leave its machine leaves, the youngest units first, so that of two that cannot be together the older
//! one stays. Then what has no machine is given one, the oldest first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use fleet_units::UnitName;

use super::choice::Choice;
use super::cluster::{Cluster, MAX_UNITS};
use super::decision::{Blocker, Decision, Departure, Invalid, Outcome};
use super::facts::Presence;
use super::group::Placement;
use super::hold::Hold;
use super::kinds::Homeless;
use super::marks::Marks;
use super::order::Walk;
use super::rejection::{Rejection, Rejections};
use super::slots::{MachineIx, UnitIx};
use super::unit::NameStart;

/// How many times one pass goes over what its own decisions made dirty. What is left then waits for the next pass.
const MAX_ROUNDS: usize = 16;

/// How many more candidates are looked at, after one was found, for the runner-up of the report.
const RUNNER_UP_TRIES: usize = 16;

/// What was said of units before a pass.
#[derive(Default)]
pub(super) struct Before {
    noted: Marks<UnitIx>,
    pub(super) outcomes: Vec<(UnitIx, Outcome)>,
}

impl Before {
    pub(super) fn note(&mut self, unit: UnitIx, outcome: &Outcome) {
        if self.noted.insert(unit) {
            self.outcomes.push((unit, outcome.clone()));
        }
    }
}

impl Cluster {
    /// Decides about all that changed since the last pass, and answers what came of it: one decision a unit, for those
    /// whose place or prospects changed.
    pub fn pass(&mut self) -> Vec<Decision> {
        let mut before = Before::default();
        for _ in 0..MAX_ROUNDS {
            if !self.is_dirty() {
                break;
            }
            let mut todo = Vec::new();
            self.settle_globals(&mut before, &mut todo);
            let dirty = std::mem::take(&mut self.dirty);
            let mut seen = BTreeSet::new();
            for unit in self.in_order(dirty.iter()).into_iter().rev() {
                if seen.contains(&unit) {
                    continue;
                }
                if self.is_loose(unit) {
                    before.note(unit, &self.units[unit].outcome);
                    todo.push(Placement::Together(vec![unit]));
                } else if self.units[unit].is_placeable() {
                    let group = self.group_of(unit);
                    seen.extend(group.iter().copied());
                    for &member in &group {
                        before.note(member, &self.units[member].outcome);
                    }
                    self.settle_group(group, &mut todo);
                } else {
                    seen.insert(unit);
                    before.note(unit, &self.units[unit].outcome);
                    self.settle_other(unit, &mut todo);
                }
            }
            // As a rule they come from the youngest to the oldest.
            todo.reverse();
            let in_order = |a: &Placement, b: &Placement| self.seniority_of(a).cmp(&self.seniority_of(b));
            if !todo.is_sorted_by(|a, b| in_order(a, b).is_le()) {
                todo.sort_by(in_order);
            }
            let mut homeless = Vec::new();
            for placement in todo {
                match placement {
                    Placement::Together(members) => self.place_together(&members, &mut homeless),
                    Placement::Join { unit, machine, peer } => self.join(unit, machine, peer),
                    Placement::Everywhere { unit, machines } => self.place_everywhere(unit, &machines),
                }
            }
            self.conclude_homeless(homeless);
        }
        let mut holds: BTreeMap<UnitIx, Option<Hold>> = BTreeMap::new();
        self.settle_starts(|cluster, unit| {
            let entry = &cluster.units[unit];
            before.note(unit, &entry.outcome);
            holds.entry(unit).or_insert_with(|| entry.rare.hold.clone());
        });
        let circles = self.settle_circles(&mut before);
        self.report(before, &holds, &circles)
    }

    /// A unit that is not to be given one machine: not wanted, global, or not possible as it is written.
    fn settle_other(&mut self, unit: UnitIx, todo: &mut Vec<Placement>) {
        let entry = &self.units[unit];
        if !entry.is_wanted() {
            self.take_off_everywhere(unit, |_| Departure::Withdrawn);
            self.conclude(unit, Outcome::Withdrawn);
        } else if let Some((why, readable)) = entry.spec.as_ref().and_then(|spec| spec.trouble()) {
            // It stays where it is: that its text cannot be read is no reason to stop it.
            let why = if readable { Invalid::Unreadable(why.to_owned()) } else { Invalid::Record(why.to_owned()) };
            self.conclude(unit, Outcome::Invalid { why });
        } else if entry.is_template {
            self.take_off_everywhere(unit, |_| Departure::Invalid(Invalid::Template));
            self.conclude(unit, Outcome::Invalid { why: Invalid::Template });
        } else {
            let machines: Vec<MachineIx> = self.machines.iter().map(|(machine, _)| machine).collect();
            self.settle_global_on(unit, machines, todo);
        }
    }

    /// In which order machines are given: by priority, to global units before others, and then by age.
    fn seniority_of(&self, placement: &Placement) -> (Reverse<i32>, bool, i64, &UnitName) {
        let unit = &self.units[placement.first()];
        let (priority, uid) = unit.seniority();
        (priority, !matches!(placement, Placement::Everywhere { .. }), uid, &unit.name)
    }

    /// Global units on machines where something changed.
    fn settle_globals(&mut self, before: &mut Before, todo: &mut Vec<Placement>) {
        let dirty = std::mem::take(&mut self.dirty_globals);
        let units = self.in_order(dirty.iter().map(|&(unit, _)| unit).collect::<BTreeSet<_>>());
        for unit in units {
            if !self.globals.contains(&unit) || self.units[unit].is_template {
                continue;
            }
            before.note(unit, &self.units[unit].outcome);
            let machines = dirty.iter().filter(|(u, _)| *u == unit).map(|&(_, machine)| machine);
            self.settle_global_on(unit, machines.collect(), todo);
        }
    }

    /// One global unit on these machines: it leaves those that do not suit it any more, and is to be given the others that
    /// do. What an absent machine lists stays as it is.
    fn settle_global_on(&mut self, unit: UnitIx, mut machines: Vec<MachineIx>, todo: &mut Vec<Placement>) {
        machines.retain(|&machine| self.machines[machine].facts.presence == Presence::Present);
        for &machine in &machines {
            let listed = self.units[unit].places.contains(&machine);
            if let Some(why) = listed.then(|| self.rejection_kept(unit, machine)).flatten() {
                self.take_off(unit, machine, Departure::Rejected(why));
            }
        }
        machines.retain(|machine| !self.units[unit].places.contains(machine));
        todo.push(Placement::Everywhere { unit, machines });
    }

    fn place_everywhere(&mut self, unit: UnitIx, machines: &[MachineIx]) {
        for &machine in machines {
            if !self.units[unit].places.contains(&machine) && self.rejection_new(unit, machine).is_none() {
                self.list(unit, machine);
                let id = self.machines[machine].facts.id.clone();
                self.arrivals.entry(unit).or_default().push(id);
            }
        }
        self.conclude_global(unit);
    }

    fn conclude_global(&mut self, unit: UnitIx) {
        let machines = self.units[unit].places.len();
        let outcome = if machines > 0 {
            Outcome::Everywhere { machines }
        } else {
            Outcome::Unplaceable { rejections: self.rejections(&[unit]) }
        };
        self.conclude(unit, outcome);
    }

    /// Puts a unit beside its peer.
    fn join(&mut self, unit: UnitIx, machine: MachineIx, peer: UnitIx) {
        // Others may have been placed there since the group was looked at, or the peer may have had to leave.
        if !self.units[peer].places.contains(&machine) || self.rejection_new(unit, machine).is_some() {
            self.dirty.insert(unit);
            let peer = self.units[peer].name.clone();
            return self.conclude(unit, Outcome::Waiting { on: Blocker::PeerUnplaced { peer } });
        }
        if let Some(on) = self.holder(&[unit], machine) {
            return self.conclude(unit, Outcome::Waiting { on });
        }
        let why = Choice::Beside { peer: self.units[peer].name.clone() };
        self.give(unit, machine);
        let machine = self.machines[machine].facts.id.clone();
        self.conclude(unit, Outcome::Placed { machine, why });
        self.touch_waiting_followers(unit);
    }

    /// Gives one machine to all of these, or to none. In a large cluster, why there is none is found out once all others
    /// are placed.
    fn place_together(&mut self, members: &[UnitIx], homeless: &mut Vec<Vec<UnitIx>>) {
        if let Some(on) = self.awaits_finder(members) {
            return self.conclude_all(members, &Outcome::Waiting { on });
        }
        let returns = self.find_return(members).map(|machine| (machine, Choice::StillThere));
        let adopts = || Some((self.find_finder(members)?, Choice::RunsThere));
        let found = returns.or_else(adopts).or_else(|| self.find_machine(members));
        let Some((machine, why)) = found.or_else(|| self.find_room(members)) else {
            if members.iter().any(|unit| self.may_displace(*unit))
                && let Some(on) = self.awaited(members)
            {
                self.conclude_all(members, &Outcome::Waiting { on });
                return self.claim(members);
            }
            self.pending.extend(members);
            homeless.push(members.to_vec());
            if self.is_small() {
                self.conclude_homeless(std::mem::take(homeless));
            }
            return;
        };
        if let Some(on) = self.holder(members, machine) {
            return self.conclude_all(members, &Outcome::Waiting { on });
        }
        let machine_id = self.machines[machine].facts.id.clone();
        for (n, &unit) in members.iter().enumerate() {
            self.give(unit, machine);
            let why = match n {
                0 => why.clone(),
                _ => Choice::Beside { peer: self.units[members[0]].name.clone() },
            };
            self.conclude(unit, Outcome::Placed { machine: machine_id.clone(), why });
        }
        for &unit in members {
            self.touch_waiting_followers(unit);
        }
    }

    /// Says of units that found no machine why; of those of one kind that come one after the other the same.
    fn conclude_homeless(&mut self, homeless: Vec<Vec<UnitIx>>) {
        let mut last: Option<Homeless> = None;
        for members in homeless {
            let said = last.as_ref().and_then(|last| self.said_of(last, &members));
            let outcome = said.unwrap_or_else(|| self.nowhere(&members));
            self.conclude_all(&members, &outcome);
            self.claim(&members);
            last = Some(Homeless { members, outcome });
        }
    }

    /// The machine that these have not left yet, if it can take them again: whoever is still there need not move.
    fn find_return(&self, members: &[UnitIx]) -> Option<MachineIx> {
        let held = members.iter().flat_map(|&unit| &self.units[unit].leaving).copied();
        let mut held = held.filter(|&at| self.machines[at].facts.presence != Presence::Gone);
        let machine = held.next().filter(|&machine| self.failed_lately(members, machine) == 0)?;
        let only = held.all(|other| other == machine) && self.rejection_of(members, machine).is_none();
        only.then_some(machine)
    }

    /// The machine where units of lower priority have made room for these just now, if there is nothing to wait for.
    fn find_room(&mut self, members: &[UnitIx]) -> Option<(MachineIx, Choice)> {
        let is_somewhere = |unit: &UnitIx| {
            let entry = &self.units[*unit];
            let mut held = entry.places.iter().chain(&entry.leaving);
            held.any(|at| !self.machines[*at].facts.has_lost(&entry.name)) || self.doubtful(*unit).is_some()
        };
        let may = members.iter().any(|unit| self.may_displace(*unit)) && !members.iter().any(is_somewhere);
        if !may || self.awaited(members).is_some() {
            return None;
        }
        let machine = self.make_room(members)?;
        self.rejection_of(members, machine).is_none().then_some((machine, Choice::MadeRoom))
    }

    /// The best machine that can take all of these, and why it is the best.
    pub(super) fn find_machine(&mut self, members: &[UnitIx]) -> Option<(MachineIx, Choice)> {
        if let Some(found) = self.find_after_failures(members) {
            return found;
        }
        let mut walk = self.resume_walk(members);
        let found = self.find_on(&mut walk, members);
        self.tried += walk.steps();
        self.end_walk(walk, members);
        found
    }

    fn find_on(&self, walk: &mut Walk, members: &[UnitIx]) -> Option<(MachineIx, Choice)> {
        let is_ordered = walk.is_ordered();
        let takes = |machine: &MachineIx| match is_ordered {
            true => self.is_able_if_suitable(members, *machine),
            false => self.is_able(members, *machine),
        };
        let best = std::iter::from_fn(|| walk.next(self)).find(takes)?;
        walk.found();
        let after = std::iter::from_fn(|| walk.next(self)).take(RUNNER_UP_TRIES).find(takes);
        if after.is_some() {
            walk.found();
        }
        let why = match after {
            None => Choice::Only,
            Some(next) => self.compare(members, best, next),
        };
        Some((best, why))
    }

    /// Why a machine cannot take all of these, and whose demand it is.
    pub(super) fn rejection_of(&self, members: &[UnitIx], machine: MachineIx) -> Option<(Rejection, UnitIx)> {
        let by_member = members.iter().find_map(|&unit| Some((self.rejection_among(unit, members, machine)?, unit)));
        let together = || {
            let full = self.machines[machine].units.len() + members.len() > MAX_UNITS;
            let room = || if members.len() > 1 { self.rejection_by_room(members, machine) } else { None };
            let rejection = full.then_some(Rejection::Full).or_else(room)?;
            Some((rejection, members[0]))
        };
        by_member.or_else(together)
    }

    /// Why each machine that is present cannot take all of these.
    pub(super) fn rejections(&self, members: &[UnitIx]) -> Rejections {
        let present = self.machines.iter().filter(|(_, machine)| machine.facts.presence == Presence::Present);
        let rejections = Rejections::count(present.filter_map(|(machine, _)| {
            let (rejection, unit) = self.rejection_of(members, machine)?;
            Some(self.answer(members, rejection, unit))
        }));
        self.told_of(members, rejections)
    }

    /// The same with what else there is to say of these.
    fn told_of(&self, members: &[UnitIx], rejections: Rejections) -> Rejections {
        let (displaced_by, together) = (self.displaced_by(members), self.told_together(members));
        Rejections { displaced_by, together, ..rejections }
    }

    pub(super) fn displaced_by(&self, members: &[UnitIx]) -> Option<UnitName> {
        members.first().and_then(|&unit| self.units[unit].rare.displaced_by.clone())
    }

    /// A rejection, and whose requirement it is where that is not everybody's.
    fn answer(&self, members: &[UnitIx], rejection: Rejection, unit: UnitIx) -> (Rejection, Option<UnitName>) {
        let by_one = members.len() > 1 && !rejection.is_joint();
        (rejection, by_one.then(|| self.units[unit].name.clone()))
    }

    /// What these wait for where a machine can take them once something has stopped there, or once it has caught up.
    fn awaited(&self, members: &[UnitIx]) -> Option<Blocker> {
        let changes = self.machines.iter().filter(|(_, entry)| !entry.leaving.is_empty() || entry.facts.catching_up);
        changes.into_iter().find_map(|(at, entry)| {
            let machine = || entry.facts.id.clone();
            match self.rejection_of(members, at)?.0 {
                Rejection::StillStopping { unit } if entry.facts.is_open() => {
                    Some(Blocker::StillStopping { machine: machine(), unit })
                }
                Rejection::StillUsed { unit } if entry.facts.is_open() => {
                    Some(Blocker::StillUsed { machine: machine(), unit })
                }
                Rejection::CatchingUp => Some(Blocker::CatchingUp { machine: machine() }),
                _ => None,
            }
        })
    }

    /// What becomes of units that no machine can take: they wait if that will pass by itself.
    pub(super) fn nowhere(&self, members: &[UnitIx]) -> Outcome {
        if let Some(on) = self.awaited(members) {
            return Outcome::Waiting { on };
        }
        Outcome::Unplaceable { rejections: self.rejections(members) }
    }

    /// A machine other than this one where one of these may still run.
    fn holder(&self, members: &[UnitIx], machine: MachineIx) -> Option<Blocker> {
        members.iter().find_map(|&unit| {
            let entry = &self.units[unit];
            if let Some(machine) = self.doubtful(unit) {
                return Some(Blocker::Unreadable { machine });
            }
            let held = entry.places.iter().chain(&entry.leaving).filter(|&&at| at != machine);
            let mut held: Vec<_> = held
                .filter(|&&at| !self.machines[at].facts.has_lost(&entry.name))
                .map(|&at| &self.machines[at].facts)
                .collect();
            held.sort_by(|a, b| a.id.cmp(&b.id));
            let facts = held.first()?;
            let machine = facts.id.clone();
            Some(match facts.presence {
                Presence::Held | Presence::Gone => facts.blocker(&entry.name),
                Presence::Present => Blocker::GivingBack { unit: entry.name.clone(), machine },
            })
        })
    }

    /// Lists a unit on a machine, and takes it off the lost ones that list it.
    fn give(&mut self, unit: UnitIx, machine: MachineIx) {
        let entry = &self.units[unit];
        let lost: BTreeSet<MachineIx> =
            entry.places.iter().chain(&entry.leaving).copied().filter(|&at| at != machine).collect();
        for &at in &lost {
            self.take_off(unit, at, Departure::Lost);
        }
        if !lost.is_empty() {
            self.relies_on_loss.entry(machine).or_default().extend(lost);
        }
        self.list(unit, machine);
        if let Some(known) = self.units[unit].rare.known() {
            known.displaced_by = None;
        }
    }

    fn conclude_all(&mut self, members: &[UnitIx], outcome: &Outcome) {
        for &unit in members {
            self.conclude(unit, outcome.clone());
        }
    }

    /// Settles what is said of a unit.
    pub(super) fn conclude(&mut self, unit: UnitIx, outcome: Outcome) {
        if outcome.is_pending() {
            self.pending.insert(unit);
        } else {
            self.pending.remove(&unit);
        }
        if matches!(outcome, Outcome::Waiting { .. }) {
            self.waiting.insert(unit);
        } else {
            self.waiting.remove(&unit);
        }
        if !self.units[unit].rare.claims.is_empty() {
            let waits_on = outcome.waits_for_stop_on().and_then(|machine| self.machines.find(machine.as_str()));
            self.drop_claims(unit, waits_on);
        }
        if outcome == Outcome::Withdrawn
            && let Some(known) = self.units[unit].rare.known()
        {
            known.displaced_by = None;
        }
        // Why it was placed there is still why it is there.
        let placed = match (&self.units[unit].outcome, &outcome) {
            (Outcome::Placed { machine: before, .. }, Outcome::Kept { machine }) => before == machine,
            _ => false,
        };
        if !placed {
            self.units[unit].outcome = outcome;
        }
    }

    /// What changed, unit by unit, in the order of their names.
    fn report(
        &mut self,
        before: Before,
        holds: &BTreeMap<UnitIx, Option<Hold>>,
        circles: &BTreeSet<UnitIx>,
    ) -> Vec<Decision> {
        let mut departures = std::mem::take(&mut self.departures);
        let mut arrivals = std::mem::take(&mut self.arrivals);
        let mut decisions = Vec::new();
        let mut outcomes = before.outcomes;
        let name = |unit: UnitIx| &self.units[unit].name;
        let begins = |(at, (unit, _)): (usize, &(UnitIx, Outcome))| (NameStart::of(name(*unit)), *unit, at);
        let mut order: Vec<(NameStart, UnitIx, usize)> = outcomes.iter().enumerate().map(begins).collect();
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| name(a.1).cmp(name(b.1))));
        for (_, unit, at) in order {
            let before = std::mem::replace(&mut outcomes[at].1, Outcome::Withdrawn);
            let entry = &self.units[unit];
            let left = departures.remove(&unit).unwrap_or_default();
            let joined = arrivals.remove(&unit).unwrap_or_default();
            let outcome = entry.outcome.clone();
            let uid = entry.spec.as_ref().map_or(0, |spec| spec.uid);
            let same = before == outcome && holds.get(&unit).is_none_or(|hold| *hold == entry.rare.hold);
            let same = same && !circles.contains(&unit);
            let held = entry.rare.hold.clone();
            let displaced_by = entry.rare.displaced_by.clone();
            let circle = entry.rare.circle.clone();
            if !same || !left.is_empty() || !joined.is_empty() {
                let unit = entry.name.clone();
                decisions.push(Decision { unit, uid, left, joined, outcome, held, displaced_by, circle });
            }
            if entry.spec.is_none() && entry.places.is_empty() && entry.leaving.is_empty() {
                self.forget_unit(unit);
            }
        }
        decisions
    }
}
