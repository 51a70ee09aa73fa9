//! `POST /fleet/v2/plan`, `POST /fleet/v2/plan/start` and `GET /fleet/v2/snapshot`: what would come of a change, here or
//! wherever the snapshot is taken to.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fleet_api::v2::{PlanAnswer, PlanRequest, PlannedRequest, RefusedUnit, UnitChange, UnitsAnswer};
use fleet_engine::Snapshot;
use fleet_units::MachineId;

use super::change::make;
use crate::cluster::{Change, Handle, Plan};
use crate::http::aside::aside;
use crate::http::request::{decode_object, expect_json, is_metadata_key};
use crate::http::{Api, Caller, Failure};

/// Says what would come of a change. Nothing is changed.
pub(super) async fn plan(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<PlanAnswer>, Failure> {
    expect_json(&headers)?;
    let request: PlanRequest = decode_object(&body)?;
    let handle = api.cluster.known().await?;
    let mut plan = units(request.units);
    for machine in request.machines {
        let id = MachineId::parse(&machine.id).map_err(|error| Failure::bad_request(error.to_string()))?;
        if !handle.read(|picture| picture.knows_machine(&id)) {
            return Err(Failure::not_found(format!("there is no machine {id}")));
        }
        if let Some(key) = machine.metadata.keys().find(|key| !is_metadata_key(key)) {
            return Err(Failure::bad_request(format!(
                "{key:?} is no key of metadata: use letters, digits, and any of _.-"
            )));
        }
        plan.machines.push((id, machine));
    }
    Ok(Json(answer(handle, plan).await?))
}

/// Makes a change that was planned, if that comes to the same still.
pub(super) async fn start(
    State(api): State<Arc<Api>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<UnitsAnswer>, Failure> {
    expect_json(&headers)?;
    let request: PlannedRequest = decode_object(&body)?;
    // What is old may not be what is.
    let handle = api.cluster.live().await?;
    let now = answer(handle, units(request.units.clone())).await?;
    if now.token.as_deref() != Some(request.token.as_str()) {
        let why = match now.refused.first() {
            Some(unit) => format!("{} would be refused: {}", unit.name, unit.message),
            None => "what was asked, or what the cluster would do, is another by now".to_owned(),
        };
        let message = format!("nothing was done, since it would not come to what plan {} said: {why}", request.token);
        return Err(Failure::new(StatusCode::CONFLICT, message));
    }
    make(&api, &caller, request.units).await.map(Json)
}

/// Gives out the records that decisions hang on.
pub(super) async fn snapshot(State(api): State<Arc<Api>>) -> Result<Response, Failure> {
    let handle = api.cluster.live().await?;
    let text = aside(move || {
        let snapshot = handle.read(|picture| Snapshot::of(&picture.view, picture.revision));
        serde_json::to_vec(&snapshot)
    });
    let failed = |error| {
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("fleetd has a bug here: no snapshot can be written: {error}"),
        )
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], text.await?.map_err(failed)?).into_response())
}

/// The units of a request, with those that make no sense apart.
fn units(changes: Vec<UnitChange>) -> Plan {
    let mut plan = Plan::default();
    for unit in changes {
        let name = unit.name.clone();
        match Change::check(unit) {
            Ok(change) => plan.units.push(change),
            Err(error) => plan.refused.push(RefusedUnit { name, message: error.to_string() }),
        }
    }
    plan
}

async fn answer(handle: Handle, plan: Plan) -> Result<PlanAnswer, Failure> {
    aside(move || handle.plan(plan)).await
}
