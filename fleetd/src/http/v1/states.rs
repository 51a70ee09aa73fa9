//! `/state` and `/state/NAME`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use fleet_api::v1;

use super::pages::page;
use crate::http::request::Query;
use crate::http::{Api, Failure};

const ONLY_GET: &str = "only GET supported against this resource";

/// GET lists, filtered by `machineID` and `unitName` where they are given.
pub(super) async fn list(State(api): State<Arc<Api>>, method: Method, query: Query) -> Result<Response, Failure> {
    if method != Method::GET {
        return Err(Failure::method(ONLY_GET));
    }
    let handle = api.cluster.live().await?;
    let mut states = handle.read(|picture| picture.v1_states());
    if let Some(machine) = query.first("machineID") {
        states.retain(|state| state.machine_id == machine);
    }
    if let Some(unit) = query.first("unitName") {
        states.retain(|state| state.name == unit);
    }
    let (states, next_page_token) = page(&query, api.token_limit, &states)?;
    Ok(Json(v1::UnitStatePage { states, next_page_token }).into_response())
}

/// GET shows the first state of a unit.
pub(super) async fn one(
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
    method: Method,
) -> Result<Response, Failure> {
    if method != Method::GET {
        return Err(Failure::method(ONLY_GET));
    }
    let Path(name) = name.map_err(|error| Failure::bad_request(error.body_text()))?;
    let handle = api.cluster.live().await?;
    let state = handle.read(|picture| picture.v1_states().into_iter().find(|state| state.name == name));
    state.map(|state| Json(state).into_response()).ok_or_else(|| Failure::not_found("unit state does not exist"))
}
