//! Journal and status, from whichever machine has the unit.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fleet_registry::record::PeerEndpoint;
use fleet_units::{MachineId, UnitName};

use crate::cluster::Picture;
use crate::http::{Api, Failure, Query};
use crate::local::{JournalRequest, journal_path, path_name, status_path};

/// What `systemctl status` says.
pub(super) async fn status(
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
    query: Query,
) -> Result<Response, Failure> {
    let name = path_name(name)?;
    let (id, endpoint) = locate(&api, &name, query.first("machine")).await?;
    if id == api.local.machine {
        return Ok(api.local.status(&name).await?.into_response());
    }
    fetch(&api, &id, Method::GET, endpoint, &status_path(&name)).await
}

/// The journal, as it is written.
pub(super) async fn journal(
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
    query: Query,
) -> Result<Response, Failure> {
    let name = path_name(name)?;
    let request = JournalRequest::read(&query)?;
    let (id, endpoint) = locate(&api, &name, query.first("machine")).await?;
    if id == api.local.machine {
        return api.local.journal(&name, &request);
    }
    fetch(&api, &id, Method::GET, endpoint, &journal_path(&name, &request)).await
}

/// Where a unit is, and how to reach that machine.
async fn locate(
    api: &Api,
    name: &UnitName,
    machine: Option<&str>,
) -> Result<(MachineId, Option<PeerEndpoint>), Failure> {
    let handle = api.cluster.known().await?;
    handle.read(|picture| {
        let id = match machine {
            Some(wanted) => named(picture, wanted)?,
            None => home(picture, name, &api.local.machine)?,
        };
        let endpoint = endpoint(picture, &id);
        Ok((id, endpoint))
    })
}

/// How to reach a machine that is present.
pub(super) fn endpoint(picture: &Picture, id: &MachineId) -> Option<PeerEndpoint> {
    picture.view.machines.get(id).and_then(|machine| machine.value.peer.clone())
}

/// The machine of this id, short id, or host name.
fn named(picture: &Picture, wanted: &str) -> Result<MachineId, Failure> {
    let matches = |id: &MachineId, hostname: &str| id.matches(wanted) || hostname == wanted;
    let mut found = picture.view.machines.iter().filter(|(id, machine)| matches(id, &machine.value.hostname));
    match (found.next(), found.next()) {
        (Some((id, _)), None) => Ok(id.clone()),
        (None, _) => Err(Failure::not_found(format!("machine {wanted:?} is not present"))),
        (Some(_), Some(_)) => Err(Failure::bad_request(format!("several machines are called {wanted:?}: use an id"))),
    }
}

/// The machine that has the unit: this one if it does, else the one that it is scheduled to.
fn home(picture: &Picture, name: &UnitName, own: &MachineId) -> Result<MachineId, Failure> {
    let present = |id: &&MachineId| picture.view.machines.contains_key(*id);
    let stated = picture.view.states.get(name).into_iter().flatten().map(|(id, _)| id);
    let having: Vec<&MachineId> = picture.placed(name).chain(stated).collect();
    if having.contains(&own) && present(&own) && (picture.is_global(name) || picture.target(name) == Some(own)) {
        return Ok(own.clone());
    }
    if let Some(id) = picture.target(name).filter(present).or_else(|| having.iter().copied().find(present)) {
        return Ok(id.clone());
    }
    match having.first() {
        Some(id) => Err(Failure::new(
            StatusCode::BAD_GATEWAY,
            format!("{name} was on machine {}, which is not present", id.short()),
        )),
        None if picture.view.units.contains_key(name) => {
            let note = picture.view.notes.get(name).map(|note| format!(": {}", note.value.reason));
            let message = format!("{name} is on no machine{}", note.unwrap_or_default());
            Err(Failure::new(StatusCode::CONFLICT, message))
        }
        None => Err(Failure::not_found("unit does not exist")),
    }
}

/// Passes on what another machine's fleetd answers, as it comes.
pub(super) async fn fetch(
    api: &Api,
    id: &MachineId,
    method: Method,
    endpoint: Option<PeerEndpoint>,
    path: &str,
) -> Result<Response, Failure> {
    let gone = |why: String| Failure::new(StatusCode::BAD_GATEWAY, why);
    let endpoint = endpoint
        .ok_or_else(|| gone(format!("machine {} is not present, or does not say where to reach it", id.short())))?;
    let answer =
        api.peers.call(method, &endpoint, path).await.map_err(|e| gone(format!("machine {}: {e}", id.short())))?;
    let (parts, body) = answer.into_parts();
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = parts.status;
    for name in [header::CONTENT_TYPE, header::RETRY_AFTER] {
        if let Some(value) = parts.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Ok(response)
}
