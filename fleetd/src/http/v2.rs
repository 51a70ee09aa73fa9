//! API v2: many units in one request, one stream of changes, journal and status without ssh.

mod archive;
mod change;
mod cluster;
mod join;
mod list;
mod operate;
mod pieces;
mod plan;
mod rebalance;
mod remote;
mod token;
mod watch;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post, put};
use fleet_api::paths::{
    V2_BRAKE, V2_CLUSTER, V2_DESTROY, V2_JOIN, V2_LEAVE, V2_MACHINES, V2_PLAN, V2_REBALANCE, V2_REGISTRY_RESTORE,
    V2_REGISTRY_SNAPSHOT, V2_REGISTRY_TOKENS, V2_REGISTRY_UPLOAD, V2_SNAPSHOT, V2_START_PLANNED, V2_STOP_ORPHAN,
    V2_UNITS,
};

use super::{Api, Failure};

const ONLY: &str = "method not supported against this resource";

/// The routes.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route(V2_UNITS, get(list::units).post(change::change))
        .route(V2_DESTROY, post(change::destroy))
        .route(V2_MACHINES, get(list::machines).post(operate::machines))
        .route(&format!("{V2_MACHINES}/{{id}}/forget"), post(operate::forget))
        .route(V2_CLUSTER, get(cluster::status))
        .route(V2_BRAKE, post(operate::brake))
        .route(V2_PLAN, post(plan::plan))
        .route(V2_START_PLANNED, post(plan::start))
        .route(V2_REBALANCE, post(rebalance::rebalance))
        .route(V2_LEAVE, post(rebalance::leave))
        .route(V2_SNAPSHOT, get(plan::snapshot))
        .route(V2_JOIN, get(join::membership).post(join::join))
        .route(V2_REGISTRY_SNAPSHOT, get(archive::snapshot))
        .route(V2_REGISTRY_UPLOAD, put(archive::upload))
        .route(V2_REGISTRY_RESTORE, post(archive::restore))
        .route(V2_REGISTRY_TOKENS, post(token::make))
        .route(V2_STOP_ORPHAN, post(join::stop_orphan))
        .route(&format!("{V2_UNITS}/{{name}}/text"), get(list::text))
        .route(&format!("{V2_UNITS}/{{name}}/explain"), get(list::explain))
        .route(&format!("{V2_UNITS}/{{name}}/status"), get(remote::status))
        .route(&format!("{V2_UNITS}/{{name}}/journal"), get(remote::journal))
        .method_not_allowed_fallback(|| async { Failure::method(ONLY) })
}
