//! Work that takes time, where nobody waits behind it.

use axum::http::StatusCode;

use super::Failure;

/// Does what takes time away from the threads that serve.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let failed = |error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("fleetd has a bug here: {error}"));
    tokio::task::spawn_blocking(work).await.map_err(failed)
}
