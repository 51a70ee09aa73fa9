//! `/fleet/v2/registry/…`: snapshots of the registry, and putting one in its place.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fleet_api::v2::{RestoreAnswer, RestoreRequest, UploadAnswer};
use futures::TryStreamExt;

use crate::archive::{Archive, UploadError};
use crate::http::request::{decode_object, expect_json};
use crate::http::{Api, Caller, Failure, Query};

fn archive(api: &Api) -> Result<&Archive, Failure> {
    let none = || Failure::new(StatusCode::CONFLICT, "this fleetd makes no copies of its registry");
    api.registry.archive().ok_or_else(none)
}

/// The whole registry, in etcd's form.
pub(super) async fn snapshot(State(api): State<Arc<Api>>) -> Result<Response, Failure> {
    let parts = archive(&api)?.snapshot().await.map_err(|error| api.unavailable(&error))?;
    let body = Body::from_stream(parts.map_err(io::Error::other));
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// A part of a snapshot.
pub(super) async fn upload(
    State(api): State<Arc<Api>>,
    query: Query,
    body: Bytes,
) -> Result<Json<UploadAnswer>, Failure> {
    let offset = query.first("offset").and_then(|offset| offset.parse().ok());
    let offset =
        offset.ok_or_else(|| Failure::bad_request("offset: expected where in the snapshot the part begins"))?;
    let bytes = archive(&api)?.upload(offset, body).await?;
    Ok(Json(UploadAnswer { bytes }))
}

/// What the snapshot that was uploaded would change, or has changed.
pub(super) async fn restore(
    State(api): State<Arc<Api>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<RestoreAnswer>, Failure> {
    expect_json(&headers)?;
    let request: RestoreRequest = decode_object(&body)?;
    let archive = archive(&api)?;
    let backup = archive.uploaded(&request.sha256).await?;
    let handle = api.cluster.live().await?;
    let revision = handle.status().revision;
    let mut answer = handle.read(|picture| archive.preview(&backup, &picture.view, revision));
    drop(handle);
    if !request.accept {
        return Ok(Json(answer));
    }
    let conflict = |why: &str| Failure::new(StatusCode::CONFLICT, why);
    if answer.backup.cluster != answer.present.cluster {
        return Err(conflict("the snapshot is not of this cluster: its machines would touch nothing any more"));
    }
    tracing::warn!(
        "an operator ({caller}) puts a backup of revision {} in the place of the registry, which is at revision {revision}",
        answer.backup.revision
    );
    match archive.restore(backup).await {
        Some(Ok(restored)) => answer.kept = restored.kept.map(|path| path.display().to_string()),
        Some(Err(error)) => return Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        None => {
            return Err(conflict(
                "the registry is not in this fleetd: ask the one that carries it, or restore an etcd by its own tools",
            ));
        }
    }
    tracing::warn!("the registry is that of the backup; what ran goes on until agents and engine have read it");
    Ok(Json(answer))
}

impl From<UploadError> for Failure {
    fn from(error: UploadError) -> Self {
        let status = match error {
            UploadError::Io(_) => StatusCode::INSUFFICIENT_STORAGE,
            UploadError::Gap { .. } | UploadError::Another => StatusCode::CONFLICT,
            UploadError::Bad(_) => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, error.to_string())
    }
}
