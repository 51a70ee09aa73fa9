//! What there is: units, their texts, machines.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use fleet_api::v2::{MachineList, UnitList, UnitText};
use fleet_units::UnitName;

use super::watch;
use crate::http::request::{Query, unit_name};
use crate::http::{Api, Failure};
use crate::local::path_name;

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
    let (revision, units) = handle.read(|picture| {
        let names = wanted.map_or_else(|| picture.unit_names(), |names| names.into_iter().collect());
        let units = names.iter().filter_map(|name| picture.unit(name, stale)).collect();
        (picture.revision.max(status.revision), units)
    });
    Ok(Json(UnitList { revision, stale, units }).into_response())
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

/// Lists the machines that are present.
pub(super) async fn machines(State(api): State<Arc<Api>>) -> Result<Json<MachineList>, Failure> {
    let handle = api.cluster.known().await?;
    let status = handle.status();
    let machines = handle.read(|picture| picture.machines());
    Ok(Json(MachineList { revision: status.revision, stale: !status.live(), machines }))
}
