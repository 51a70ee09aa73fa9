//! Machines that may be given units, in the order in which they are tried: least loaded first.
//!
//! There is one such order over all machines, and one for each metadata value that some unit asks for, so that a unit
//! which only few machines can take never looks at the others.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

use fleet_units::{MachineId, MetadataConstraints};

use super::slots::MachineIx;

/// Where a machine stands in the order. The machine that carries the registry comes last among equals, then the id
/// decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LoadKey {
    pub(super) load: u32,
    pub(super) carries_registry: bool,
    pub(super) id: MachineId,
    pub(super) machine: MachineIx,
}

type Order = BTreeSet<LoadKey>;

/// A metadata value that units ask for.
#[derive(Debug, Clone, Default)]
struct Wanted {
    /// By how many.
    units: usize,
    machines: Order,
}

/// The orders.
#[derive(Debug, Clone, Default)]
pub(super) struct LoadIndex {
    all: Order,
    /// By key, then value.
    values: BTreeMap<String, BTreeMap<String, Wanted>>,
}

impl LoadIndex {
    /// Puts a machine into the orders.
    pub(super) fn insert(&mut self, key: &LoadKey, metadata: &BTreeMap<String, String>) {
        self.all.insert(key.clone());
        self.each(metadata, |order| {
            order.insert(key.clone());
        });
    }

    /// Takes it out.
    pub(super) fn remove(&mut self, key: &LoadKey, metadata: &BTreeMap<String, String>) {
        self.all.remove(key);
        self.each(metadata, |order| {
            order.remove(key);
        });
    }

    fn each(&mut self, metadata: &BTreeMap<String, String>, mut act: impl FnMut(&mut Order)) {
        if self.values.is_empty() {
            return;
        }
        for (key, value) in metadata {
            if let Some(wanted) = self.values.get_mut(key).and_then(|values| values.get_mut(value)) {
                act(&mut wanted.machines);
            }
        }
    }

    /// A unit asks for these values from now on. `metadata` tells what a machine of the order has.
    pub(super) fn want<'a>(
        &mut self,
        constraints: &MetadataConstraints,
        metadata: impl Fn(MachineIx) -> &'a BTreeMap<String, String>,
    ) {
        for (key, value) in pairs(constraints) {
            let wanted = self.values.entry(key.to_owned()).or_default().entry(value.to_owned()).or_default();
            wanted.units += 1;
            if wanted.units == 1 {
                let has = |entry: &&LoadKey| metadata(entry.machine).get(key).is_some_and(|found| found == value);
                wanted.machines = self.all.iter().filter(has).cloned().collect();
            }
        }
    }

    /// It no longer does.
    pub(super) fn unwant(&mut self, constraints: &MetadataConstraints) {
        for (key, value) in pairs(constraints) {
            let Some(values) = self.values.get_mut(key) else { continue };
            if let Some(wanted) = values.get_mut(value) {
                wanted.units -= 1;
                if wanted.units == 0 {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.values.remove(key);
            }
        }
    }

    /// The machines worth trying for units with these constraints, least loaded first: all that have what the rarest
    /// demand asks for. Other demands are left to the filters.
    pub(super) fn candidates<'a>(
        &'a self,
        constraints: impl Iterator<Item = &'a MetadataConstraints>,
    ) -> Box<dyn Iterator<Item = MachineIx> + 'a> {
        let orders = |key: &str, values: &BTreeSet<String>| -> Vec<&'a Order> {
            let known = self.values.get(key);
            values.iter().filter_map(|value| known?.get(value)).map(|wanted| &wanted.machines).collect()
        };
        let size = |orders: &Vec<&Order>| orders.iter().map(|order| order.len()).sum::<usize>();
        let rarest = constraints
            .flat_map(MetadataConstraints::iter)
            .filter_map(|demand| Some(orders(&demand.key, demand.any_of()?)))
            .min_by_key(size)
            .filter(|orders| size(orders) < self.all.len());
        match rarest {
            None => Box::new(self.all.iter().map(|key| key.machine)),
            Some(orders) => Box::new(Merge::new(orders)),
        }
    }
}

fn pairs(constraints: &MetadataConstraints) -> impl Iterator<Item = (&str, &str)> {
    let indexed = constraints.iter().filter_map(|demand| Some((demand.key.as_str(), demand.any_of()?)));
    indexed.flat_map(|(key, values)| values.iter().map(move |value| (key, value.as_str())))
}

/// Several orders as one. No machine is in two: a key has one value on a machine.
struct Merge<'a> {
    orders: Vec<Peekable<std::collections::btree_set::Iter<'a, LoadKey>>>,
}

impl<'a> Merge<'a> {
    fn new(orders: Vec<&'a Order>) -> Self {
        Self { orders: orders.into_iter().map(|order| order.iter().peekable()).collect() }
    }
}

impl Iterator for Merge<'_> {
    type Item = MachineIx;

    fn next(&mut self) -> Option<MachineIx> {
        let first = |order: &mut Peekable<_>| order.peek().copied();
        let keys = self.orders.iter_mut().enumerate().filter_map(|(n, order)| Some((first(order)?, n)));
        let (_, n) = keys.min()?;
        self.orders[n].next().map(|key: &LoadKey| key.machine)
    }
}
