//! What would come of a change, in the words of the API.

use fleet_api::v2::{FateKind, PlanAnswer, RefusedUnit, SupposedMachine, UnitFate};
use fleet_engine::Wanted;
use fleet_engine::placement::{self, Supposition};
use fleet_units::MachineId;

use super::{Change, Handle};

/// A change to think through whose parts make sense.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Units to change.
    pub units: Vec<Change>,
    /// Units that are refused before anything is looked at.
    pub refused: Vec<RefusedUnit>,
    /// What happens to machines.
    pub machines: Vec<(MachineId, SupposedMachine)>,
}

impl Handle {
    /// What would come of a change, by the engine's own code on the records that are known here. Takes time: see
    /// [`Handle::foresee`].
    #[must_use]
    pub fn plan(&self, plan: Plan) -> PlanAnswer {
        let status = self.status();
        let Plan { units, mut refused, machines } = plan;
        let mut change = Vec::new();
        let cluster = self.foresee(|outlook| {
            self.read(|picture| {
                for unit in units {
                    let name = unit.name.to_string();
                    match outlook.suppose(&picture.view, &wanted(unit)) {
                        Ok(supposed) => change.push(supposed),
                        Err(message) => refused.push(RefusedUnit { name, message }),
                    }
                }
            });
            outlook.cluster()
        });
        for (id, machine) in machines {
            change.extend(supposed(&id, machine));
        }
        let forecast = cluster.what_if(&change);
        let of_units = |supposed: &Supposition| matches!(supposed, Supposition::Unit { .. });
        let startable = !change.is_empty() && refused.is_empty() && change.iter().all(of_units);
        self.read(|picture| PlanAnswer {
            revision: picture.revision.max(status.revision),
            stale: !status.live(),
            token: startable.then(|| forecast.token(&change)),
            brake: forecast.brake,
            units: forecast.fates.iter().map(|fate| shown(fate, |id| picture.machine_ref(id))).collect(),
            refused,
        })
    }
}

fn wanted(change: Change) -> Wanted {
    let Change { name, text, desired, replace, restart: _ } = change;
    let (text, drop_ins) = text.map(|text| (Some(text.record.text), text.record.drop_ins)).unwrap_or_default();
    Wanted { name, text, drop_ins, replace, desired }
}

/// What happens to a machine, as the engine thinks it through.
fn supposed(id: &MachineId, machine: SupposedMachine) -> Vec<Supposition> {
    let metadata = machine.metadata.into_iter();
    let metadata = metadata.map(|(key, value)| Supposition::Metadata { machine: id.clone(), key, value });
    let draining = machine.draining.then(|| Supposition::Draining(id.clone()));
    let lost = machine.lost.then(|| Supposition::Lost(id.clone()));
    metadata.chain(draining).chain(lost).collect()
}

fn shown(fate: &placement::Fate, machine: impl Fn(&MachineId) -> fleet_api::v2::MachineRef) -> UnitFate {
    UnitFate {
        name: fate.unit.to_string(),
        fate: match fate.kind {
            placement::FateKind::Placed => FateKind::Placed,
            placement::FateKind::Moved => FateKind::Moved,
            placement::FateKind::Spread => FateKind::Spread,
            placement::FateKind::Displaced => FateKind::Displaced,
            placement::FateKind::Unplaced => FateKind::Unplaced,
            placement::FateKind::Stays => FateKind::Stays,
            placement::FateKind::Withdrawn => FateKind::Withdrawn,
        },
        from: fate.from.iter().map(&machine).collect(),
        to: fate.to.iter().map(&machine).collect(),
        reason: fate.to_string(),
    }
}
