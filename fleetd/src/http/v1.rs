//! API v1: CoreOS fleet's, under `/fleet/v1` and its older name `/v1-alpha`.
//!
//! Statuses, messages, and the order in which a request is judged are fleet's. Its defects are mended: a desired state
//! that means nothing is refused, texts that replace others are checked, an absent state is a 404, the documented form
//! of a metadata patch works, and a full last page has no empty one after it.

mod discovery;
mod machines;
mod pages;
mod states;
mod units;

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use fleet_api::paths::{V1, V1_ALPHA};

use super::{Api, ELSEWHERE, Failure};

/// The routes of both names.
pub(super) fn routes() -> Router<Arc<Api>> {
    let mut router = Router::new();
    for prefix in [V1, V1_ALPHA] {
        router = router
            .route(prefix, any(|| async { Failure::method(ELSEWHERE) }))
            .route(&format!("{prefix}/units"), any(units::list))
            .route(&format!("{prefix}/units/{{name}}"), any(units::one))
            .route(&format!("{prefix}/state"), any(states::list))
            .route(&format!("{prefix}/state/{{name}}"), any(states::one))
            .route(&format!("{prefix}/machines"), any(machines::machines))
            .route(&format!("{prefix}/discovery"), any(discovery::discovery));
    }
    router
}
