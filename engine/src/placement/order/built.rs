//! The machines of one profile, in buckets of those that only their load tells apart.

use std::collections::BTreeMap;

use super::course::Courses;
use super::gauges::Gauges;
use super::sorted::Sorted;
use super::{Asked, Standing};
use crate::placement::machine::Machines;
use crate::placement::resources::Class;
use crate::placement::slots::{KeyIx, MachineIx, Slot, ValueIx};
use crate::placement::values::Values;

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
    One(ValueIx),
    /// There are too many to tell them apart.
    Some,
    /// The machine does not have the key.
    None,
}

/// A machine, as it stood when it was put here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) standing: Standing,
    pub(super) machine: MachineIx,
    /// Of the machine: where that is another by now, the machine is elsewhere, or nowhere.
    version: u32,
}

/// The machines of one profile.
#[derive(Debug, Clone)]
pub(super) struct Built {
    /// How much of the log is in it.
    pub(super) read: usize,
    by_share: bool,
    /// The key to spread over.
    spread: Option<KeyIx>,
    /// Whether machines are kept apart by it.
    apart: bool,
    /// What the machines of each bucket have in common, and the machines; a bucket keeps its number when it is empty.
    buckets: Vec<(Bucket, Sorted<Entry>)>,
    by_bucket: BTreeMap<Bucket, BucketIx>,
    /// How many entries there are, and were when it was made.
    entries: usize,
    at_first: usize,
    /// How far it was tried for units of some kinds.
    pub(super) courses: Courses,
}

/// The number of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BucketIx(usize);

/// What an order is made from.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) machines: &'a Machines,
    pub(super) values: &'a Values,
    pub(super) gauges: &'a Gauges,
}

impl Built {
    pub(super) fn new(
        asked: &Asked,
        spread: Option<KeyIx>,
        candidates: impl Iterator<Item = MachineIx>,
        sources: Sources<'_>,
    ) -> Self {
        let mut built = Self {
            read: 0,
            by_share: asked.by_share,
            spread,
            apart: spread.is_some_and(|key| sources.values.len(key) <= MAX_VALUES),
            buckets: Vec::new(),
            by_bucket: BTreeMap::new(),
            entries: 0,
            at_first: 0,
            courses: Courses::default(),
        };
        candidates.for_each(|machine| built.enter(machine, asked, sources));
        built.at_first = built.entries;
        built
    }

    /// How many entries it has.
    pub(super) fn len(&self) -> usize {
        self.entries
    }

    /// Whether it would be better made anew: too many values are kept apart, or too much in it is of the past.
    pub(super) fn is_worn(&self, values: &Values) -> bool {
        let many = self.apart && self.spread.is_some_and(|key| values.len(key) > 2 * MAX_VALUES);
        many || self.entries > 2 * self.at_first + 64
    }

    /// All buckets that are not empty.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (BucketIx, &Bucket)> {
        let numbered = self.buckets.iter().enumerate().filter(|(_, (_, machines))| !machines.is_empty());
        numbered.map(|(n, (bucket, _))| (BucketIx(n), bucket))
    }

    /// Puts a machine where it belongs now, if it is one of them. Where it was put before counts no more: its version is
    /// another.
    pub(super) fn enter(&mut self, machine: MachineIx, asked: &Asked, sources: Sources<'_>) {
        let Some(entry) = sources.machines.get(machine).filter(|entry| entry.facts.is_open()) else { return };
        let traits = entry.facts.traits();
        if !asked.metadata.matches(&traits) {
            return;
        }
        let value = self.spread.map_or(Value::None, |key| match entry.value(key) {
            Some(value) if self.apart => Value::One(value),
            Some(_) => Value::Some,
            None => Value::None,
        });
        // There are no more preferences than a unit file has lines.
        let unmet = asked.prefer.unmet(&traits) as u32;
        let class = if asked.by_share { Class::of(&entry.facts.capacity) } else { Class::default() };
        let bucket = Bucket { value, unmet, class };
        let buckets = &mut self.buckets;
        let bucket = *self.by_bucket.entry(bucket).or_insert_with(|| {
            buckets.push((bucket, Sorted::default()));
            BucketIx(buckets.len() - 1)
        });
        let gauge = sources.gauges.of(machine);
        let said = Entry { standing: gauge.standing(self.by_share), machine, version: gauge.version };
        self.buckets[bucket.0].1.insert(said);
        self.entries += 1;
    }

    /// The first machine of a bucket from a place on. Those that were given more than is said here are put where they
    /// belong.
    pub(super) fn next(&mut self, bucket: BucketIx, from: Standing, gauges: &Gauges) -> Option<Entry> {
        let order = &mut self.buckets[bucket.0].1;
        loop {
            let said = order.from(&Entry::first_at(from))?;
            let gauge = gauges.of(said.machine);
            if said.version != gauge.version {
                order.remove(&said);
                self.entries -= 1;
                continue;
            }
            let standing = gauge.standing(self.by_share);
            if standing == said.standing {
                return Some(said);
            }
            order.remove(&said);
            order.insert(Entry { standing, ..said });
        }
    }
}

impl Entry {
    /// What is not after anything that stands there.
    fn first_at(standing: Standing) -> Self {
        Self { standing, machine: MachineIx::at(0), version: 0 }
    }
}
