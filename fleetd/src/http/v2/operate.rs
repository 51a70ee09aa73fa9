//! What operators say: `POST /fleet/v2/machines`, `…/machines/ID/forget`, and `/fleet/v2/brake`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode};
use fleet_api::v2::{BrakeAnswer, BrakeRequest, ForgetAnswer, MachineChanged, OperateAnswer, OperateRequest};
use fleet_registry::record::OperatorRecord;
use fleet_units::MachineId;
use tokio::time::Instant;

use crate::cluster::Forgotten;
use crate::http::request::{decode_object, expect_json, is_metadata_key};
use crate::http::{Api, Caller, Failure};

/// Takes what operators say of machines. A machine that nobody knows, or a key that is none, makes the whole request
/// senseless, since nothing has been done yet.
pub(super) async fn machines(
    State(api): State<Arc<Api>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<OperateAnswer>, Failure> {
    expect_json(&headers)?;
    let request: OperateRequest = decode_object(&body)?;
    let handle = api.cluster.live().await?;
    let mut changes = Vec::with_capacity(request.machines.len());
    for change in request.machines {
        let id = machine_id(&change.id)?;
        if !handle.read(|picture| picture.knows_machine(&id)) {
            return Err(Failure::not_found(format!("there is no machine {id}")));
        }
        if let Some(key) = change.metadata.keys().find(|key| !is_metadata_key(key)) {
            return Err(Failure::bad_request(format!(
                "{key:?} is no key of metadata: use letters, digits, and any of _.-"
            )));
        }
        changes.push((id, change));
    }
    let writer = api.cluster.writer();
    let mut answer = OperateAnswer::default();
    for (id, change) in changes {
        let say = |said: &mut OperatorRecord| {
            said.cordoned = change.cordoned.unwrap_or(said.cordoned);
            said.draining = change.draining.unwrap_or(said.draining);
            said.metadata.extend(change.metadata.clone());
        };
        let (revision, changed) = writer.operate(&id, say).await.map_err(|e| api.unavailable(&e))?;
        if changed {
            tracing::info!("an operator ({caller}) said of machine {}: {}", id.short(), words(&change));
        }
        answer.revision = answer.revision.max(revision);
        answer.machines.push(MachineChanged { id: id.to_string(), changed });
    }
    api.cluster.reached(answer.revision).await;
    Ok(Json(answer))
}

/// For the log.
fn words(change: &fleet_api::v2::MachineChange) -> String {
    let flag = |name: &str, value: Option<bool>| value.map(|value| format!("{name}={value}"));
    let metadata = change.metadata.iter().map(|(key, value)| match value {
        Some(value) => format!("{key}={value}"),
        None => format!("no {key}"),
    });
    let flags = flag("cordoned", change.cordoned).into_iter().chain(flag("draining", change.draining));
    flags.chain(metadata).collect::<Vec<_>>().join(", ")
}

/// Deletes what is left of a machine that is not present.
pub(super) async fn forget(
    State(api): State<Arc<Api>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<ForgetAnswer>, Failure> {
    let Path(id) = id.map_err(|error| Failure::bad_request(error.body_text()))?;
    let id = machine_id(&id)?;
    let handle = api.cluster.live().await?;
    let now = Instant::now();
    if let Some(still) = handle.read(|picture| picture.still_stopping(&id, now)) {
        handle.keep_until(still.until);
        let (unit, left) = (still.unit, still.until - now);
        return Err(Failure::new(
            StatusCode::CONFLICT,
            format!(
                "machine {id} may still be stopping {unit}, which must never run twice (OnDisconnect=stop), for at most \
                 {} s more: forget it after that, or once {unit} runs elsewhere",
                left.as_secs() + 1
            ),
        ));
    }
    match api.cluster.writer().forget(&id).await.map_err(|e| api.unavailable(&e))? {
        Forgotten::Gone(revision) => {
            tracing::info!("an operator ({caller}) had machine {} forgotten", id.short());
            api.cluster.reached(revision).await;
            Ok(Json(ForgetAnswer { revision }))
        }
        Forgotten::Unknown => Err(Failure::not_found(format!("there is no machine {id}"))),
        Forgotten::Present => Err(Failure::new(
            StatusCode::CONFLICT,
            format!("machine {id} is present: \"fleetctl drain\" it, then stop its fleetd"),
        )),
    }
}

/// Releases the brake. That it was not on is no error.
pub(super) async fn brake(
    State(api): State<Arc<Api>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<BrakeAnswer>, Failure> {
    expect_json(&headers)?;
    let request: BrakeRequest = decode_object(&body)?;
    if !request.release {
        return Err(Failure::bad_request("the brake is put on by the cluster alone: release must be true"));
    }
    let (revision, found) = api.cluster.writer().release_brake().await.map_err(|e| api.unavailable(&e))?;
    if found.as_ref().is_some_and(|found| !found.released) {
        tracing::warn!("an operator ({caller}) released the brake");
    }
    let handle = api.cluster.known().await?;
    api.cluster.reached(revision).await;
    let brake = found.map(|found| handle.read(|picture| picture.brake(&found)));
    Ok(Json(BrakeAnswer { revision, brake }))
}

fn machine_id(id: &str) -> Result<MachineId, Failure> {
    MachineId::parse(id).map_err(|error| Failure::bad_request(error.to_string()))
}
