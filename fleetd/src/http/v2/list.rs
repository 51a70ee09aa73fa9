//! What there is: units, their texts, machines.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use fleet_api::v2::{Explanation, MachineList, UnitText};
use fleet_units::UnitName;
use futures::stream;

use super::pieces::Pieces;
use super::watch;
use crate::http::aside::aside;
use crate::http::request::{Query, unit_name};
use crate::http::{Api, Failure};
use crate::local::path_name;
use crate::time::wall;

/// Lists units, or watches them.
pub(super) async fn units(State(api): State<Arc<Api>>, query: Query) -> Result<Response, Failure> {
    let names = query.all("name").map(unit_name).collect::<Result<BTreeSet<UnitName>, _>>()?;
    let wanted = (!names.is_empty()).then_some(names);
    let handle = api.cluster.known().await?;
    if query.flag("watch")? {
        return Ok(watch::stream(handle, wanted));
    }
    let status = handle.status();
    let stale = !status.live();
    let revision = handle.read(|picture| picture.revision.max(status.revision));
    let head = match stale {
        false => format!("{{\"revision\":{revision},\"units\":["),
        true => format!("{{\"revision\":{revision},\"stale\":true,\"units\":["),
    };
    let mut pieces = Pieces::new(Arc::new(handle), wanted.map(Arc::new), stale, head, "]}");
    let first = pieces.next().unwrap_or_default();
    let body = match pieces.ended() {
        true => Body::from(first),
        false => {
            let rest = std::iter::from_fn(move || pieces.next());
            Body::from_stream(stream::iter(std::iter::once(first).chain(rest).map(Ok::<Bytes, Infallible>)))
        }
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The text of a unit, as it was submitted.
pub(super) async fn text(
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<UnitText>, Failure> {
    let name = path_name(name)?;
    let handle = api.cluster.known().await?;
    let text = handle.read(|picture| picture.text(&name));
    text.map(Json).ok_or_else(|| Failure::not_found("unit does not exist"))
}

/// Why a unit is where it is, or nowhere.
pub(super) async fn explain(
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Explanation>, Failure> {
    let name = path_name(name)?;
    let handle = api.cluster.known().await?;
    let found = aside(move || handle.explain(&name, wall())).await?;
    found.map(Json).ok_or_else(|| Failure::not_found("unit does not exist"))
}

/// Lists the machines that are present.
pub(super) async fn machines(State(api): State<Arc<Api>>) -> Result<Json<MachineList>, Failure> {
    let handle = api.cluster.known().await?;
    let status = handle.status();
    // What units ask for is read from the texts of all of them.
    let machines = aside(move || handle.read(|picture| picture.machines())).await?;
    Ok(Json(MachineList { revision: status.revision, stale: !status.live(), machines }))
}
