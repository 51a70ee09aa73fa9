//! `POST /fleet/v2/rebalance` and `POST /fleet/v2/leave`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::HeaderMap;
use fleet_api::v2::{LeaveAnswer, LeaveOutcome, LeaveRequest, RebalanceAnswer, RebalanceRequest};
use fleet_units::MachineId;

use crate::http::aside::aside;
use crate::http::request::{decode_object, expect_json, unit_name};
use crate::http::{Api, Caller, Failure};
use crate::time::wall;

/// Says which moves would even out the load. Nothing is changed.
pub(super) async fn rebalance(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<RebalanceAnswer>, Failure> {
    expect_json(&headers)?;
    let request: RebalanceRequest = decode_object(&body)?;
    let handle = api.cluster.known().await?;
    aside(move || handle.rebalance(request.max_moves.unwrap_or(usize::MAX))).await.map(Json)
}

/// Asks units to leave machines. A name that is none, or a machine that nobody knows, makes the whole request senseless,
/// since nothing has been done yet.
pub(super) async fn leave(
    State(api): State<Arc<Api>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<LeaveAnswer>, Failure> {
    expect_json(&headers)?;
    let request: LeaveRequest = decode_object(&body)?;
    let handle = api.cluster.live().await?;
    let mut asked = Vec::with_capacity(request.units.len());
    for unit in request.units {
        let name = unit_name(&unit.name)?;
        let parse = |id: &String| MachineId::parse(id).map_err(|error| Failure::bad_request(error.to_string()));
        let machine = unit.machine.as_ref().map(parse).transpose()?;
        if let Some(id) = machine.as_ref().filter(|id| !handle.read(|picture| picture.knows_machine(id))) {
            return Err(Failure::not_found(format!("there is no machine {id}")));
        }
        asked.push((name, machine));
    }
    let (writer, caller) = (api.cluster.writer(), caller.to_string());
    let mut answer = LeaveAnswer::default();
    for (name, machine) in asked {
        let done = writer.avoid(&name, machine.as_ref(), wall(), &caller).await;
        let (revision, exists, changed) = done.map_err(|error| api.unavailable(&error))?;
        if changed && let Some(machine) = &machine {
            tracing::info!("an operator ({caller}) asked {name} to leave machine {}", machine.short());
        }
        answer.revision = answer.revision.max(revision);
        answer.units.push(LeaveOutcome { name: name.to_string(), exists, changed });
    }
    api.cluster.reached(answer.revision).await;
    Ok(Json(answer))
}
