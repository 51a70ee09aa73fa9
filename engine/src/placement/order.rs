//! Machines that may be given units, in the order in which they are tried.
//!
//! What decides about the order, and about which machines are worth trying, is alike for many units: it is kept once, as
//! a *profile*. Each profile that is in use has its machines in order, so that a unit that only few machines can take
//! never looks at the others. An order is mended when it is used: a machine that was given more since then is put
//! further back when it is met; any other change of a machine is in a log, which each order reads on from where it was.

mod built;
mod progress;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleet_units::{MetadataConstraints, Requirements};

use self::built::Built;
use self::progress::Progresses;
use super::cluster::Cluster;
use super::facts::MachineFacts;
use super::machine::Machines;
use super::slots::{MachineIx, UnitIx};
pub(super) use walk::Walk;

/// Where a machine stands among those that are alike but for their load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    place: u128,
    pub(super) machine: MachineIx,
}

impl Standing {
    /// The share that is used of a machine decides, then how many units it has; the one that carries the registry comes
    /// last among equals, then the rank of the id decides.
    pub(super) fn new(share: u32, load: u32, carries_registry: bool, rank: u64, machine: MachineIx) -> Self {
        // Machines have a few thousand units, far below what 31 bits hold.
        let load = u128::from(load) << 1 | u128::from(carries_registry);
        Self { place: u128::from(share) << 96 | load << 64 | u128::from(rank), machine }
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
    /// How many units ask it by themselves; none for what only several together do.
    units: usize,
    built: Option<Built>,
}

/// The machines that have each value of each key.
type Values = BTreeMap<String, BTreeMap<String, BTreeSet<MachineIx>>>;

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
    values: Values,
    /// Machines that changed otherwise than by being given more.
    log: Vec<MachineIx>,
    /// How many changes are not in the log any more.
    forgotten: usize,
    /// Whether there is an order that would have to hear of changes.
    begun: bool,
    /// How many machines the orders have together.
    entries: usize,
    progresses: Progresses,
}

impl Orders {
    /// A unit asks for this from now on.
    pub(super) fn hold(&mut self, wanted: &Arc<Requirements>) -> ProfileIx {
        // Units of one template come one after the other.
        let last = self.last.as_ref().filter(|(last, _)| Arc::ptr_eq(last, wanted)).map(|(_, profile)| *profile);
        let profile = last.unwrap_or_else(|| self.intern(Asked::of(wanted)));
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

    fn intern(&mut self, asked: Asked) -> ProfileIx {
        if let Some(&known) = self.by_asked.get(&asked) {
            return known;
        }
        let profile = self.free.pop().unwrap_or_else(|| {
            self.profiles.push(None);
            ProfileIx(self.profiles.len() - 1)
        });
        self.profiles[profile.0] = Some(Profile { asked: asked.clone(), units: 0, built: None });
        self.by_asked.insert(asked, profile);
        profile
    }

    /// What these ask together, the first of them first.
    fn union(&mut self, mut of: Vec<ProfileIx>) -> Option<ProfileIx> {
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
        let union = self.intern(asked);
        self.unions.insert(of, union);
        Some(union)
    }

    fn profile(&self, profile: ProfileIx) -> &Profile {
        self.profiles[profile.0].as_ref().expect("a profile is used only while a unit has it")
    }

    fn profile_mut(&mut self, profile: ProfileIx) -> &mut Profile {
        self.profiles[profile.0].as_mut().expect("a profile is used only while a unit has it")
    }

    /// A machine has this metadata from now on.
    pub(super) fn add_values(&mut self, machine: MachineIx, facts: &MachineFacts) {
        for (key, value) in &facts.metadata {
            let values = self.values.entry(key.clone()).or_default();
            values.entry(value.clone()).or_default().insert(machine);
        }
    }

    /// It no longer has.
    pub(super) fn remove_values(&mut self, machine: MachineIx, facts: &MachineFacts) {
        for (key, value) in &facts.metadata {
            let Some(values) = self.values.get_mut(key) else { continue };
            if let Some(machines) = values.get_mut(value) {
                machines.remove(&machine);
                if machines.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.values.remove(key);
            }
        }
    }

    /// A machine changed otherwise than by being given more.
    pub(super) fn changed(&mut self, machine: MachineIx) {
        if self.begun {
            self.log.push(machine);
        }
    }

    /// All machines are to be looked at anew.
    pub(super) fn forget(&mut self) {
        for profile in self.profiles.iter_mut().flatten() {
            profile.built = None;
        }
        self.entries = 0;
        self.begun = false;
        self.progresses = Progresses::default();
    }

    /// The order of a profile, as it is now; it is taken out, for the caller to put back.
    fn take(&mut self, profile: ProfileIx, machines: &Machines) -> Built {
        if self.log.len() > 2 * machines.len() + 64 {
            self.forgotten += self.log.len();
            self.log.clear();
        }
        // Reading a long log costs more than beginning anew.
        let few = machines.len() / 4 + 64;
        let (forgotten, now) = (self.forgotten, self.forgotten + self.log.len());
        let entry = self.profiles[profile.0].as_mut().expect("a profile is used only while a unit has it");
        self.entries -= entry.built.as_ref().map_or(0, Built::len);
        let known = entry.built.take().filter(|built| built.read >= forgotten && now - built.read <= few);
        match known {
            Some(mut built) => {
                let at = built.read - forgotten;
                for &machine in &self.log[at..] {
                    built.update(machine, &entry.asked, machines);
                }
                built.read = now;
                built.settle(&entry.asked, machines);
                built
            }
            None => {
                let mut built = match rarest(&self.values, &entry.asked.metadata) {
                    Some(few) => Built::new(&entry.asked, few.iter().flat_map(|few| few.iter().copied()), machines),
                    None => Built::new(&entry.asked, machines.iter().map(|(machine, _)| machine), machines),
                };
                built.read = now;
                built
            }
        }
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
        let known = values.get(&demand.key);
        Some(demand.any_of()?.iter().filter_map(|value| known?.get(value)).collect::<Vec<_>>())
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
                self.orders.union(each)
            }
        }
    }
}
