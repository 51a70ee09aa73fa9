//! `GET /fleet/v2/cluster`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use fleet_api::v2::ClusterStatus;

use crate::http::{Api, Failure};
use crate::time::wall;

/// The cluster as a whole, as far as it is known.
pub(super) async fn status(State(api): State<Arc<Api>>) -> Result<Json<ClusterStatus>, Failure> {
    let handle = api.cluster.known().await?;
    let status = handle.status();
    let mut shown = handle.read(|picture| picture.cluster_status(&status, wall()));
    shown.registry = api.registry.view().await;
    shown.here = api.local.agent.status().borrow().trouble.as_ref().map(ToString::to_string);
    Ok(Json(shown))
}
