//! Units that `MachineOf=` ties together, settled as one.
//!
//! Members never move for the sake of those who follow them: where some are placed already, the others join them there
//! or wait. Members of which none is placed are placed together, all or none.

use std::collections::{BTreeMap, BTreeSet};

use fleet_units::{Peer, Requirements, UnitName};

use super::cluster::Cluster;
use super::decision::{Blocker, Departure, Invalid, Outcome};
use super::facts::Presence;
use super::rejection::{Rejection, Rejections};
use super::slots::{MachineIx, UnitIx};
use super::unit::{NameStart, Seniority};

/// What is left to do after a group was looked at.
#[derive(Debug)]
pub(super) enum Placement {
    /// Find one machine for all of these.
    Together(Vec<UnitIx>),
    /// Put this one on the machine where its peers are.
    Join {
        unit: UnitIx,
        machine: MachineIx,
        /// One of the peers.
        peer: UnitIx,
    },
    /// Give this global unit to those of the machines that can take it.
    Everywhere { unit: UnitIx, machines: Vec<MachineIx> },
}

impl Placement {
    /// Its first member in the order in which units are decided.
    pub(super) fn first(&self) -> UnitIx {
        match self {
            Self::Together(members) => members[0],
            Self::Join { unit, .. } | Self::Everywhere { unit, .. } => *unit,
        }
    }
}

impl Cluster {
    /// All units tied to this one, itself included, that are to be given a machine; in the order of decisions.
    pub(super) fn group_of(&self, unit: UnitIx) -> Vec<UnitIx> {
        let mut seen = BTreeSet::from([unit]);
        let mut stack = vec![unit];
        while let Some(unit) = stack.pop() {
            let followers = self.machine_of.namers(&self.units[unit].name);
            for other in self.peers(unit).chain(followers) {
                if self.units[other].is_placeable() && seen.insert(other) {
                    stack.push(other);
                }
            }
        }
        self.in_order(seen)
    }

    /// Whether a unit is to be given a machine, has none, and is tied to nobody.
    pub(super) fn is_loose(&self, unit: UnitIx) -> bool {
        let entry = &self.units[unit];
        entry.is_placeable()
            && entry.places.is_empty()
            && !entry.is_named
            && entry.requirements().is_some_and(|wanted| wanted.machine_of.is_empty())
    }

    /// Units in the order in which they are decided.
    pub(super) fn in_order(&self, units: impl IntoIterator<Item = UnitIx>) -> Vec<UnitIx> {
        let units = units.into_iter();
        let name = |unit: UnitIx| &self.units[unit].name;
        let begin = |unit: UnitIx| (self.units[unit].seniority(), NameStart::of(name(unit)), unit);
        let mut units: Vec<(Seniority, NameStart, UnitIx)> = units.map(begin).collect();
        units.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| name(a.2).cmp(name(b.2))));
        units.into_iter().map(|(_, _, unit)| unit).collect()
    }

    /// The members of the group that this one must be with.
    fn peers_among<'a>(&'a self, unit: UnitIx, group: &'a [UnitIx]) -> impl Iterator<Item = UnitIx> + 'a {
        self.peers(unit).filter(move |peer| group.contains(peer))
    }

    /// Looks at a group: takes off what must leave, settles what waits or stays, and adds to `todo` what is to be
    /// placed.
    pub(super) fn settle_group(&mut self, group: Vec<UnitIx>, todo: &mut Vec<Placement>) {
        let blocked = self.blocked(&group);
        let mut rest = group;
        if !blocked.is_empty() {
            rest.retain(|unit| !blocked.contains_key(unit));
            for (unit, outcome) in blocked {
                let why = match &outcome {
                    Outcome::Waiting { on } => Departure::Follows(on.clone()),
                    Outcome::Invalid { why } => Departure::Invalid(why.clone()),
                    _ => Departure::Regrouped,
                };
                if !matches!(why, Departure::Follows(Blocker::PeerUnreadable { .. })) {
                    self.take_off_everywhere(unit, |_| why.clone());
                }
                self.conclude(unit, outcome);
            }
        }
        let rest = self.settle_held(rest);
        for part in self.parts(rest) {
            self.settle_part(part, todo);
        }
    }

    /// Members whose machine is absent, but not lost, stay as they are, and so do those that a lost one may still be
    /// stopping; who follows them waits. Answers the others.
    fn settle_held(&mut self, group: Vec<UnitIx>) -> Vec<UnitIx> {
        let mut waiting = BTreeMap::new();
        let mut held = BTreeMap::new();
        for &unit in &group {
            let entry = &self.units[unit];
            let places = entry.places.iter().map(|&at| (&self.machines[at].facts, at));
            let absent = places.clone().all(|(facts, _)| facts.presence != Presence::Present);
            let holders = places.filter(|(facts, _)| absent && !facts.has_lost(&entry.name));
            if let Some((facts, at)) = holders.min_by_key(|(facts, _)| (!facts.unreadable, facts.id.clone())) {
                held.insert(unit, (facts.id.clone(), facts.blocker(&entry.name), at));
            }
        }
        if held.is_empty() {
            return group;
        }
        for &unit in group.iter().filter(|unit| !held.contains_key(unit)) {
            if let Some((_, on, _)) = self.peers_among(unit, &group).find_map(|peer| held.get(&peer)) {
                waiting.insert(unit, Outcome::Waiting { on: on.clone() });
            }
        }
        let others: Vec<UnitIx> = group.into_iter().filter(|unit| !held.contains_key(unit)).collect();
        self.spread_to_followers(&others, &mut waiting);
        for (unit, (machine, on, at)) in held {
            // One that was global may be listed by others that are not there.
            let others = self.units[unit].places.iter().copied().filter(|&other| other != at);
            let others: Vec<MachineIx> = others.filter(|&other| !self.machines[other].facts.unreadable).collect();
            for other in others {
                let lost = self.machines[other].facts.has_lost(&self.units[unit].name);
                self.take_off(unit, other, if lost { Departure::Lost } else { Departure::NotGlobal });
            }
            let outcome = match on {
                Blocker::Fencing { .. } => Outcome::Waiting { on },
                _ => Outcome::Kept { machine },
            };
            self.conclude(unit, outcome);
        }
        for (unit, outcome) in &waiting {
            self.take_off_everywhere(*unit, |_| Departure::Regrouped);
            self.conclude(*unit, outcome.clone());
        }
        others.into_iter().filter(|unit| !waiting.contains_key(unit)).collect()
    }

    /// Members that cannot be placed whatever the machines are: a peer is not there, or conflicts; and who follows them.
    pub(super) fn blocked(&self, group: &[UnitIx]) -> BTreeMap<UnitIx, Outcome> {
        let mut blocked = BTreeMap::new();
        for &unit in group {
            if let Some(on) = self.missing_peer(unit) {
                blocked.insert(unit, Outcome::Waiting { on });
            }
        }
        // Of two that conflict the one that follows cannot be; of two that nothing orders, the later one.
        let choosy = |unit: &UnitIx| self.units[*unit].conflicts.is_used();
        let choosy: Vec<UnitIx> = group.iter().copied().filter(choosy).collect();
        for (n, &first) in choosy.iter().enumerate() {
            for &second in &choosy[n + 1..] {
                if self.units[first].conflicts.touches(&self.units[second].conflicts) {
                    let follows = self.follows(first, second, group) && !self.follows(second, first, group);
                    let (loser, other) = if follows { (first, second) } else { (second, first) };
                    let peer = self.units[other].name.clone();
                    let why = Invalid::ConflictsWithPeer { peer };
                    blocked.entry(loser).or_insert(Outcome::Invalid { why });
                }
            }
        }
        // Nobody can be beside a unit that drives it away: where that follows it, that is the one that makes no sense.
        for &by in group.iter().filter(|unit| !self.units[**unit].rare.replaces.own.is_empty()) {
            for &unit in group.iter().filter(|unit| self.drives_away(by, **unit)) {
                let (loser, why) = if self.follows(by, unit, group) {
                    (by, Invalid::ReplacesPeer { peer: self.units[unit].name.clone() })
                } else {
                    (unit, Invalid::ReplacedByPeer { peer: self.units[by].name.clone() })
                };
                blocked.entry(loser).or_insert(Outcome::Invalid { why });
            }
        }
        self.spread_to_followers(group, &mut blocked);
        blocked
    }

    /// Whoever follows a unit without a machine waits for it.
    fn spread_to_followers(&self, group: &[UnitIx], stopped: &mut BTreeMap<UnitIx, Outcome>) {
        while !stopped.is_empty() {
            let before = stopped.len();
            for &unit in group {
                let held = |peer: &UnitIx| stopped.contains_key(peer) && !self.stays_without(unit, *peer, group);
                if !stopped.contains_key(&unit)
                    && let Some(peer) = self.peers_among(unit, group).find(held)
                {
                    let peer = self.units[peer].name.clone();
                    stopped.insert(unit, Outcome::Waiting { on: Blocker::PeerUnplaced { peer } });
                }
            }
            if stopped.len() == before {
                break;
            }
        }
    }

    /// Whether a unit that has a machine stays there though another, which its patterns match, is not there: one that has
    /// none yet and follows it in turn. That one comes to it, or waits; nobody is moved, or stopped, for it.
    fn stays_without(&self, unit: UnitIx, peer: UnitIx, group: &[UnitIx]) -> bool {
        let by_name =
            |wanted: &Requirements| wanted.machine_of.iter().any(|named| named.unit() == Some(&self.units[peer].name));
        !self.units[unit].places.is_empty()
            && self.units[peer].places.is_empty()
            && !self.units[unit].requirements().is_some_and(|wanted| by_name(wanted))
            && self.follows(peer, unit, group)
    }

    /// Whether `MachineOf=` leads from one to the other.
    pub(super) fn follows(&self, from: UnitIx, to: UnitIx, group: &[UnitIx]) -> bool {
        let mut seen = BTreeSet::from([from]);
        let mut stack = vec![from];
        while let Some(unit) = stack.pop() {
            for peer in self.peers_among(unit, group) {
                if peer == to {
                    return true;
                }
                if seen.insert(peer) {
                    stack.push(peer);
                }
            }
        }
        false
    }

    /// A unit named by `MachineOf=` that is not to be placed at all.
    fn missing_peer(&self, unit: UnitIx) -> Option<Blocker> {
        let wanted = self.units[unit].requirements()?;
        wanted.machine_of.iter().find_map(|peer| match peer {
            Peer::Unit(name) => {
                let peer = name.clone();
                match self.units.find(name.as_str()).map(|peer| &self.units[peer]) {
                    None => Some(Blocker::PeerMissing { peer }),
                    Some(entry) if entry.spec.is_none() => Some(Blocker::PeerMissing { peer }),
                    Some(entry) if !entry.is_wanted() => Some(Blocker::PeerInactive { peer }),
                    Some(entry) if entry.is_unreadable() => Some(Blocker::PeerUnreadable { peer }),
                    Some(entry) if entry.is_global() || entry.is_placeable() => None,
                    Some(_) => Some(Blocker::PeerUnplaced { peer }),
                }
            }
            Peer::Pattern(glob) => {
                let mut named = self.named(unit, peer, &self.machine_of).map(|peer| &self.units[peer]).peekable();
                if named.peek().is_none() {
                    // A unit of those that are to be together is the first of them.
                    let is_one = glob.matches(self.units[unit].name.as_str());
                    return (!is_one).then(|| Blocker::NoPeer { pattern: glob.clone() });
                }
                let unreadable = named.filter(|peer| peer.is_unreadable()).map(|peer| &peer.name).min()?;
                Some(Blocker::PeerUnreadable { peer: unreadable.clone() })
            }
        })
    }

    /// The parts of a set that nothing ties to each other, each in the order of the set.
    pub(super) fn parts(&self, units: Vec<UnitIx>) -> Vec<Vec<UnitIx>> {
        if units.len() <= 1 {
            return units.into_iter().map(|unit| vec![unit]).collect();
        }
        let positions: BTreeMap<UnitIx, usize> = units.iter().copied().zip(0..).collect();
        let mut tied = vec![Vec::new(); units.len()];
        for (from, &unit) in units.iter().enumerate() {
            for &to in self.peers(unit).filter_map(|peer| positions.get(&peer)) {
                tied[from].push(to);
                tied[to].push(from);
            }
        }
        let mut part_of = vec![None; units.len()];
        let mut parts: Vec<Vec<UnitIx>> = Vec::new();
        for (start, &unit) in units.iter().enumerate() {
            let part = *part_of[start].get_or_insert(parts.len());
            if part == parts.len() {
                parts.push(Vec::new());
                let mut reached = vec![start];
                while let Some(from) = reached.pop() {
                    for &to in &tied[from] {
                        if part_of[to].replace(part).is_none() {
                            reached.push(to);
                        }
                    }
                }
            }
            parts[part].push(unit);
        }
        parts
    }

    /// Settles units that are all tied to each other.
    fn settle_part(&mut self, part: Vec<UnitIx>, todo: &mut Vec<Placement>) {
        let Some((machine, stay)) = self.anchor(&part) else {
            for &unit in &part {
                let cluster = &*self;
                let reasons: BTreeMap<MachineIx, Departure> = cluster.units[unit]
                    .places
                    .iter()
                    .map(|&at| (at, cluster.rejection_kept(unit, at).map_or(Departure::Regrouped, Departure::Rejected)))
                    .collect();
                self.take_off_present(unit, None, |at| reasons.get(&at).cloned().unwrap_or(Departure::Regrouped));
            }
            todo.push(Placement::Together(part));
            return;
        };
        let anchor = stay.iter().copied().find(|unit| self.units[*unit].places.contains(&machine));
        for &unit in &stay {
            let is_here = self.units[unit].places.contains(&machine);
            let why = if is_here { Departure::NotGlobal } else { Departure::Regrouped };
            self.take_off_present(unit, Some(machine), |_| why.clone());
            if self.units[unit].places.contains(&machine) {
                // A unit that was global may be listed by lost machines too.
                let lost: Vec<MachineIx> =
                    self.units[unit].places.iter().copied().filter(|&at| at != machine).collect();
                for at in lost {
                    self.take_off(unit, at, Departure::Lost);
                }
                let machine = self.machines[machine].facts.id.clone();
                self.conclude(unit, Outcome::Kept { machine });
            } else if let Some(peer) = anchor {
                todo.push(Placement::Join { unit, machine, peer });
            }
        }
        let rest: Vec<UnitIx> = part.iter().copied().filter(|unit| !stay.contains(unit)).collect();
        if rest.is_empty() {
            return;
        }
        // Of the rest, those who follow one that stays cannot be anywhere else; nor can those who follow them.
        let mut stuck = BTreeMap::new();
        for &unit in &rest {
            let Some(peer) = self.peers_among(unit, &part).find(|peer| stay.contains(peer)) else { continue };
            let outcome = self.stuck(unit, machine, peer);
            let may = matches!(outcome, Outcome::Unplaceable { .. }) && self.units[unit].places.is_empty();
            if may && self.units[unit].leaving.is_empty() && self.make_room_at(&[unit], machine) {
                if self.rejection_new(unit, machine).is_none() {
                    // There is room at once: it joins its peer in the next round.
                    self.dirty.insert(unit);
                }
                stuck.insert(unit, self.stuck(unit, machine, peer));
            } else {
                stuck.insert(unit, outcome);
            }
        }
        self.spread_to_followers(&rest, &mut stuck);
        for (&unit, outcome) in &stuck {
            let why = self.rejection_kept(unit, machine).map_or(Departure::Regrouped, Departure::Rejected);
            self.take_off_everywhere(unit, |_| why.clone());
            self.conclude(unit, outcome.clone());
            self.claim(&[unit]);
        }
        let free: Vec<UnitIx> = rest.into_iter().filter(|unit| !stuck.contains_key(unit)).collect();
        let placed: Vec<UnitIx> = free.iter().copied().filter(|unit| !self.units[*unit].places.is_empty()).collect();
        for part in self.parts(free) {
            self.settle_part(part, todo);
        }
        if placed.iter().any(|unit| self.units[*unit].places.is_empty()) {
            // Who had to leave may come to where the others are stuck without it.
            self.dirty.extend(stuck.into_keys());
        }
    }

    /// Why a unit cannot be where its peer is.
    fn stuck(&self, unit: UnitIx, machine: MachineIx, peer: UnitIx) -> Outcome {
        let facts = &self.machines[machine].facts;
        let id = facts.id.clone();
        match self.rejection_new(unit, machine) {
            Some(Rejection::CatchingUp) => Outcome::Waiting { on: Blocker::CatchingUp { machine: id } },
            Some(Rejection::StillStopping { unit }) => {
                Outcome::Waiting { on: Blocker::StillStopping { machine: id, unit } }
            }
            Some(Rejection::StillUsed { unit }) => Outcome::Waiting { on: Blocker::StillUsed { machine: id, unit } },
            at_peer => {
                let peer = self.units[peer].name.clone();
                let elsewhere = Rejection::GroupElsewhere { peer, machine: id };
                let open = self.machines.iter().filter(|(_, m)| m.facts.presence == Presence::Present);
                let answers = open.map(|(ix, _)| {
                    let here = if ix == machine { at_peer.clone() } else { None };
                    let here = here.or_else(|| self.rejection_by_group(unit, ix));
                    (here.unwrap_or_else(|| elsewhere.clone()), None::<UnitName>)
                });
                Outcome::Unplaceable { rejections: Rejections::count(answers) }
            }
        }
    }

    /// The machine where a part stays, and the members that can be there: of the machines that list members now, the one
    /// that keeps the most.
    fn anchor(&self, part: &[UnitIx]) -> Option<(MachineIx, BTreeSet<UnitIx>)> {
        let hosts: BTreeSet<MachineIx> =
            part.iter().flat_map(|&unit| self.units[unit].places.iter().copied()).collect();
        let hosts = hosts.into_iter().filter(|&host| self.machines[host].facts.presence == Presence::Present);
        let judged = hosts.map(|host| {
            let stay = self.able_at(part, host);
            let kept = stay.iter().filter(|unit| self.units[**unit].places.contains(&host)).count();
            (host, stay, kept)
        });
        judged
            .filter(|(_, _, kept)| *kept > 0)
            .min_by_key(|(host, stay, kept)| {
                (std::cmp::Reverse((*kept, stay.len())), self.machines[*host].facts.id.clone())
            })
            .map(|(host, stay, _)| (host, stay))
    }

    /// The members that can be on a machine together: each suits it, and so do all that it follows.
    fn able_at(&self, part: &[UnitIx], machine: MachineIx) -> BTreeSet<UnitIx> {
        let is_here = |unit: &UnitIx| self.units[*unit].places.contains(&machine);
        let is_elsewhere = |unit: &UnitIx| {
            self.units[*unit].places.iter().any(|at| self.machines[*at].facts.presence != Presence::Gone)
        };
        let able = |unit: &UnitIx| {
            if !is_here(unit) {
                // Who is placed elsewhere comes here only if it is the follower.
                let follows = || part.iter().any(|other| is_here(other) && self.follows(*unit, *other, part));
                // Where it failed it would not stay.
                self.rejection_new(*unit, machine).is_none()
                    && !self.leaves_for_failing(*unit, machine)
                    && (!is_elsewhere(unit) || follows())
            } else {
                self.rejection_kept(*unit, machine).is_none()
            }
        };
        let mut stay: BTreeSet<UnitIx> = part.iter().copied().filter(able).collect();
        loop {
            let alone = |unit: &UnitIx| {
                let missing = |peer: &UnitIx| !stay.contains(peer);
                let mut missing = self.peers_among(*unit, part).filter(missing);
                missing.any(|peer| !(is_here(unit) && self.stays_without(*unit, peer, part)))
            };
            if let Some(unit) = stay.iter().copied().find(alone) {
                stay.remove(&unit);
                continue;
            }
            // Each may have room that all who come do not have together: the latest are left out.
            let coming: Vec<UnitIx> =
                part.iter().copied().filter(|unit| stay.contains(unit) && !is_here(unit)).collect();
            let crowded = coming.len() > 1 && self.rejection_of(&coming, machine).is_some();
            match coming.last().filter(|_| crowded) {
                Some(last) => stay.remove(last),
                None => return stay,
            };
        }
    }

    /// Takes a unit off every machine that is not lost, but for one. What a lost machine lists is taken off when the
    /// unit has another machine.
    fn take_off_present(&mut self, unit: UnitIx, but: Option<MachineIx>, why: impl Fn(MachineIx) -> Departure) {
        let places: Vec<MachineIx> = self.units[unit].places.iter().copied().collect();
        for machine in places {
            if Some(machine) != but && self.machines[machine].facts.presence != Presence::Gone {
                self.take_off(unit, machine, why(machine));
            }
        }
    }

    /// Takes a unit off every machine, present or lost.
    pub(super) fn take_off_everywhere(&mut self, unit: UnitIx, why: impl Fn(MachineIx) -> Departure) {
        let places: Vec<MachineIx> = self.units[unit].places.iter().copied().collect();
        for machine in places {
            self.take_off(unit, machine, why(machine));
        }
    }
}
