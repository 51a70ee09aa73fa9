//! The HTTP API: who may be asked what, on which sockets.

mod aside;
mod body;
mod caller;
mod door;
mod failure;
mod gate;
mod inviter;
mod limits;
mod metrics;
mod patient;
mod request;
mod sockets;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use fleet_api::v2::RegistryView;
use fleet_registry::store::StoreError;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::archive::Archive;
use crate::cluster::Cluster;
use crate::counts::Counts;
use crate::local::Local;
use crate::peers::Peers;

use gate::Gate;

pub use caller::Caller;
pub(crate) use door::receive;
pub use door::{Door, attend, serve};
pub use failure::Failure;
pub use inviter::Inviter;
pub use limits::Limits;
pub use request::Query;
pub use sockets::{ApiSocket, Passed, open, passed_by_systemd};

/// The version that is told to clients.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How the registry is, as this fleetd reaches it.
pub trait Health: Send + Sync {
    /// Looks.
    fn view(&self) -> BoxFuture<'_, RegistryView>;

    /// What makes copies of it, where they can be made.
    fn archive(&self) -> Option<&Archive> {
        None
    }
}

/// What the handlers work with.
#[derive(Clone)]
pub struct Api {
    /// The cluster.
    pub cluster: Cluster,
    /// Other machines' fleetds.
    pub peers: Peers,
    /// This machine.
    pub local: Local,
    /// How the registry is.
    pub registry: Arc<dyn Health>,
    /// Who invites machines to the registry.
    pub inviter: Inviter,
    /// Page size of version 1.
    pub token_limit: u16,
    /// What was done so far.
    pub counts: Arc<Counts>,
}

impl Api {
    /// What a request gets whose write failed.
    fn unavailable(&self, error: &StoreError) -> Failure {
        if error.is_outage() {
            // The writer looked whether a write whose answer never came took effect, for as long as it had patience.
            let doubt = if error.outcome_unknown() { ", so that it may have been done or not" } else { "" };
            return self.cluster.unavailable(&format!("{}{doubt}", error.message)).into();
        }
        let message = format!("the registry refused: {error}");
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

/// What a request gets that found nothing.
const ELSEWHERE: &str = "there is no such resource: the API is under /fleet/v1 and /fleet/v2";

/// The routes, on top of which the sockets stand.
pub fn router(api: Api, limits: &Limits) -> Router {
    let api = Arc::new(api);
    let gate = Arc::new(Gate::new(limits.clone()));
    Router::new()
        .merge(v1::routes())
        .merge(v2::routes())
        .route("/metrics", any(metrics::metrics))
        .route("/", any(|| async { Failure::method(ELSEWHERE) }))
        .fallback(|| async { Failure::not_found(ELSEWHERE) })
        .with_state(api)
        .layer(middleware::from_fn_with_state(Arc::clone(&gate), gate::turns))
        .layer(middleware::from_fn_with_state(gate, gate::bodies))
        .layer(middleware::from_fn(catch_panics))
        .layer(middleware::map_response(name_server))
}

async fn name_server(mut response: Response) -> Response {
    let value = const { concat!("fleetd/", env!("CARGO_PKG_VERSION")) };
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static(value));
    response
}

/// A handler that panics answers 500; the connection and everything else go on.
async fn catch_panics(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!("a handler panicked at {path}; this is a bug in fleetd");
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "fleetd has a bug here: see its log").into_response()
        }
    }
}
