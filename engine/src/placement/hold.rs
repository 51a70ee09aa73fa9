//! Starts that wait: `After=` and `Requires=`, across machines.
//!
//! A unit is given its machine at once, and is loaded there; it is launched when what it names is active. So a place is
//! never lost by waiting. What was launched once stays launched where it is, whatever becomes of the others.
//!
//! `After=` waits for those that are to run, and have not failed; `Requires=` for all.

use std::collections::BTreeSet;
use std::fmt;

use fleet_registry::planted::{self, Fault};
use fleet_units::{DesiredState, Glob, MachineId, Peer, UnitName};

use super::cluster::Cluster;
use super::facts::Presence;
use super::graph::Cycle;
use super::slots::{MachineIx, UnitIx};
use super::small::Small;

/// What a machine says of a unit that it was told to launch, as it is now: this text, after the last restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    /// It runs, or has finished well.
    Active,
    /// systemd gave up on it.
    Failed,
}

/// Why the start of a unit waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// What it requires was not submitted.
    Missing {
        /// That unit.
        unit: UnitName,
    },
    /// No unit that people want to run matches a pattern of `Requires=`.
    NoneMatches {
        /// The pattern.
        pattern: Glob,
    },
    /// Nobody wants what it requires to run.
    Inactive {
        /// That unit.
        unit: UnitName,
    },
    /// What it requires has failed.
    Failed {
        /// That unit.
        unit: UnitName,
        /// Where.
        machine: MachineId,
    },
    /// What it waits for has no machine.
    Unplaced {
        /// That unit.
        unit: UnitName,
    },
    /// What it waits for was given to a machine that is absent.
    Absent {
        /// That unit.
        unit: UnitName,
        /// Where.
        machine: MachineId,
    },
    /// What it waits for has not come up yet.
    Starting {
        /// That unit.
        unit: UnitName,
        /// Where.
        machine: MachineId,
    },
    /// What it waits for waits itself.
    Waits {
        /// That unit.
        unit: UnitName,
    },
    /// Units wait for each other in a circle.
    Circle {
        /// Which.
        cycle: Cycle,
    },
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its start waits for ")?;
        match self {
            Self::Missing { unit } => write!(f, "{unit}, which does not exist"),
            Self::NoneMatches { pattern } => write!(f, "a unit that matches {pattern}"),
            Self::Inactive { unit } => write!(f, "{unit}, which nobody has started"),
            Self::Failed { unit, machine } => write!(f, "{unit}, which failed on {}", machine.short()),
            Self::Unplaced { unit } => write!(f, "{unit}, which has no machine"),
            Self::Absent { unit, machine } => write!(f, "{unit}, whose machine {} is absent", machine.short()),
            Self::Starting { unit, machine } => write!(f, "{unit}, which is starting on {}", machine.short()),
            Self::Waits { unit } => write!(f, "{unit}, whose start waits too"),
            Self::Circle { cycle } => write!(f, "itself, in a circle of After and Requires: {cycle}"),
        }
    }
}

impl Cluster {
    /// Tells on which machines a unit is active, or has failed; those that say neither are left out.
    pub fn set_activity(&mut self, name: &UnitName, activity: Vec<(MachineId, Activity)>) {
        let Some(unit) = self.units.find(name.as_str()) else { return };
        let activity = Small::from(activity);
        if self.units[unit].activity != activity {
            self.units[unit].activity = activity;
            self.touch_starts_after(unit);
        }
    }

    /// Tells which units a machine was told to launch, for loading: these do not wait any more.
    pub fn set_launched<'a>(&mut self, id: &MachineId, units: impl Iterator<Item = (&'a UnitName, i64)>) {
        let Some(machine) = self.machines.find(id.as_str()) else { return };
        for (name, uid) in units {
            let Some(unit) = self.units.find(name.as_str()) else { continue };
            let entry = &mut self.units[unit];
            if entry.orders_its_start() && entry.spec.as_ref().is_some_and(|spec| spec.uid == uid) {
                entry.rare.launched.insert(machine);
            }
        }
    }

    /// Tells on which of its machines a unit was told to launch: on no others. For whoever follows what others decide.
    pub fn replace_launched(&mut self, name: &UnitName, is_launched: impl Fn(&MachineId) -> bool) {
        let Some(unit) = self.units.find(name.as_str()) else { return };
        let entry = &self.units[unit];
        if entry.orders_its_start() {
            let launched = entry.places.iter().filter(|at| is_launched(&self.machines[**at].facts.id));
            self.units[unit].rare.launched = launched.copied().collect();
        }
    }

    /// A unit is on a machine no more: what was said of its start there does not hold when it comes back.
    pub(super) fn forget_start(&mut self, unit: UnitIx, machine: MachineIx) {
        if let Some(known) = self.units[unit].rare.known() {
            known.launched.remove(&machine);
            known.waits_on.remove(&machine);
        }
    }

    /// Something changed about a unit: its start, and those that wait for it, are to be looked at.
    pub(super) fn touch_starts(&mut self, unit: UnitIx) {
        if self.units[unit].orders_its_start() || self.units[unit].rare.hold.is_some() {
            self.starts_dirty.insert(unit);
        }
        self.touch_starts_after(unit);
    }

    /// The starts that wait for a unit are to be looked at.
    pub(super) fn touch_starts_after(&mut self, unit: UnitIx) {
        if !self.starts.is_empty() {
            self.starts_dirty.extend(self.starts.namers(&self.units[unit].name));
        }
    }

    /// Enters after whom a unit is started.
    pub(super) fn order_start(&mut self, unit: UnitIx, peers: &[Peer]) {
        for glob in self.starts.name(unit, peers.iter()) {
            let matching = self.names_matching(glob);
            self.starts.set_matches(glob, &matching);
        }
    }

    /// Decides which starts wait. `seen` is told of each unit before it is looked at.
    pub(super) fn settle_starts(&mut self, mut seen: impl FnMut(&Self, UnitIx)) {
        while let Some(unit) = self.starts_dirty.pop_first() {
            seen(self, unit);
            let before = self.units[unit].rare.hold.clone();
            self.settle_start(unit);
            if let Some(circle) = self.circle_of(unit) {
                let cycle = Cycle::new(circle.iter().map(|&member| self.units[member].name.clone()).collect());
                for member in circle {
                    seen(self, member);
                    self.units[member].rare.hold = Some(Hold::Circle { cycle: cycle.clone() });
                }
            }
            let after = &self.units[unit].rare.hold;
            let is_circle = |hold: &Option<Hold>| matches!(hold, Some(Hold::Circle { .. }));
            if before.is_some() != after.is_some() || is_circle(&before) != is_circle(after) {
                self.touch_starts_after(unit);
            }
        }
    }

    fn settle_start(&mut self, unit: UnitIx) {
        let entry = &self.units[unit];
        if entry.is_unreadable() {
            // Nobody knows whether it still is to wait.
            return;
        }
        let launches = entry.spec.as_ref().is_some_and(|spec| spec.desired == DesiredState::Launched);
        let mut places: Vec<MachineIx> = Vec::new();
        if launches && entry.orders_its_start() && !planted::is(Fault::StartNotHeld) {
            // What runs there already is taken over as it runs.
            let runs = |at: &MachineIx| {
                entry.rare.launched.contains(at) || entry.rare.found.contains(&self.machines[*at].facts.id)
            };
            places.extend(entry.places.iter().filter(|at| !runs(at)));
            places.sort_by(|a, b| self.machines[*a].facts.id.cmp(&self.machines[*b].facts.id));
        }
        let held = places.into_iter().filter_map(|machine| Some((machine, self.hold_at(unit, machine)?)));
        let held: Vec<(MachineIx, (Hold, Option<UnitIx>))> = held.collect();
        let entry = &mut self.units[unit];
        if held.is_empty() && entry.rare.known().is_none() {
            return;
        }
        let waits: Small<MachineIx> = held.iter().map(|(machine, _)| *machine).collect();
        let before = std::mem::replace(&mut entry.rare.waits_on, waits);
        let now = &entry.rare.waits_on;
        self.changed
            .extend(before.iter().filter(|at| !now.contains(at)).chain(now.iter().filter(|at| !before.contains(at))));
        let first = held.into_iter().next().map(|(_, first)| first);
        (entry.rare.hold, entry.rare.waits_for) = match first {
            Some((hold, waits_for)) => (Some(hold), waits_for),
            None => (None, None),
        };
    }

    /// The units for which the starts of these wait or may come to wait, by way of others too.
    pub(super) fn awaited_by(&self, members: &[UnitIx]) -> BTreeSet<UnitIx> {
        let mut awaited = BTreeSet::new();
        let mut stack = members.to_vec();
        while let Some(unit) = stack.pop() {
            let Some(wanted) = self.units[unit].requirements() else { continue };
            for peer in wanted.requires.iter().chain(&wanted.after) {
                stack.extend(self.named(unit, peer, &self.starts).filter(|other| awaited.insert(*other)));
            }
        }
        awaited
    }

    /// Why a unit is not to be started on a machine, and for whom it waits.
    fn hold_at(&self, unit: UnitIx, machine: MachineIx) -> Option<(Hold, Option<UnitIx>)> {
        let wanted = self.units[unit].requirements()?;
        let needed = wanted.requires.iter().map(|peer| (peer, true));
        needed.chain(wanted.after.iter().map(|peer| (peer, false))).find_map(|(peer, needed)| {
            let mut named: Vec<UnitIx> = self.named(unit, peer, &self.starts).collect();
            named.sort_by(|a, b| self.units[*a].name.cmp(&self.units[*b].name));
            match peer {
                Peer::Unit(name) if named.is_empty() && *name != self.units[unit].name => {
                    needed.then(|| (Hold::Missing { unit: name.clone() }, None))
                }
                Peer::Pattern(glob) if named.is_empty() && !glob.matches(self.units[unit].name.as_str()) => {
                    needed.then(|| (Hold::NoneMatches { pattern: glob.clone() }, None))
                }
                _ => named.into_iter().find_map(|other| self.hold_by(other, machine, needed)),
            }
        })
    }

    /// Why a start on a machine waits for a unit.
    fn hold_by(&self, other: UnitIx, machine: MachineIx, needed: bool) -> Option<(Hold, Option<UnitIx>)> {
        let entry = &self.units[other];
        let unit = entry.name.clone();
        let Some(spec) = &entry.spec else {
            return needed.then_some((Hold::Missing { unit }, None));
        };
        if spec.desired != DesiredState::Launched || entry.name.is_template() {
            return needed.then_some((Hold::Inactive { unit }, None));
        }
        // Of a unit that is everywhere counts the one on the same machine, where it has one.
        let here = entry.is_global() && entry.places.contains(&machine);
        let judged = entry.places.iter().copied().filter(|at| !here || *at == machine);
        let mut judged: Vec<MachineIx> = judged.collect();
        judged.sort_by(|a, b| self.machines[*a].facts.id.cmp(&self.machines[*b].facts.id));
        let says = |at: &MachineIx, what: Activity| {
            let facts = &self.machines[*at].facts;
            facts.presence == Presence::Present && entry.activity.contains(&(facts.id.clone(), what))
        };
        if judged.iter().any(|at| says(at, Activity::Active)) {
            return None;
        }
        let id = |at: MachineIx| self.machines[at].facts.id.clone();
        if let Some(&at) = judged.iter().find(|at| says(at, Activity::Failed)) {
            return needed.then(|| (Hold::Failed { unit, machine: id(at) }, None));
        }
        let hold = match judged.first() {
            None => Hold::Unplaced { unit },
            Some(_) if entry.rare.hold.is_some() => Hold::Waits { unit },
            Some(&at) if self.machines[at].facts.presence != Presence::Present => {
                Hold::Absent { unit, machine: id(at) }
            }
            Some(&at) => Hold::Starting { unit, machine: id(at) },
        };
        Some((hold, Some(other)))
    }

    /// The circle of waits that leads from a unit back to it.
    fn circle_of(&self, unit: UnitIx) -> Option<Vec<UnitIx>> {
        let mut circle = vec![unit];
        let mut seen = BTreeSet::from([unit]);
        let mut at = self.units[unit].rare.waits_for?;
        while at != unit {
            // Whoever waits for a circle need not be in it.
            if !seen.insert(at) {
                return None;
            }
            circle.push(at);
            at = self.units[at].rare.waits_for?;
        }
        Some(circle)
    }
}
