//! Why a unit is where it is, or nowhere, in the words of the API.

use fleet_api::v2::{AbleMachine, DecisionKind, Explanation, PlacedAnew, RejectionView, RemedyView};
use fleet_engine::placement::{self, Outcome, Remedy};
use fleet_registry::record::WallMillis;
use fleet_units::UnitName;

use super::{Handle, Picture, Status};

impl Handle {
    /// Explains a unit, by the engine's own code on the records that are known here; none where there is no such unit.
    /// Takes time: see [`Handle::foresee`].
    #[must_use]
    pub fn explain(&self, name: &UnitName, now: WallMillis) -> Option<Explanation> {
        let status = self.status();
        let found = self.foresee(|outlook| outlook.explain(name))?;
        self.read(|picture| picture.explanation(name, &found, &status, now))
    }
}

impl Picture {
    fn explanation(
        &self,
        name: &UnitName,
        found: &placement::Explanation,
        status: &Status,
        now: WallMillis,
    ) -> Option<Explanation> {
        let stale = !status.live();
        let unit = self.unit(name, stale)?;
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
            reason: found.reason(),
            places: found.places.iter().map(|id| self.machine_ref(id)).collect(),
            placed_anew,
            able: able.collect(),
            rejections: rejecting.collect(),
            smallest_change: found.remedy.as_ref().map(|remedy| self.remedy(remedy)),
        })
    }

    fn remedy(&self, remedy: &Remedy) -> RemedyView {
        RemedyView {
            steps: remedy.steps.iter().map(ToString::to_string).collect(),
            machine: self.machine_ref(&remedy.machine),
        }
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
