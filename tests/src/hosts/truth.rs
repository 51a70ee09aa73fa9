//! What really runs, whatever anybody says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleet_units::{MachineId, UnitName};

/// What the systemds of all machines run at this moment. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Truth(Arc<Mutex<Runs>>);

#[derive(Debug, Default)]
struct Runs {
    by_unit: BTreeMap<UnitName, BTreeSet<MachineId>>,
    twice: Vec<String>,
}

impl Truth {
    /// A machine runs these now, and ran those before.
    pub(super) fn changed(&self, machine: &MachineId, before: &BTreeSet<UnitName>, now: &BTreeSet<UnitName>) {
        let mut runs = self.lock();
        for name in before.difference(now) {
            if let Some(machines) = runs.by_unit.get_mut(name) {
                machines.remove(machine);
                if machines.is_empty() {
                    runs.by_unit.remove(name);
                }
            }
        }
        for name in now.difference(before) {
            let machines = runs.by_unit.entry(name.clone()).or_default();
            machines.insert(machine.clone());
            if machines.len() > 1 {
                let said = format!("{name} runs on {machines:?}");
                runs.twice.push(said);
            }
        }
    }

    /// How many units run, and which were seen to run on two machines at once.
    #[must_use]
    pub fn now(&self) -> (usize, Vec<String>) {
        let runs = self.lock();
        (runs.by_unit.len(), runs.twice.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Runs> {
        // A machine that panicked left nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
