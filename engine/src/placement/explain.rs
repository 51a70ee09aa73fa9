//! Every machine's verdict on a unit, by the code that decides.

use fleet_units::{MachineId, UnitName};

use super::cluster::Cluster;
use super::decision::{Outcome, Rejection};
use super::facts::Presence;
use super::slots::{MachineIx, UnitIx};

/// What each machine would answer about a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was decided.
    pub outcome: Outcome,
    /// Where it is.
    pub places: Vec<MachineId>,
    /// Each machine that is known: how many units it has, and the first filter that rejects.
    pub verdicts: Vec<(MachineId, u32, Option<Rejection>)>,
}

impl Cluster {
    /// Explains a unit; none if there is no such unit.
    #[must_use]
    pub fn explain(&self, name: &UnitName) -> Option<Explanation> {
        let unit = self.units.find(name.as_str())?;
        self.units[unit].spec.as_ref()?;
        let verdicts = self.machines.iter().map(|(machine, entry)| {
            let rejection = if entry.facts.presence != Presence::Present {
                Some(entry.facts.absence())
            } else if entry.units.contains(&unit) {
                self.rejection_kept(unit, machine)
            } else {
                self.rejection_new(unit, machine).or_else(|| self.rejection_by_group(unit, machine))
            };
            (entry.facts.id.clone(), entry.load(), rejection)
        });
        let outcome = self.units[unit].outcome.clone();
        Some(Explanation { outcome, places: self.places(name), verdicts: verdicts.collect() })
    }

    /// A unit that `MachineOf=` names and that is elsewhere.
    fn rejection_by_group(&self, unit: UnitIx, machine: MachineIx) -> Option<Rejection> {
        let wanted = self.units[unit].requirements()?;
        wanted.machine_of.iter().find_map(|peer| {
            let entry = &self.units[self.units.find(peer.as_str())?];
            let elsewhere = entry.places.iter().find(|at| **at != machine)?;
            let machine = self.machines[*elsewhere].facts.id.clone();
            (!entry.is_global()).then(|| Rejection::GroupElsewhere { peer: peer.clone(), machine })
        })
    }
}
