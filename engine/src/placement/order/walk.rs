//! One unit's way through the machines, best first.
//!
//! What counts: how many units of its group are on machines of the same value, then the preferences, then the load. A lane
//! for each bucket knows its first machine that may do, so that of all lanes the best is the next.

use super::built::{Bucket, Built, Value};
use super::course::Lane;
use super::{ProfileIx, Standing};
use crate::placement::cluster::Cluster;
use crate::placement::slots::{GroupIx, KeyIx, MachineIx, UnitIx, ValueIx};

/// The way; it is to be ended by [`Cluster::end_walk`].
pub(in crate::placement) struct Walk {
    /// Machines that `MachineID=` names, where units ask for one.
    named: std::vec::IntoIter<MachineIx>,
    ordered: Option<Ordered>,
    steps: u64,
}

struct Ordered {
    profile: ProfileIx,
    built: Built,
    /// The group that is spread, and the key.
    spread: Option<(GroupIx, KeyIx)>,
    lanes: Vec<Lane>,
    /// The machine that was answered last: its lane, and where it stands.
    last: Option<(usize, Standing)>,
    /// The first that can take the units.
    able: Option<(usize, Standing)>,
    /// Whether what was tried is remembered for others of the kind.
    remembers: bool,
}

/// What counts for the first machine of a lane: the least is tried first.
type Rating = ((u32, u32), Standing);

/// How many of a group count for machines that lack the key: they come last.
const LACKING: u32 = u32::MAX;

impl Walk {
    /// The next machine worth trying.
    pub(in crate::placement) fn next(&mut self, cluster: &Cluster) -> Option<MachineIx> {
        self.steps += 1;
        match &mut self.ordered {
            Some(ordered) => ordered.next(cluster),
            None => self.named.next(),
        }
    }

    /// The machine that was answered last can take the units, and so may others of their kind be given it.
    pub(in crate::placement) fn found(&mut self) {
        if let Some(ordered) = &mut self.ordered {
            ordered.found();
        }
    }

    /// Whether machines are answered only if they are open, and meet all demands on their metadata.
    pub(in crate::placement) fn is_ordered(&self) -> bool {
        self.ordered.is_some()
    }

    /// How many machines were asked for.
    pub(in crate::placement) fn steps(&self) -> u64 {
        self.steps
    }
}

impl Ordered {
    fn next(&mut self, cluster: &Cluster) -> Option<MachineIx> {
        loop {
            let (at, others) = self.first()?;
            let lane = &mut self.lanes[at];
            let from = lane.from?;
            let Some(entry) = self.built.next(lane.bucket, from, &cluster.orders.gauges) else {
                lane.from = None;
                continue;
            };
            lane.from = Some(entry.standing);
            if others.is_some_and(|others| others < (lane.score, entry.standing)) {
                // Another lane has one that comes before.
                continue;
            }
            lane.from = Some(entry.standing.next());
            let only = lane.only;
            if only.is_none_or(|only| self.count(cluster, entry.machine) == only) {
                self.last = Some((at, entry.standing));
                return Some(entry.machine);
            }
        }
    }

    /// The lane whose first machine may be the best, and where that of the second best may be.
    fn first(&self) -> Option<(usize, Option<Rating>)> {
        let mut best: Option<(usize, Rating)> = None;
        let mut second = None;
        for (at, lane) in self.lanes.iter().enumerate() {
            let Some(from) = lane.from else { continue };
            let place = (lane.score, from);
            match best {
                Some((_, first)) if place >= first => {
                    second = Some(second.map_or(place, |second| place.min(second)));
                }
                _ => second = best.replace((at, place)).map(|(_, place)| place),
            }
        }
        best.map(|(at, _)| (at, second))
    }

    fn found(&mut self) {
        match (self.able, self.last) {
            (None, last) => self.able = last,
            (Some(_), Some((lane, standing))) => self.lanes[lane].from = Some(standing),
            (Some(_), None) => {}
        }
    }

    fn count(&self, cluster: &Cluster, machine: MachineIx) -> u32 {
        let Some((group, key)) = self.spread else { return 0 };
        let value = cluster.machines[machine].value(key);
        value.map_or(LACKING, |value| cluster.count_of(group, key, value))
    }

    /// Sets the lanes on for another unit of their kind: what they are in comparison changes with every unit placed.
    fn rate(&mut self, cluster: &Cluster) {
        let counts = self.spread.and_then(|(group, key)| cluster.groups[group].counts(key));
        for lane in &mut self.lanes {
            let count = match lane.of.value {
                Value::One(value) => counts.and_then(|counts| counts.get(&value)).copied().unwrap_or(0),
                Value::None if self.spread.is_some() => LACKING,
                Value::None | Value::Some => 0,
            };
            lane.score = (count, lane.of.unmet);
        }
        let mut several: Vec<Lane> = self.lanes.extract_if(.., |lane| lane.of.value == Value::Some).collect();
        if several.is_empty() {
            return;
        }
        // Of a bucket of many values some machines are tried in one lane, some in another: from the beginning.
        several.dedup_by_key(|lane| lane.bucket);
        let mut each: Vec<u32> = counts.into_iter().flat_map(|counts| counts.values().copied()).collect();
        each.push(0);
        each.sort_unstable();
        each.dedup();
        for lane in several {
            let from = Some(Standing::FIRST);
            let with = |&count: &u32| Lane { score: (count, lane.of.unmet), only: Some(count), from, ..lane };
            self.lanes.extend(each.iter().map(with));
        }
    }
}

impl Cluster {
    /// Begins a way for units that are to be together, at the machines that were not tried for units of the same kind.
    pub(in crate::placement) fn resume_walk(&mut self, members: &[UnitIx]) -> Walk {
        self.walk(members, self.are_fresh(members))
    }

    /// Begins a way for units that are to be together.
    pub(in crate::placement) fn begin_walk(&mut self, members: &[UnitIx]) -> Walk {
        self.walk(members, false)
    }

    fn walk(&mut self, members: &[UnitIx], remembers: bool) -> Walk {
        let wanted = || members.iter().filter_map(|&unit| self.units[unit].requirements());
        if let Some(id) = wanted().find_map(|wanted| wanted.machine_id.as_deref()) {
            let by_share = wanted().any(|wanted| wanted.asks_resources());
            // An id in full or its first eight characters: either way a prefix.
            let mut named: Vec<MachineIx> =
                self.machines.with_prefix(id).filter(|&machine| self.machines[machine].facts.id.matches(id)).collect();
            named.sort_by_key(|&machine| self.orders.gauge(machine).standing(by_share));
            return Walk { named: named.into_iter(), ordered: None, steps: 0 };
        }
        let Some(profile) = self.profile_of(members) else {
            return Walk { named: Vec::new().into_iter(), ordered: None, steps: 0 };
        };
        let mut built = self.orders.take(profile, &self.machines, &self.values);
        let known = if remembers { self.resume(&mut built.courses, members) } else { None };
        let lanes = known.unwrap_or_else(|| self.lanes(&built, members));
        let spread = self.spread_of(members);
        let mut ordered = Ordered { profile, built, spread, lanes, last: None, able: None, remembers };
        ordered.rate(self);
        Walk { named: Vec::new().into_iter(), ordered: Some(ordered), steps: 0 }
    }

    /// Ends it.
    pub(in crate::placement) fn end_walk(&mut self, walk: Walk, members: &[UnitIx]) {
        let Some(Ordered { profile, mut built, mut lanes, able, remembers, .. }) = walk.ordered else { return };
        if let Some((lane, standing)) = able {
            lanes[lane].from = Some(standing);
        }
        if remembers {
            built.courses.remember(members, lanes);
        }
        self.orders.put(profile, built);
    }

    /// The group that these spread, and over which key: the first of them that says so decides.
    pub(in crate::placement) fn spread_of(&self, members: &[UnitIx]) -> Option<(GroupIx, KeyIx)> {
        members.iter().find_map(|&unit| {
            let entry = &self.units[unit];
            Some((entry.group?, self.orders.spread_of(entry.profile?)?))
        })
    }

    /// How many of a group are on machines of a value.
    pub(in crate::placement) fn count_of(&self, group: GroupIx, key: KeyIx, value: ValueIx) -> u32 {
        self.groups[group].counts(key).and_then(|counts| counts.get(&value)).copied().unwrap_or(0)
    }

    /// The lanes of units that no machine was tried for.
    fn lanes(&self, built: &Built, members: &[UnitIx]) -> Vec<Lane> {
        let asked = self.asked(members);
        let may_hold = |of: &Bucket| asked.is_nothing() || of.class.may_hold(asked);
        let buckets = built.buckets().filter(|(_, of)| may_hold(of));
        let lane = |(bucket, &of)| Lane { bucket, of, from: Some(Standing::FIRST), score: (0, 0), only: None };
        buckets.map(lane).collect()
    }
}
