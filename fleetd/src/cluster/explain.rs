//! Why a unit is where it is, or nowhere, in the words of the API.

use fleet_api::v2::{AbleMachine, DecisionKind, Explanation, PlacedAnew, RejectionView};
use fleet_engine::placement::Outcome;
use fleet_registry::record::WallMillis;
use fleet_units::UnitName;

use super::{Picture, Status};

impl Picture {
    /// Explains a unit, by the engine's own code on the records that are known here; none where there is no such unit.
    #[must_use]
    pub fn explain(&self, name: &UnitName, status: &Status, now: WallMillis) -> Option<Explanation> {
        let stale = !status.live();
        let unit = self.unit(name, stale)?;
        let found = fleet_engine::explain(&self.view, name)?;
        let rejecting = found.rejecting().into_iter().map(|alike| RejectionView {
            reason: alike.reason(),
            count: alike.machines.len(),
            machines: alike.machines.iter().map(|id| self.machine_ref(id)).collect(),
        });
        let able = found
            .able()
            .into_iter()
            .map(|verdict| AbleMachine { machine: self.machine_ref(&verdict.machine), units: verdict.load });
        let placed_anew =
            found.anew.as_ref().map(|(id, why)| PlacedAnew { machine: self.machine_ref(id), reason: why.to_string() });
        Some(Explanation {
            revision: self.revision.max(status.revision),
            now,
            stale,
            unit,
            decision: decision(&found.outcome),
            reason: match &found.held {
                Some(held) => format!("{}; {held}", found.outcome),
                None => found.outcome.to_string(),
            },
            places: found.places.iter().map(|id| self.machine_ref(id)).collect(),
            placed_anew,
            able: able.collect(),
            rejections: rejecting.collect(),
        })
    }
}

fn decision(outcome: &Outcome) -> DecisionKind {
    match outcome {
        Outcome::Placed { .. } | Outcome::Kept { .. } | Outcome::Everywhere { .. } => DecisionKind::Placed,
        Outcome::Waiting { .. } => DecisionKind::Waiting,
        Outcome::Unplaceable { .. } => DecisionKind::Unplaceable,
        Outcome::Invalid { .. } => DecisionKind::Invalid,
        Outcome::Withdrawn => DecisionKind::Unwanted,
    }
}
