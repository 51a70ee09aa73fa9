//! What units use of a machine, and whether it has room for more.
//!
//! What a machine is still stopping uses its room until the machine says that it is gone. A unit that is on a machine
//! stays there even if the machine has less than its units ask for by now.

use std::fmt;

use fleet_registry::planted::{self, Fault};
use fleet_units::{Requirements, format_bytes, format_cpu};

use super::cluster::Cluster;
use super::facts::Capacity;
use super::rejection::Rejection;
use super::slots::{MachineIx, UnitIx};

/// What a machine has only so much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// `Memory=`
    Memory,
    /// `CPU=`
    Cpu,
}

impl Resource {
    pub(super) const ALL: [Self; 2] = [Self::Memory, Self::Cpu];

    /// So much of it, in words.
    #[must_use]
    pub fn show(self, amount: u64) -> String {
        match self {
            Self::Memory => format_bytes(amount),
            Self::Cpu => format_cpu(amount),
        }
    }

    /// The option that asks for it.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Memory => "Memory",
            Self::Cpu => "CPU",
        }
    }

    /// How much of it a unit asks for.
    pub(super) fn asked(self, wanted: &Requirements) -> u64 {
        Amount::of(wanted).get(self)
    }

    pub(super) fn of(self, capacity: &Capacity) -> Option<u64> {
        match self {
            Self::Memory => capacity.memory,
            Self::Cpu => capacity.cpu_millis,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Cpu => "CPU",
        })
    }
}

/// So much of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    memory: u64,
    cpu_millis: u64,
}

impl Amount {
    /// What a unit asks for.
    pub(super) fn of(wanted: &Requirements) -> Self {
        Self { memory: wanted.memory.unwrap_or(0), cpu_millis: wanted.cpu_millis.unwrap_or(0) }
    }

    pub(super) fn is_nothing(self) -> bool {
        self == Self::default()
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_add(other.memory),
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_sub(other.memory),
            cpu_millis: self.cpu_millis.saturating_sub(other.cpu_millis),
        }
    }

    /// The larger of each.
    pub(super) fn most(self, other: Self) -> Self {
        Self { memory: self.memory.max(other.memory), cpu_millis: self.cpu_millis.max(other.cpu_millis) }
    }

    pub(super) fn get(self, resource: Resource) -> u64 {
        match resource {
            Resource::Memory => self.memory,
            Resource::Cpu => self.cpu_millis,
        }
    }

    /// Which share of a machine this is, in millionths: of the resource of which it is the larger.
    pub(super) fn share(self, capacity: &Capacity) -> u32 {
        let of = |resource: Resource| {
            let used = u128::from(self.get(resource)) * 1_000_000;
            resource.of(capacity).map_or(0, |all| used / u128::from(all.max(1)))
        };
        Resource::ALL.into_iter().map(of).max().unwrap_or(0).try_into().unwrap_or(u32::MAX)
    }
}

/// Machines of one class have about as much of everything: each resource to a factor of two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Class {
    memory: u8,
    cpu: u8,
}

impl Class {
    pub(super) fn of(capacity: &Capacity) -> Self {
        let bits = |amount: Option<u64>| amount.map_or(0, |amount| 64 - amount.leading_zeros() as u8);
        Self { memory: bits(capacity.memory), cpu: bits(capacity.cpu_millis) }
    }

    /// Whether one of them, empty, may have room for this.
    pub(super) fn may_hold(self, asked: Amount) -> bool {
        let fits = |bits: u8, amount: u64| amount == 0 || u128::from(amount) < 1_u128 << bits;
        fits(self.memory, asked.memory) && fits(self.cpu, asked.cpu_millis)
    }
}

impl Cluster {
    /// What these ask for together.
    pub(super) fn asked(&self, members: &[UnitIx]) -> Amount {
        members.iter().fold(Amount::default(), |sum, &unit| sum.plus(self.units[unit].asks))
    }

    /// Why a machine has no room for these.
    pub(super) fn rejection_by_room(&self, members: &[UnitIx], machine: MachineIx) -> Option<Rejection> {
        let asked = self.asked(members);
        if asked.is_nothing() || planted::is(Fault::NoRoomAsked) {
            return None;
        }
        let entry = &self.machines[machine];
        let together = members.len() > 1;
        // Who is there already needs no more than it has.
        let here = members.iter().filter(|unit| self.units[**unit].places.contains(&machine));
        let used_by_others = here.fold(entry.used, |sum, &unit| sum.minus(self.units[unit].asks));
        for resource in Resource::ALL.into_iter().filter(|&resource| asked.get(resource) > 0) {
            let asked = asked.get(resource);
            let free = resource.of(&entry.facts.capacity).map(|all| all.saturating_sub(used_by_others.get(resource)));
            if free.is_none_or(|free| free < asked) {
                return Some(Rejection::Resources { resource, free, asked, together });
            }
        }
        if entry.leaving.is_empty() || planted::is(Fault::RoomNotReserved) {
            return None;
        }
        let back = members.iter().filter(|unit| entry.leaving.contains_key(unit));
        let stopping = back.fold(entry.stopping, |sum, &unit| sum.minus(self.units[unit].asks));
        let short = Resource::ALL.into_iter().find(|&resource| {
            let all = resource.of(&entry.facts.capacity).unwrap_or(0);
            let used = used_by_others.plus(stopping).get(resource);
            asked.get(resource) > 0 && all.saturating_sub(used) < asked.get(resource)
        })?;
        let uses = |unit: &UnitIx| !members.contains(unit) && self.units[*unit].asks.get(short) > 0;
        let unit = self.first_by_name(entry.leaving.keys().copied().filter(uses))?;
        Some(Rejection::StillUsed { unit: self.units[unit].name.clone() })
    }
}
