//! The HTTP API: who may be asked what, on which sockets.

mod body;
mod caller;
mod failure;
mod metrics;
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
use fleet_registry::store::StoreError;
use futures::FutureExt;
use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::local::Local;
use crate::peers::Peers;

pub use body::collect;
pub use caller::Caller;
pub use failure::Failure;
pub use request::Query;
pub use sockets::{ApiSocket, Passed, open, passed_by_systemd};

/// The version that is told to clients.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the handlers work with.
#[derive(Clone)]
pub struct Api {
    /// The cluster.
    pub cluster: Cluster,
    /// Other machines' fleetds.
    pub peers: Peers,
    /// This machine.
    pub local: Local,
    /// Page size of version 1.
    pub token_limit: u16,
}

impl Api {
    /// What a request gets whose write failed.
    fn unavailable(&self, error: &StoreError) -> Failure {
        if error.is_outage() {
            return self.cluster.unavailable(&error.message).into();
        }
        let message = format!("the registry refused: {error}");
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

/// What a request gets that found nothing.
const ELSEWHERE: &str = "there is no such resource: the API is under /fleet/v1 and /fleet/v2";

/// The routes, on top of which the sockets stand.
pub fn router(api: Api) -> Router {
    let api = Arc::new(api);
    Router::new()
        .merge(v1::routes())
        .merge(v2::routes())
        .route("/metrics", any(metrics::metrics))
        .route("/", any(|| async { Failure::method(ELSEWHERE) }))
        .fallback(|| async { Failure::not_found(ELSEWHERE) })
        .with_state(api)
        .layer(middleware::from_fn(body::whole))
        .layer(middleware::from_fn(catch_panics))
        .layer(middleware::map_response(name_server))
}

/// Serves the routes on one socket until told to stop. Answers under way are finished; streams end with the process.
pub async fn serve(socket: ApiSocket, router: Router, mut stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let service = router.into_make_service_with_connect_info::<Caller>();
    let stopped = async move {
        // An error means that the sender is gone, which is a stop too.
        _ = stop.wait_for(|stop| *stop).await;
    };
    match socket {
        ApiSocket::Unix(listener) => axum::serve(listener, service).with_graceful_shutdown(stopped).await,
        ApiSocket::Tcp(listener) => {
            axum::serve(sockets::Prompt(listener), service).with_graceful_shutdown(stopped).await
        }
    }
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
