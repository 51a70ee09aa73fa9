//! When machines that are drained have nothing left.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::v2::{NoteKind, Orphan, UnitView, WatchLine};
use fleet_units::DesiredState;

use crate::fields;

/// After so many seconds nothing more is expected to be decided about units that have left.
const SETTLED: u32 = 5;

/// Waits until machines run none of the units that run on one machine alone.
#[derive(Debug)]
pub struct Emptying {
    machines: BTreeSet<String>,
    /// Unit and machine: these are not fleet's to stop.
    orphans: BTreeSet<(String, String)>,
    units: BTreeMap<String, UnitView>,
    /// Units that were seen on one of the machines, and since when what was noted of each then was so.
    left: BTreeMap<String, Option<u64>>,
    /// Seconds since nothing is left.
    idle: u32,
    /// Before the first snapshot, and when fleetd has lost touch with the registry, nothing is known.
    is_known: bool,
}

impl Emptying {
    /// Begins to wait for machines, by full id.
    pub fn new(machines: impl IntoIterator<Item = String>, orphans: &[Orphan]) -> Self {
        let orphans = orphans.iter().map(|orphan| (orphan.unit.clone(), orphan.machine.id.clone())).collect();
        Self {
            machines: machines.into_iter().collect(),
            orphans,
            units: BTreeMap::new(),
            left: BTreeMap::new(),
            idle: 0,
            is_known: false,
        }
    }

    /// Takes the next line of a watch of all units.
    pub fn observe(&mut self, line: WatchLine) {
        match line {
            WatchLine::Snapshot { units, .. } => {
                self.units.clear();
                units.into_iter().for_each(|unit| self.take(unit));
            }
            WatchLine::Unit { unit, .. } => self.take(*unit),
            WatchLine::Gone { name, .. } => _ = self.units.remove(&name),
            WatchLine::Stale { .. } => return self.is_known = false,
            WatchLine::Other => return,
        }
        self.is_known = true;
    }

    /// A second has passed.
    pub fn tick(&mut self) {
        let is_left = self.units.values().any(|unit| self.at(unit).is_some());
        self.idle = if is_left { 0 } else { self.idle + 1 };
    }

    /// Whether nothing is left on any of the machines, and it was decided what becomes of it.
    pub fn is_over(&self) -> bool {
        self.is_known && self.pending().next().is_none()
    }

    /// Units that are still there, or of which it is not decided yet where they go; and what they are at.
    pub fn pending(&self) -> impl Iterator<Item = (&str, String)> {
        self.units.values().filter_map(|unit| {
            let next = || self.is_undecided(unit).then(|| "another machine is being chosen for it".to_owned());
            Some((unit.name.as_str(), self.at(unit).or_else(next)?))
        })
    }

    /// Whether the last word of a unit that has left is from when it was still there.
    fn is_undecided(&self, unit: &UnitView) -> bool {
        let is_noted = |kind| unit.note.as_ref().is_some_and(|note| note.kind == kind);
        let waits = unit.note.is_none() || is_noted(NoteKind::Waiting);
        let is_old = self.left.get(&unit.name).is_some_and(|noted| *noted == noted_since(unit));
        // The note may be there before the schedule that it speaks of.
        let is_chosen = is_noted(NoteKind::Placed) && self.left.contains_key(&unit.name);
        let nowhere = unit.machine.is_none() && unit.desired_state.is_some_and(|state| state > DesiredState::Inactive);
        nowhere && (is_chosen || (waits && is_old)) && self.idle < SETTLED
    }

    /// Units that left and have no machine now, and why.
    pub fn waiting(&self) -> impl Iterator<Item = (&str, &str)> {
        let left = self.left.keys().filter_map(|name| self.units.get(name));
        left.filter(|unit| unit.machine.is_none() && unit.desired_state.is_some()).map(|unit| {
            let reason = unit.note.as_ref().map_or("no machine has been chosen yet", |note| note.reason.as_str());
            (unit.name.as_str(), reason)
        })
    }

    fn take(&mut self, unit: UnitView) {
        if self.at(&unit).is_some() {
            self.left.insert(unit.name.clone(), noted_since(&unit));
        }
        self.units.insert(unit.name.clone(), unit);
    }

    /// What keeps the unit on one of the machines, if it is there.
    fn at(&self, unit: &UnitView) -> Option<String> {
        if unit.global {
            return None;
        }
        let stays =
            |id: &String| self.machines.contains(id) && !self.orphans.contains(&(unit.name.clone(), id.clone()));
        let state = unit.states.iter().find(|state| !state.stale && stays(&state.machine.id));
        let listed = unit.machine.as_ref().is_some_and(|machine| stays(&machine.id));
        match (listed, state) {
            (true, _) => Some("it has not been told to leave yet".to_owned()),
            (false, Some(state)) => Some(
                fields::stopping(state).unwrap_or_else(|| format!("it is stopping ({}, {})", state.active, state.sub)),
            ),
            (false, None) => None,
        }
    }
}

fn noted_since(unit: &UnitView) -> Option<u64> {
    unit.note.as_ref().map(|note| note.since)
}

#[cfg(test)]
mod tests {
    use fleet_api::v2::{MachineRef, NoteView, StateView};

    use super::*;

    fn reference(id: &str) -> MachineRef {
        MachineRef { id: id.into(), address: String::new() }
    }

    fn unit(name: &str, machine: Option<&str>, states: &[&str]) -> UnitView {
        let state = |id: &&str| StateView {
            machine: reference(id),
            active: "deactivating".into(),
            sub: "stop".into(),
            ..StateView::default()
        };
        UnitView {
            name: name.into(),
            uid: 1,
            hash: None,
            desired_state: Some(DesiredState::Launched),
            current_state: None,
            global: false,
            description: String::new(),
            machine: machine.map(reference),
            states: states.iter().map(state).collect(),
            note: None,
            scheduled_to: 0,
            restarts: 0,
        }
    }

    fn emptying(units: Vec<UnitView>) -> Emptying {
        let orphan = Orphan { unit: "orphan.service".into(), machine: reference("m1"), ..Orphan::default() };
        let mut emptying = Emptying::new(["m1".to_owned()], &[orphan]);
        assert!(!emptying.is_over(), "nothing is known yet");
        emptying.observe(WatchLine::Snapshot { revision: 1, units });
        emptying
    }

    fn changed(unit: UnitView) -> WatchLine {
        WatchLine::Unit { revision: 2, unit: Box::new(unit) }
    }

    #[test]
    fn what_is_there_keeps_it_waiting() {
        let mut stale = unit("a.service", Some("m2"), &["m1"]);
        stale.states[0].stale = true;
        let cases = [
            (unit("a.service", Some("m1"), &[]), Some("it has not been told to leave yet")),
            (unit("a.service", Some("m1"), &["m1"]), Some("it has not been told to leave yet")),
            (unit("a.service", Some("m2"), &["m1"]), Some("stopping on m1 (stop)")),
            (unit("a.service", None, &["m1"]), Some("stopping on m1 (stop)")),
            (unit("a.service", Some("m2"), &["m2"]), None),
            (stale, None),
            (UnitView { global: true, ..unit("a.service", None, &["m1"]) }, None),
            (unit("orphan.service", None, &["m1"]), None),
        ];
        for (unit, at) in cases {
            let emptying = emptying(vec![unit.clone()]);
            let pending: Vec<String> = emptying.pending().map(|(_, at)| at).collect();
            assert_eq!(pending, at.into_iter().collect::<Vec<_>>(), "{unit:?}");
            assert_eq!(emptying.is_over(), at.is_none(), "{unit:?}");
        }
    }

    #[test]
    fn it_is_over_when_the_last_unit_has_left() {
        let mut emptying = emptying(vec![unit("a.service", Some("m1"), &["m1"]), unit("b.service", None, &["m1"])]);
        emptying.observe(changed(unit("a.service", Some("m2"), &["m1"])));
        emptying.observe(WatchLine::Gone { revision: 3, name: "b.service".into() });
        assert!(!emptying.is_over());
        emptying.observe(WatchLine::Stale { why: "no answer".into() });
        assert!(!emptying.is_over());
        emptying.observe(changed(unit("a.service", Some("m2"), &["m2"])));
        assert!(emptying.is_over());
        assert_eq!(emptying.waiting().count(), 0);
    }

    /// Between the moment at which a machine has given a unit back and the one at which another has it, the last note
    /// still says that it is waited for: nobody should be warned of that.
    #[test]
    fn what_was_noted_before_it_left_is_no_last_word() {
        let waiting = |since| NoteView {
            kind: NoteKind::Waiting,
            reason: "waiting for m1 to give back a.service".into(),
            since,
            moves: 1,
            not_before: None,
        };
        let noted = |since, unit| changed(UnitView { note: Some(waiting(since)), ..unit });
        let mut emptying = emptying(vec![unit("a.service", Some("m1"), &["m1"])]);
        emptying.observe(noted(7, unit("a.service", None, &["m1"])));
        emptying.observe(noted(7, unit("a.service", None, &[])));
        assert!(!emptying.is_over(), "nothing was decided about it since");
        let mut decided = emptying.units.clone();
        emptying.observe(noted(7, unit("a.service", Some("m2"), &[])));
        assert!(emptying.is_over());
        // Where nothing more is decided, it is waited for in vain: that is not for ever.
        emptying.units.append(&mut decided);
        (0..SETTLED).for_each(|_| emptying.tick());
        assert!(emptying.is_over());
        assert_eq!(emptying.waiting().count(), 1);
        // A machine that was chosen is about to have it.
        let mut chosen = waiting(8);
        (chosen.kind, chosen.reason) = (NoteKind::Placed, "on m2: no other machine can take it".into());
        emptying.idle = 0;
        emptying.observe(changed(UnitView { note: Some(chosen), ..unit("a.service", None, &[]) }));
        assert!(!emptying.is_over());
        // And another word is a word.
        emptying.idle = 0;
        emptying.observe(noted(8, unit("a.service", None, &[])));
        assert!(emptying.is_over());
    }

    #[test]
    fn units_that_found_no_other_machine_are_named() {
        let mut emptying = emptying(vec![unit("a.service", Some("m1"), &[]), unit("other.service", None, &[])]);
        let note = NoteView {
            kind: NoteKind::Unplaceable,
            reason: "no machine has disk=ssd".into(),
            since: 0,
            moves: 0,
            not_before: None,
        };
        emptying.observe(changed(UnitView { note: Some(note), ..unit("a.service", None, &[]) }));
        assert_eq!(emptying.waiting().collect::<Vec<_>>(), [("a.service", "no machine has disk=ssd")]);
    }
}
