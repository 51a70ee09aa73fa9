//! Machines that may be given units, in the order in which they are tried.
//!
//! What decides about the order, and about which machines are worth trying, is alike for many units: it is kept once, as
//! a *profile*. Each profile that is in use has its machines in order, so that a unit that only few machines can take
//! never looks at the others. An order is mended when it is used: a machine that was given more since then is put
//! further back when it is met; any other change of a machine is in a log, which each order reads on from where it was.

mod built;
mod course;
mod gauges;
mod sorted;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleet_units::{MetadataConstraints, Requirements};

use self::built::{Built, Sources};
use self::gauges::{Gauge, Gauges};
use super::cluster::Cluster;
use super::machine::Machines;
use super::slots::{KeyIx, MachineIx, UnitIx};
use super::values::Values;
pub(super) use walk::Walk;

/// Where a machine stands among those that are alike but for their load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    used: u64,
    rank: u64,
}

impl Standing {
    /// The share that is used of a machine decides, then how many units it has; the one that carries the registry comes
    /// last among equals, then the rank of the id decides.
    pub(super) fn new(share: u32, load: u32, carries_registry: bool, rank: u64) -> Self {
        // Machines have a few thousand units, far below what 31 bits hold.
        let load = u64::from(load) << 1 | u64::from(carries_registry);
        Self { used: u64::from(share) << 32 | load, rank }
    }

    /// No machine stands before this.
    const FIRST: Self = Self { used: 0, rank: 0 };

    /// What comes after, with nothing in between: no rank is the highest that there is.
    fn next(self) -> Self {
        Self { rank: self.rank + 1, ..self }
    }
}

/// What decides about the order of machines.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asked {
    pub(super) metadata: MetadataConstraints,
    pub(super) prefer: MetadataConstraints,
    pub(super) spread_by: Option<String>,
    /// By what is used of a machine, not by how many units it has.
    pub(super) by_share: bool,
}

impl Asked {
    fn of(wanted: &Requirements) -> Self {
        Self {
            metadata: wanted.metadata.clone(),
            prefer: wanted.prefer.clone(),
            spread_by: wanted.spread_by.clone(),
            by_share: wanted.asks_resources(),
        }
    }

    /// What both ask for; the first decides over what to spread.
    fn and(self, other: &Self) -> Self {
        Self {
            metadata: self.metadata.and(&other.metadata),
            prefer: self.prefer.and(&other.prefer),
            spread_by: self.spread_by.or_else(|| other.spread_by.clone()),
            by_share: self.by_share || other.by_share,
        }
    }
}

/// The number of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ProfileIx(usize);

/// What many units ask alike.
#[derive(Debug, Clone)]
struct Profile {
    asked: Asked,
    /// The key to spread over.
    spread: Option<KeyIx>,
    /// How many units ask it by themselves; none for what only several together do.
    units: usize,
    built: Option<Built>,
}

/// More machines than this in all orders together, and they are made anew one by one.
const MAX_ENTRIES: usize = 2_000_000;

/// All profiles.
#[derive(Debug, Clone, Default)]
pub(super) struct Orders {
    profiles: Vec<Option<Profile>>,
    free: Vec<ProfileIx>,
    by_asked: BTreeMap<Asked, ProfileIx>,
    /// What the last unit asked, and its profile.
    last: Option<(Arc<Requirements>, ProfileIx)>,
    /// What units that must be together ask, by the profiles of each.
    unions: BTreeMap<Vec<ProfileIx>, ProfileIx>,
    gauges: Gauges,
    /// Machines that changed otherwise than by being given more, and which version of it that is.
    log: Vec<(MachineIx, u32)>,
    /// How many changes are not in the log any more.
    forgotten: usize,
    /// Whether there is an order that would have to hear of changes.
    begun: bool,
    /// How many machines the orders have together.
    entries: usize,
}

impl Orders {
    /// A unit asks for this from now on.
    pub(super) fn hold(&mut self, wanted: &Arc<Requirements>, values: &mut Values) -> ProfileIx {
        // Units of one template come one after the other.
        let last = self.last.as_ref().filter(|(last, _)| Arc::ptr_eq(last, wanted)).map(|(_, profile)| *profile);
        let profile = last.unwrap_or_else(|| self.intern(Asked::of(wanted), values));
        self.last = Some((Arc::clone(wanted), profile));
        self.profile_mut(profile).units += 1;
        profile
    }

    /// It no longer does.
    pub(super) fn release(&mut self, profile: ProfileIx) {
        let entry = self.profile_mut(profile);
        entry.units -= 1;
        if entry.units > 0 {
            return;
        }
        self.last = None;
        let of_it = |of: &Vec<ProfileIx>| of.contains(&profile);
        let mut unused: Vec<ProfileIx> =
            self.unions.iter().filter(|(of, _)| of_it(of)).map(|(_, &union)| union).collect();
        self.unions.retain(|of, _| !of_it(of));
        unused.push(profile);
        let still: BTreeSet<ProfileIx> = self.unions.values().copied().collect();
        for profile in unused.into_iter().filter(|profile| !still.contains(profile)) {
            let unused = self.profiles[profile.0].as_ref().is_some_and(|entry| entry.units == 0);
            if unused && let Some(gone) = self.profiles[profile.0].take() {
                self.entries -= gone.built.map_or(0, |built| built.len());
                self.by_asked.remove(&gone.asked);
                self.free.push(profile);
            }
        }
    }

    fn intern(&mut self, asked: Asked, values: &mut Values) -> ProfileIx {
        if let Some(&known) = self.by_asked.get(&asked) {
            return known;
        }
        let profile = self.free.pop().unwrap_or_else(|| {
            self.profiles.push(None);
            ProfileIx(self.profiles.len() - 1)
        });
        let spread = asked.spread_by.as_deref().map(|key| values.number(key));
        self.profiles[profile.0] = Some(Profile { asked: asked.clone(), spread, units: 0, built: None });
        self.by_asked.insert(asked, profile);
        profile
    }

    /// What these ask together, the first of them first.
    fn union(&mut self, mut of: Vec<ProfileIx>, values: &mut Values) -> Option<ProfileIx> {
        let mut seen = BTreeSet::new();
        of.retain(|profile| seen.insert(*profile));
        if of.len() <= 1 {
            return of.first().copied();
        }
        if let Some(&known) = self.unions.get(&of) {
            return Some(known);
        }
        let each = of.iter().map(|&profile| self.profile(profile).asked.clone());
        let asked = each.reduce(|all, next| all.and(&next))?;
        let union = self.intern(asked, values);
        self.unions.insert(of, union);
        Some(union)
    }

    fn profile(&self, profile: ProfileIx) -> &Profile {
        self.profiles[profile.0].as_ref().expect("a profile is used only while a unit has it")
    }

    fn profile_mut(&mut self, profile: ProfileIx) -> &mut Profile {
        self.profiles[profile.0].as_mut().expect("a profile is used only while a unit has it")
    }

    /// The key that units of a profile spread over.
    fn spread_of(&self, profile: ProfileIx) -> Option<KeyIx> {
        self.profile(profile).spread
    }

    /// There is another machine, perhaps of the number of one that is gone.
    pub(super) fn add(&mut self, machine: MachineIx) {
        let version = self.gauges.of(machine).version;
        *self.gauges.of_mut(machine) = Gauge { version, ..Gauge::default() };
    }

    /// What decides where a machine stands.
    pub(super) fn gauge(&self, machine: MachineIx) -> Gauge {
        self.gauges.of(machine)
    }

    /// The same, to be kept with every unit that comes to the machine or leaves it.
    pub(super) fn gauge_mut(&mut self, machine: MachineIx) -> &mut Gauge {
        self.gauges.of_mut(machine)
    }

    /// A machine changed otherwise than by being given more.
    pub(super) fn changed(&mut self, machine: MachineIx) {
        let gauge = self.gauges.of_mut(machine);
        gauge.version = gauge.version.wrapping_add(1);
        if self.begun {
            self.log.push((machine, gauge.version));
        }
    }

    /// All machines are to be looked at anew.
    pub(super) fn forget(&mut self) {
        for profile in self.profiles.iter_mut().flatten() {
            profile.built = None;
        }
        self.entries = 0;
        self.begun = false;
    }

    /// The order of a profile, as it is now; it is taken out, for the caller to put back.
    fn take(&mut self, profile: ProfileIx, machines: &Machines, values: &Values) -> Built {
        if self.log.len() > 2 * machines.len() + 64 {
            self.forgotten += self.log.len();
            self.log.clear();
        }
        // Reading a long log costs more than beginning anew.
        let few = machines.len() / 4 + 64;
        let (forgotten, now) = (self.forgotten, self.forgotten + self.log.len());
        let entry = self.profiles[profile.0].as_mut().expect("a profile is used only while a unit has it");
        self.entries -= entry.built.as_ref().map_or(0, Built::len);
        let is_good = |built: &Built| built.read >= forgotten && now - built.read <= few && !built.is_worn(values);
        let sources = Sources { machines, values, gauges: &self.gauges };
        let (asked, spread) = (&entry.asked, entry.spread);
        let mut built = match entry.built.take().filter(is_good) {
            Some(mut built) => {
                let unread = &self.log[built.read - forgotten..];
                if !unread.is_empty() {
                    built.courses.clear();
                }
                // What a machine is now is said once, with its last change.
                let last = unread.iter().filter(|(machine, version)| *version == self.gauges.of(*machine).version);
                last.for_each(|(machine, _)| built.enter(*machine, asked, sources));
                built
            }
            None => match rarest(values, &asked.metadata) {
                Some(few) => Built::new(asked, spread, few.into_iter().flatten().copied(), sources),
                None => Built::new(asked, spread, machines.iter().map(|(machine, _)| machine), sources),
            },
        };
        built.read = now;
        built
    }

    /// Puts an order back.
    fn put(&mut self, profile: ProfileIx, built: Built) {
        self.begun = true;
        self.entries += built.len();
        self.profile_mut(profile).built = Some(built);
        if self.entries > MAX_ENTRIES {
            self.forget();
        }
    }
}

/// The machines that have what the rarest demand asks for, by value.
fn rarest<'a>(values: &'a Values, demands: &MetadataConstraints) -> Option<Vec<&'a BTreeSet<MachineIx>>> {
    let machines = demands.iter().filter_map(|demand| {
        let known = |value: &String| values.machines(&demand.key, value);
        Some(demand.any_of()?.iter().filter_map(known).collect::<Vec<_>>())
    });
    machines.min_by_key(|machines| machines.iter().map(|of_value| of_value.len()).sum::<usize>())
}

impl Cluster {
    /// What these ask of the order of machines.
    fn profile_of(&mut self, members: &[UnitIx]) -> Option<ProfileIx> {
        match members {
            &[unit] => self.units[unit].profile,
            _ => {
                let each = members.iter().filter_map(|&unit| self.units[unit].profile).collect();
                self.orders.union(each, &mut self.values)
            }
        }
    }
}

#[cfg(test)]
mod tests;
