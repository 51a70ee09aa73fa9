//! `/fleet/v2/join` and `/fleet/v2/orphans/stop`: the cluster that this machine is a member of, and what runs on machines
//! for another.
//!
//! Joining is about the machine that is asked alone, and needs no cluster: it is asked when there is none to ask.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, StatusCode};
use fleet_agent::{AgentStatus, Standing};
use fleet_api::v2::{ForeignRegistry, JoinRequest, MachineRef, Membership, OrphanRequest};
use fleet_registry::record::ClusterId;
use fleet_units::MachineId;

use super::remote;
use crate::http::request::{decode_object, expect_json, unit_name};
use crate::http::{Api, Caller, Failure};
use crate::local::stop_orphan_path;

/// How long a machine may take to take part in the cluster that it was made a member of.
const LIMIT: Duration = Duration::from_secs(10);

/// Shows whose registry it is.
pub(super) async fn membership(State(api): State<Arc<Api>>) -> Json<Membership> {
    Json(show(&api, &api.local.agent.status().borrow()))
}

fn show(api: &Api, status: &AgentStatus) -> Membership {
    Membership {
        machine: MachineRef { id: api.local.machine.to_string(), address: api.local.address.clone() },
        cluster: status.cluster.as_ref().map(ToString::to_string),
        present: status.standing == Standing::Present,
        foreign: status.foreign.as_ref().map(|foreign| ForeignRegistry {
            cluster: foreign.found.as_ref().map(ToString::to_string),
            units: foreign.units.iter().map(ToString::to_string).collect(),
        }),
    }
}

/// Makes this machine a member of the cluster that the caller saw, if that is the one whose registry is there.
pub(super) async fn join(
    State(api): State<Arc<Api>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Membership>, Failure> {
    expect_json(&headers)?;
    let request: JoinRequest = decode_object(&body)?;
    let found = request.cluster.map(ClusterId);
    let mut status = api.local.agent.status();
    let conflict = |why: &str| Failure::new(StatusCode::CONFLICT, why);
    match &status.borrow_and_update().foreign {
        None => {
            return Err(conflict("this machine finds no registry but its own cluster's: there is nothing to accept"));
        }
        Some(foreign) if foreign.found != found => {
            return Err(conflict("that is not the registry that this machine finds: look again"));
        }
        Some(foreign) => {
            let id = |id: &ClusterId| id.to_string();
            let found = found.as_ref().map_or_else(|| "a new one".to_owned(), id);
            let units = foreign.units.len();
            tracing::warn!(
                "an operator ({caller}) made this machine, which was a member of cluster {}, one of {found}; units that \
                 run here as orphans from now on: {units}",
                foreign.remembered
            );
        }
    }
    api.local.agent.accept(found);
    let joined = status.wait_for(|status| status.foreign.is_none() && status.standing.registered());
    // What takes longer goes on; the answer says how far it is.
    _ = tokio::time::timeout(LIMIT, joined).await;
    let shown = show(&api, &api.local.agent.status().borrow());
    Ok(Json(shown))
}

/// Has a machine stop an orphan.
pub(super) async fn stop_orphan(
    State(api): State<Arc<Api>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<serde_json::Value>, Failure> {
    expect_json(&headers)?;
    let request: OrphanRequest = decode_object(&body)?;
    let unit = unit_name(&request.unit)?;
    let id = MachineId::parse(&request.machine).map_err(|error| Failure::bad_request(error.to_string()))?;
    let handle = api.cluster.live().await?;
    if !handle.read(|picture| picture.has_orphan(&unit, &id)) {
        return Err(Failure::not_found(format!("no orphan {unit} runs on machine {}", id.short())));
    }
    tracing::warn!("an operator ({caller}) wants the orphan {unit} on machine {} stopped", id.short());
    if id == api.local.machine {
        api.local.agent.stop_orphan(unit);
    } else {
        let endpoint = handle.read(|picture| remote::endpoint(picture, &id));
        let answer = remote::fetch(&api, &id, Method::POST, endpoint, &stop_orphan_path(&unit)).await?;
        if !answer.status().is_success() {
            let message = format!("machine {} answered {}", id.short(), answer.status());
            return Err(Failure::new(StatusCode::BAD_GATEWAY, message));
        }
    }
    Ok(Json(serde_json::json!({})))
}
