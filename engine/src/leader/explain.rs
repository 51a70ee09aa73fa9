//! Explains a unit from the records alone, so that any fleetd that follows them can: the same facts, made by the same code,
//! as a leader that was just elected has.

use std::collections::BTreeMap;

use fleet_registry::View;
use fleet_units::{MachineId, UnitName};

use super::facts::{self, Digests};
use super::failures::Failures;
use super::{Stored, knowledge};
use crate::placement::{Explanation, MachineFacts};

/// Explains a unit by what a view that keeps texts holds; none if there is no such unit.
///
/// A machine that is absent counts as not (yet) lost: whether it is, only the leader has the evidence for, and says it in
/// the unit's note. Costs as much as a new leader's first look at the records.
#[must_use]
pub fn explain(view: &View, name: &UnitName) -> Option<Explanation> {
    let mut digests = Digests::default();
    for (key, record) in &view.contents {
        if let Some(text) = &record.value {
            digests.insert(key.clone(), text);
        }
    }
    let stored = view.schedules.iter().map(|(id, found)| {
        let stored = Stored { record: found.value.clone(), revision: found.mod_revision };
        (id.clone(), stored)
    });
    let stored: BTreeMap<MachineId, Stored> = stored.collect();
    let machines: Vec<MachineFacts> =
        knowledge::machines(view).iter().map(|id| facts::machine(view, id, None)).collect();
    // Nobody here would have written a schedule that cannot be read: what it lists is in doubt whenever it was written.
    let mut cluster = knowledge::cluster(view, &digests, machines, &stored, i64::MAX);
    Failures::load(view).tell(&mut cluster);
    cluster.explain_undecided(name)
}
