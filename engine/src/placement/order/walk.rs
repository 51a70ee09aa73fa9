//! One unit's way through the machines, best first.
//!
//! What counts: how many units of its group are on machines of the same value, then the preferences, then the load. So
//! buckets come in levels, and the machines of one level in the order of their load.

use std::ops::Bound;
use std::sync::Arc;

use super::built::{Bucket, BucketIx, Built, Value};
use super::progress::{Tried, note};
use super::{ProfileIx, Standing};
use crate::placement::cluster::Cluster;
use crate::placement::resources::Amount;
use crate::placement::slots::{GroupIx, MachineIx, UnitIx};

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
    spread: Option<(GroupIx, Arc<str>)>,
    /// Levels not begun yet, the next one last.
    levels: Vec<Level>,
    /// The buckets of the level, each with its first machine that was not answered yet.
    heads: Vec<(BucketIx, Standing)>,
    /// In this level only machines of values that so many of the group are on.
    only: Option<u32>,
    /// The buckets that the level began with.
    level: Vec<BucketIx>,
    /// The last machine that was answered.
    last: Option<Standing>,
    /// What need not be tried, for units of a kind that was tried before.
    tried: Tried,
    /// Whether more is noted there.
    notes: bool,
}

/// Buckets that only their machines' load tells apart.
struct Level {
    /// How many of the group are there, and how many preferences are not met.
    score: (u32, u32),
    only: Option<u32>,
    buckets: Vec<BucketIx>,
}

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

    /// The machine that was answered last can take the units: whatever comes before it in its level cannot.
    pub(in crate::placement) fn found(&mut self) {
        if let Some(ordered) = &mut self.ordered {
            ordered.note(ordered.last);
            ordered.notes = false;
        }
    }

    /// How many machines were asked for.
    pub(in crate::placement) fn steps(&self) -> u64 {
        self.steps
    }
}

impl Ordered {
    fn next(&mut self, cluster: &Cluster) -> Option<MachineIx> {
        loop {
            let Some(first) = (0..self.heads.len()).min_by_key(|&n| self.heads[n].1) else {
                self.begin(cluster)?;
                continue;
            };
            let (bucket, standing) = self.heads[first];
            match self.built.next(bucket, Bound::Excluded(standing), &cluster.machines) {
                Some(next) => self.heads[first].1 = next,
                None => drop(self.heads.swap_remove(first)),
            }
            let machine = standing.machine;
            if self.only.is_none_or(|only| self.count(cluster, machine) == only) {
                self.last = Some(standing);
                return Some(machine);
            }
        }
    }

    /// Begins the next level.
    fn begin(&mut self, cluster: &Cluster) -> Option<()> {
        self.note(None);
        let level = self.levels.pop()?;
        self.only = level.only;
        let (built, tried) = (&mut self.built, &self.tried);
        let head = |&bucket: &BucketIx| {
            // Of a bucket that is in several levels some machines are not tried in this one.
            let tried = tried.iter().find(|(known, _)| *known == bucket && level.only.is_none());
            let from = tried.map_or(Some(Bound::Unbounded), |(_, upto)| upto.map(Bound::Included))?;
            Some((bucket, built.next(bucket, from, &cluster.machines)?))
        };
        self.heads = level.buckets.iter().filter_map(head).collect();
        self.level = level.buckets;
        Some(())
    }

    /// Notes that the machines of this level are tried up to there.
    fn note(&mut self, upto: Option<Standing>) {
        if self.notes && self.only.is_none() {
            self.level.drain(..).for_each(|bucket| note(&mut self.tried, bucket, upto));
        }
    }

    fn count(&self, cluster: &Cluster, machine: MachineIx) -> u32 {
        let Some((group, key)) = &self.spread else { return 0 };
        let value = cluster.machines[machine].facts.metadata.get(&**key);
        value.map_or(LACKING, |value| cluster.count_of(*group, key, value))
    }
}

impl Cluster {
    /// Begins a way for units that are to be together, at the machines that were not tried for units of the same kind.
    pub(in crate::placement) fn resume_walk(&mut self, members: &[UnitIx]) -> Walk {
        let mut walk = self.begin_walk(members);
        if let Some(ordered) = &mut walk.ordered {
            ordered.tried = self.resume(members);
            ordered.notes = true;
        }
        walk
    }

    /// Begins a way for units that are to be together.
    pub(in crate::placement) fn begin_walk(&mut self, members: &[UnitIx]) -> Walk {
        let wanted = || members.iter().filter_map(|&unit| self.units[unit].requirements());
        if let Some(id) = wanted().find_map(|wanted| wanted.machine_id.as_deref()) {
            let by_share = wanted().any(|wanted| wanted.asks_resources());
            // An id in full or its first eight characters: either way a prefix.
            let mut named: Vec<MachineIx> =
                self.machines.with_prefix(id).filter(|&machine| self.machines[machine].facts.id.matches(id)).collect();
            named.sort_by_key(|&machine| self.machines[machine].standing(machine, by_share));
            return Walk { named: named.into_iter(), ordered: None, steps: 0 };
        }
        let spread = self.spread_of(members);
        let asked = self.asked(members);
        let Some(profile) = self.profile_of(members) else {
            return Walk { named: Vec::new().into_iter(), ordered: None, steps: 0 };
        };
        let built = self.orders.take(profile, &self.machines);
        let levels = self.levels(&built, spread.as_ref(), asked);
        let ordered = Ordered {
            profile,
            built,
            spread,
            levels,
            heads: Vec::new(),
            only: None,
            level: Vec::new(),
            last: None,
            tried: Tried::new(),
            notes: false,
        };
        Walk { named: Vec::new().into_iter(), ordered: Some(ordered), steps: 0 }
    }

    /// Ends it.
    pub(in crate::placement) fn end_walk(&mut self, walk: Walk, members: &[UnitIx]) {
        if let Some(ordered) = walk.ordered {
            self.orders.put(ordered.profile, ordered.built);
            if !ordered.tried.is_empty() {
                self.remember(members, ordered.tried);
            }
        }
    }

    /// The group that these spread, and over which key: the first of them that says so decides.
    pub(in crate::placement) fn spread_of(&self, members: &[UnitIx]) -> Option<(GroupIx, Arc<str>)> {
        members.iter().find_map(|&unit| {
            let key = self.units[unit].requirements()?.spread_by.as_deref()?;
            let group = self.units[unit].group?;
            Some((group, self.groups[group].key(key)?.clone()))
        })
    }

    /// How many of a group are on machines of a value.
    pub(in crate::placement) fn count_of(&self, group: GroupIx, key: &str, value: &str) -> u32 {
        self.groups[group].counts(key).and_then(|counts| counts.get(value)).copied().unwrap_or(0)
    }

    /// The levels of an order, the first one last.
    fn levels(&self, built: &Built, spread: Option<&(GroupIx, Arc<str>)>, asked: Amount) -> Vec<Level> {
        let mut levels: Vec<Level> = Vec::new();
        let mut add = |score, only, bucket: BucketIx| match levels.iter_mut().find(|level| level.score == score) {
            Some(level) => level.buckets.push(bucket),
            None => levels.push(Level { score, only, buckets: vec![bucket] }),
        };
        let counts = spread.and_then(|(group, key)| self.groups[*group].counts(key));
        let by_value: Vec<u32> = match (counts, built.values()) {
            (Some(counts), Some(values)) => {
                values.iter().map(|value| counts.get(value).copied().unwrap_or(0)).collect()
            }
            _ => Vec::new(),
        };
        let may_hold = |(_, bucket): &(_, &Bucket)| asked.is_nothing() || bucket.class.may_hold(asked);
        for (ix, bucket) in built.buckets().filter(may_hold) {
            match bucket.value {
                Value::One(number) => {
                    add((by_value.get(number as usize).copied().unwrap_or(0), bucket.unmet), None, ix)
                }
                Value::None => add((if spread.is_some() { LACKING } else { 0 }, bucket.unmet), None, ix),
                Value::Some => {
                    let mut each: Vec<u32> = counts.into_iter().flat_map(|counts| counts.values().copied()).collect();
                    each.push(0);
                    each.sort_unstable();
                    each.dedup();
                    each.into_iter().for_each(|count| add((count, bucket.unmet), Some(count), ix));
                }
            }
        }
        levels.sort_by_key(|level| std::cmp::Reverse(level.score));
        levels
    }
}
