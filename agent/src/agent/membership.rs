//! Which cluster this machine is a member of, when the store is another's: what a person is shown, and may decide.
//!
//! A machine that finds another cluster's store, or an empty one, touches nothing. Once a person accepts it, the machine
//! is a member there, and what still runs from before are orphans: no schedule of this cluster ever listed them. An
//! orphan is shown, and left alone until a person says that it is to stop, or asks the new cluster for the very same
//! unit, which it then is.

use std::collections::BTreeSet;

use fleet_registry::Now;
use fleet_registry::record::{Assignment, ClusterId, Target};
use fleet_units::UnitName;

use super::unit::{LEFT, Unit};
use super::{Agent, Standing};
use crate::effect::{Effect, Memory};
use crate::reconcile::Stage;
use crate::report::Report;

/// A store that is not of this machine's cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The cluster of this machine.
    pub remembered: ClusterId,
    /// The cluster of the store; none where it is empty.
    pub found: Option<ClusterId>,
    /// What this machine holds of its own cluster, and what would be orphans in the other.
    pub units: BTreeSet<UnitName>,
}

/// What becomes of an orphan.
pub(super) enum Fate {
    /// Nothing.
    Left,
    /// It is stopped and removed: a person said so, or nothing of it runs and its name is needed.
    Stopped,
    /// It is the unit that is wanted.
    Adopted,
    /// Nothing, though its name is wanted for another unit.
    InTheWay,
}

impl Unit {
    /// What becomes of this orphan, where this is wanted of its name.
    pub(super) fn fate(&self, wanted: Option<&Assignment>) -> Fate {
        if self.condemned {
            return Fate::Stopped;
        }
        let (Some(wanted), Some(held)) = (wanted, &self.held) else { return Fate::Left };
        let runs = self.report.as_ref().is_none_or(|report| report.may_run());
        match wanted.target {
            Target::Launched if held.content == wanted.content => Fate::Adopted,
            // Whether CoreOS fleet had started it or systemd did, as for a socket, nobody knows any more: it goes on.
            Target::Loaded if held.content == wanted.content && held.uid == LEFT => Fate::Adopted,
            _ if !runs => Fate::Stopped,
            _ => Fate::InTheWay,
        }
    }

    /// From now on it is the unit that is wanted.
    pub(super) fn adopt_as(&mut self, wanted: &Assignment, cluster: Option<ClusterId>) {
        if let Some(held) = &mut self.held {
            if held.uid == LEFT && wanted.target == Target::Loaded {
                (held.stage, held.starting) = (Stage::Loaded, false);
            }
            (held.uid, held.restarts, held.noted) = (wanted.uid, wanted.restarts, false);
        }
        self.cluster = cluster;
        self.error.clear();
    }
}

impl Agent {
    /// The store that is not of this machine's cluster, if that is what was found last.
    pub(super) fn foreign(&self) -> Option<Foreign> {
        let Some(Report::ForeignStore { remembered, found }) = &self.trouble else { return None };
        let own = self.units.iter().filter(|(_, unit)| unit.is_own(Some(remembered)));
        let units = own.map(|(name, _)| name.clone()).collect();
        Some(Foreign { remembered: remembered.clone(), found: found.clone(), units })
    }

    /// A person makes this machine a member of the cluster whose store was found. Nothing happens if it was another one
    /// that they saw.
    pub(super) fn join(&mut self, now: Now, found: Option<ClusterId>, out: &mut Vec<Effect>) {
        if self.foreign().is_none_or(|foreign| foreign.found != found) {
            return;
        }
        self.trouble = None;
        self.forget_schedule();
        self.stand_down(out);
        match found {
            Some(id) => {
                self.standing = if self.lease.is_some() { Standing::Checking } else { Standing::NoLease };
                out.push(Effect::Log(Report::Joined(id.clone())));
                self.remember_cluster(id, out);
            }
            None => {
                self.cluster = None;
                self.begin(now, out);
            }
        }
    }

    /// What a schedule said was of another cluster.
    pub(super) fn forget_schedule(&mut self) {
        self.memory = Memory::default();
        self.schedule = None;
        for unit in self.units.values_mut() {
            (unit.wanted, unit.unlisted) = (None, false);
        }
    }

    /// A person wants an orphan to stop. What is none is left as it is.
    pub(super) fn stop_orphan(&mut self, name: &UnitName) {
        let cluster = self.cluster.as_ref();
        if let Some(unit) = self.units.get_mut(name).filter(|unit| unit.held.is_some() && !unit.is_own(cluster)) {
            unit.condemned = true;
            unit.new_attempt();
            self.work.dirty.insert(name.clone());
        }
    }

    /// Says that an orphan is in the way of a unit of the same name, until it is not any more.
    pub(super) fn show_in_the_way(&mut self, now: Now, name: &UnitName, out: &mut Vec<Effect>) {
        let Some(unit) = self.units.get_mut(name) else { return };
        let why =
            "an orphan of this name and of another text runs here, and is left alone: \"fleetctl orphans stop\" it";
        if unit.error != why {
            unit.error = why.to_owned();
            out.push(Effect::Log(Report::UnitTrouble { unit: name.clone(), why: why.to_owned() }));
        }
        self.publish_now(name, now.mono);
    }
}
