//! Starts that wait for others, checked by brute force and without a look at the engine's code.

use std::collections::BTreeSet;

use fleet_engine::placement::{Activity, Presence};
use fleet_units::{DesiredState, MachineId, Peer, UnitName};

use crate::model::Model;

impl Model {
    fn is_to_run(&self, name: &UnitName) -> bool {
        self.units.get(name).is_some_and(|unit| unit.desired == DesiredState::Launched) && !name.is_template()
    }

    /// Whether a unit is as told on a machine that counts for a start on this one.
    fn says(&self, name: &UnitName, what: Activity, start_on: &MachineId) -> bool {
        let places = self.listed().remove(name).unwrap_or_default();
        let here = self.global(name) && places.contains(start_on);
        let mut judged = places.iter().filter(|id| !here || *id == start_on);
        judged.any(|id| {
            let is_there = self.machines.get(id).is_some_and(|facts| facts.presence == Presence::Present);
            is_there && self.activity.get(name).and_then(|said| said.get(id)) == Some(&what)
        })
    }

    /// The units that a start may wait for.
    fn named(&self, name: &UnitName, peer: &Peer) -> Vec<UnitName> {
        match peer {
            Peer::Unit(unit) => vec![unit.clone()],
            Peer::Pattern(glob) => {
                let wanted = |unit: &&UnitName| {
                    glob.matches(unit.as_str())
                        && *unit != name
                        && self.units[*unit].desired > DesiredState::Inactive
                        && !unit.is_template()
                };
                self.units.keys().filter(wanted).cloned().collect()
            }
        }
    }

    /// The units for which the start of one may wait, by way of others too.
    pub(crate) fn awaited_by(&self, name: &UnitName) -> BTreeSet<UnitName> {
        let mut awaited = BTreeSet::new();
        let mut next = vec![name.clone()];
        while let Some(unit) = next.pop() {
            let Some(entry) = self.units.get(&unit) else { continue };
            let peers = entry.requirements.requires.iter().chain(&entry.requirements.after);
            let named = peers.flat_map(|peer| self.named(&unit, peer));
            next.extend(named.filter(|other| awaited.insert(other.clone())).collect::<Vec<_>>());
        }
        awaited
    }

    fn may_start(&self, name: &UnitName, on: &MachineId) -> bool {
        let wanted = &self.units[name].requirements;
        let active = |unit: &UnitName| self.says(unit, Activity::Active, on);
        let required = |peer: &Peer| {
            let named = self.named(name, peer);
            let nobody = named.is_empty() && !peer.matches(name);
            !nobody && named.iter().all(|unit| self.is_to_run(unit) && active(unit))
        };
        let over = |unit: &UnitName| !self.is_to_run(unit) || active(unit) || self.says(unit, Activity::Failed, on);
        let after = |peer: &Peer| self.named(name, peer).iter().all(over);
        wanted.requires.iter().all(required) && wanted.after.iter().all(after)
    }

    /// Every unit that was launched before what it waits for was active, or is not launched though all is.
    pub(crate) fn disordered(&self) -> Vec<String> {
        let mut found = Vec::new();
        let launched = self.launched();
        for (name, id, uid) in &launched {
            let is_new = !self.launched.contains(&(name.clone(), id.clone(), *uid));
            let runs = self.found.get(name).is_some_and(|found| found.contains(id));
            if is_new && !runs && !self.may_start(name, id) {
                found.push(format!("{name} was launched on {id} too early"));
            }
        }
        for (name, places) in self.listed() {
            for id in places.iter().filter(|_| self.is_to_run(&name)) {
                let uid = self.units[&name].uid;
                if !launched.contains(&(name.clone(), id.clone(), uid)) && self.may_start(&name, id) {
                    found.push(format!("{name} is not launched on {id}"));
                }
            }
        }
        found
    }
}
