//! What would come of a change, and moves that people ask for.

use bytes::Bytes;
use futures::Stream;

use super::Client;
use super::patience::Repeat;
use crate::v2::{
    LeaveAnswer, LeaveRequest, PlanAnswer, PlanRequest, PlannedRequest, RebalanceAnswer, RebalanceRequest, UnitsAnswer,
};
use crate::{ApiError, paths};

impl Client {
    /// What would come of a change.
    pub async fn plan(&self, request: &PlanRequest) -> Result<PlanAnswer, ApiError> {
        self.post(paths::V2_PLAN, request).await
    }

    /// Changes units as it was planned, if that still comes to the same.
    pub async fn start_planned(&self, request: &PlannedRequest) -> Result<UnitsAnswer, ApiError> {
        let repeat = if request.units.iter().any(|unit| unit.restart) { Repeat::IfNotBegun } else { Repeat::Safe };
        self.post_as(repeat, paths::V2_START_PLANNED, request).await
    }

    /// Which moves would even out the load.
    pub async fn rebalance(&self, request: &RebalanceRequest) -> Result<RebalanceAnswer, ApiError> {
        self.post(paths::V2_REBALANCE, request).await
    }

    /// Asks units to leave machines.
    pub async fn leave(&self, request: &LeaveRequest) -> Result<LeaveAnswer, ApiError> {
        self.post(paths::V2_LEAVE, request).await
    }

    /// The records that decisions hang on, chunk by chunk.
    pub async fn snapshot(&self) -> Result<impl Stream<Item = Result<Bytes, ApiError>> + use<>, ApiError> {
        self.open(paths::V2_SNAPSHOT).await
    }
}
