//! One unit's way through the machines, best first.
//!
//! What counts: how many units of its group are on machines of the same value, then the preferences, then the load. So
//! buckets come in levels, and the machines of one level in the order of their load.

use std::sync::Arc;

use super::built::{Bucket, Built, Value};
use super::{ProfileIx, Standing};
use crate::placement::cluster::Cluster;
use crate::placement::resources::Amount;
use crate::placement::slots::{GroupIx, MachineIx, UnitIx};

/// The way; it is to be ended by [`Cluster::end_walk`].
pub(in crate::placement) struct Walk {
    kind: Kind,
}

enum Kind {
    /// Machines that `MachineID=` names.
    Named(std::vec::IntoIter<MachineIx>),
    Ordered(Ordered),
}

struct Ordered {
    profile: ProfileIx,
    built: Built,
    /// The group that is spread, and the key.
    spread: Option<(GroupIx, Arc<str>)>,
    /// Levels not begun yet, the next one last.
    levels: Vec<Level>,
    /// The buckets of the level, each with its first machine that was not answered yet.
    heads: Vec<(Bucket, Standing)>,
    /// In this level only machines of values that so many of the group are on.
    only: Option<u32>,
}

/// Buckets that only their machines' load tells apart.
struct Level {
    /// How many of the group are there, and how many preferences are not met.
    score: (u32, u32),
    only: Option<u32>,
    buckets: Vec<Bucket>,
}

/// How many of a group count for machines that lack the key: they come last.
const LACKING: u32 = u32::MAX;

impl Walk {
    /// The next machine worth trying.
    pub(in crate::placement) fn next(&mut self, cluster: &Cluster) -> Option<MachineIx> {
        match &mut self.kind {
            Kind::Named(machines) => machines.next(),
            Kind::Ordered(ordered) => ordered.next(cluster),
        }
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
            match self.built.next(bucket, Some(standing), &cluster.machines) {
                Some(next) => self.heads[first].1 = next,
                None => drop(self.heads.swap_remove(first)),
            }
            let machine = standing.machine;
            if self.only.is_none_or(|only| self.count(cluster, machine) == only) {
                return Some(machine);
            }
        }
    }

    /// Begins the next level.
    fn begin(&mut self, cluster: &Cluster) -> Option<()> {
        let level = self.levels.pop()?;
        self.only = level.only;
        let built = &mut self.built;
        let head = |bucket: Bucket| Some((bucket, built.next(bucket, None, &cluster.machines)?));
        self.heads = level.buckets.into_iter().filter_map(head).collect();
        Some(())
    }

    fn count(&self, cluster: &Cluster, machine: MachineIx) -> u32 {
        let Some((group, key)) = &self.spread else { return 0 };
        let value = cluster.machines[machine].facts.metadata.get(&**key);
        value.map_or(LACKING, |value| cluster.count_of(*group, key, value))
    }
}

impl Cluster {
    /// Begins a way for units that are to be together.
    pub(in crate::placement) fn begin_walk(&mut self, members: &[UnitIx]) -> Walk {
        let wanted = || members.iter().filter_map(|&unit| self.units[unit].requirements());
        if let Some(id) = wanted().find_map(|wanted| wanted.machine_id.as_deref()) {
            let by_share = wanted().any(|wanted| wanted.asks_resources());
            // An id in full or its first eight characters: either way a prefix.
            let mut named: Vec<MachineIx> =
                self.machines.with_prefix(id).filter(|&machine| self.machines[machine].facts.id.matches(id)).collect();
            named.sort_by_key(|&machine| self.machines[machine].standing(machine, by_share));
            return Walk { kind: Kind::Named(named.into_iter()) };
        }
        let spread = self.spread_of(members);
        let asked = self.asked(members);
        let Some(profile) = self.profile_of(members) else {
            return Walk { kind: Kind::Named(Vec::new().into_iter()) };
        };
        let built = self.orders.take(profile, &self.machines);
        let levels = self.levels(&built, spread.as_ref(), asked);
        Walk { kind: Kind::Ordered(Ordered { profile, built, spread, levels, heads: Vec::new(), only: None }) }
    }

    /// Ends it.
    pub(in crate::placement) fn end_walk(&mut self, walk: Walk) {
        if let Kind::Ordered(ordered) = walk.kind {
            self.orders.put(ordered.profile, ordered.built);
        }
    }

    /// The group that these spread, and over which key: the first of them that says so decides.
    pub(in crate::placement) fn spread_of(&self, members: &[UnitIx]) -> Option<(GroupIx, Arc<str>)> {
        members.iter().find_map(|&unit| {
            let key = self.units[unit].requirements()?.spread_by.as_deref()?;
            Some((self.units[unit].group?, key.into()))
        })
    }

    /// How many of a group are on machines of a value.
    pub(in crate::placement) fn count_of(&self, group: GroupIx, key: &str, value: &str) -> u32 {
        self.groups[group].counts(key).and_then(|counts| counts.get(value)).copied().unwrap_or(0)
    }

    /// The levels of an order, the first one last.
    fn levels(&self, built: &Built, spread: Option<&(GroupIx, Arc<str>)>, asked: Amount) -> Vec<Level> {
        let mut levels: Vec<Level> = Vec::new();
        let mut add = |score, only, bucket| match levels.iter_mut().find(|level| level.score == score) {
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
        for &bucket in built.buckets().filter(|bucket| asked.is_nothing() || bucket.class.may_hold(asked)) {
            match bucket.value {
                Value::One(number) => {
                    add((by_value.get(number as usize).copied().unwrap_or(0), bucket.unmet), None, bucket)
                }
                Value::None => add((if spread.is_some() { LACKING } else { 0 }, bucket.unmet), None, bucket),
                Value::Some => {
                    let mut each: Vec<u32> = counts.into_iter().flat_map(|counts| counts.values().copied()).collect();
                    each.push(0);
                    each.sort_unstable();
                    each.dedup();
                    each.into_iter().for_each(|count| add((count, bucket.unmet), Some(count), bucket));
                }
            }
        }
        levels.sort_by_key(|level| std::cmp::Reverse(level.score));
        levels
    }
}
