//! The machines of one profile, in buckets of those that only their load tells apart.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::{Asked, Standing};
use crate::placement::machine::Machines;
use crate::placement::resources::Class;
use crate::placement::slots::MachineIx;

/// With more values than this of the key to spread over, machines are not kept apart by it.
const MAX_VALUES: usize = 64;

/// What machines of one bucket have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bucket {
    pub(super) value: Value,
    /// How many preferences they do not meet.
    pub(super) unmet: u32,
    /// How much they have at all, where units ask for some of it.
    pub(super) class: Class,
}

/// The value of the key to spread over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    /// This one.
    One(u32),
    /// There are too many to tell them apart.
    Some,
    /// The machine does not have the key.
    None,
}

/// The machines of one profile.
#[derive(Debug, Clone)]
pub(super) struct Built {
    /// How much of the log is in it.
    pub(super) read: usize,
    by_share: bool,
    /// The values seen, by number.
    values: Vec<Arc<str>>,
    numbers: BTreeMap<Arc<str>, u32>,
    /// What the machines of each bucket have in common, and the machines; a bucket keeps its number when it is empty.
    buckets: Vec<(Bucket, BTreeSet<Standing>)>,
    by_bucket: BTreeMap<Bucket, BucketIx>,
    /// Where each machine is, by number; what is said of its load may be too low.
    at: Vec<(MachineIx, Option<Place>)>,
}

/// Where a machine is.
type Place = (BucketIx, Standing);

/// The number of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BucketIx(usize);

impl Built {
    pub(super) fn new(asked: &Asked, candidates: impl Iterator<Item = MachineIx>, machines: &Machines) -> Self {
        let mut built = Self {
            read: 0,
            by_share: asked.by_share,
            values: Vec::new(),
            numbers: BTreeMap::new(),
            buckets: Vec::new(),
            by_bucket: BTreeMap::new(),
            at: Vec::new(),
        };
        for machine in candidates {
            if let Some(place) = built.enter(machine, asked, machines) {
                built.at.push((machine, Some(place)));
            }
        }
        built.at.sort_unstable_by_key(|(machine, _)| *machine);
        built.settle(asked, machines);
        built
    }

    /// How many machines it has.
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    /// The values by which machines are kept apart; none where they are too many.
    pub(super) fn values(&self) -> Option<&[Arc<str>]> {
        (self.values.len() <= MAX_VALUES).then_some(&self.values)
    }

    /// All buckets that are not empty.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (BucketIx, &Bucket)> {
        let numbered = self.buckets.iter().enumerate().filter(|(_, (_, machines))| !machines.is_empty());
        numbered.map(|(n, (bucket, _))| (BucketIx(n), bucket))
    }

    /// Takes up what a machine is now.
    pub(super) fn update(&mut self, machine: MachineIx, asked: &Asked, machines: &Machines) {
        let at = self.at.binary_search_by_key(&machine, |(machine, _)| *machine);
        if let Ok(at) = at
            && let (_, Some((bucket, standing))) = self.at[at]
        {
            self.buckets[bucket.0].1.remove(&standing);
        }
        let place = self.enter(machine, asked, machines);
        match at {
            Ok(at) => self.at[at].1 = place,
            Err(at) if place.is_some() => self.at.insert(at, (machine, place)),
            Err(_) => {}
        }
    }

    /// Puts a machine that is in no bucket into its own; none if it is not one of them.
    fn enter(&mut self, machine: MachineIx, asked: &Asked, machines: &Machines) -> Option<Place> {
        let entry = machines.get(machine).filter(|entry| entry.facts.is_open())?;
        let traits = entry.facts.traits();
        if !asked.metadata.matches(&traits) {
            return None;
        }
        let value = match &asked.spread_by {
            Some(key) => entry.facts.metadata.get(key).map_or(Value::None, |value| self.number(value)),
            None => Value::None,
        };
        // There are no more preferences than a unit file has lines.
        let unmet = asked.prefer.unmet(&traits) as u32;
        let class = if asked.by_share { Class::of(&entry.facts.capacity) } else { Class::default() };
        let bucket = Bucket { value, unmet, class };
        let standing = entry.standing(machine, self.by_share);
        let buckets = &mut self.buckets;
        let bucket = *self.by_bucket.entry(bucket).or_insert_with(|| {
            buckets.push((bucket, BTreeSet::new()));
            BucketIx(buckets.len() - 1)
        });
        self.buckets[bucket.0].1.insert(standing);
        Some((bucket, standing))
    }

    fn number(&mut self, value: &str) -> Value {
        if self.values.len() > MAX_VALUES {
            return Value::Some;
        }
        if let Some(&number) = self.numbers.get(value) {
            return Value::One(number);
        }
        // At most a few more than the limit.
        let number = self.values.len() as u32;
        let value: Arc<str> = value.into();
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        Value::One(number)
    }

    /// Where there are too many values by now, none of the machines is kept apart by its own.
    pub(super) fn settle(&mut self, asked: &Asked, machines: &Machines) {
        let apart = |bucket: &Bucket| matches!(bucket.value, Value::One(_));
        if self.values.len() > MAX_VALUES && self.buckets().any(|(_, bucket)| apart(bucket)) {
            let all: Vec<MachineIx> = self.at.iter().map(|(machine, _)| *machine).collect();
            for machine in all {
                self.update(machine, asked, machines);
            }
        }
    }

    /// The first machine of a bucket from one on. Those that were given more than is said here are put where
    /// they belong.
    pub(super) fn next(&mut self, bucket: BucketIx, from: Bound<Standing>, machines: &Machines) -> Option<Standing> {
        let order = &mut self.buckets[bucket.0].1;
        loop {
            let said = match from {
                Bound::Unbounded => *order.first()?,
                from => *order.range((from, Bound::Unbounded)).next()?,
            };
            let now = machines[said.machine].standing(said.machine, self.by_share);
            if now == said {
                return Some(said);
            }
            order.remove(&said);
            order.insert(now);
            if let Ok(at) = self.at.binary_search_by_key(&said.machine, |(machine, _)| *machine) {
                self.at[at].1 = Some((bucket, now));
            }
        }
    }
}
