//! `/metrics`: the cluster as this fleetd knows it, in Prometheus' text format.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};

use super::{Api, Failure, VERSION};

/// GET shows them.
pub(super) async fn metrics(State(api): State<Arc<Api>>, method: Method) -> Result<Response, Failure> {
    if method != Method::GET {
        return Err(Failure::method("only GET supported against this resource"));
    }
    let handle = api.cluster.known().await?;
    let status = handle.status();
    let (machines, units, unreadable, leads) = handle.read(|picture| {
        let leads = picture.view.leader.as_ref().is_some_and(|leader| leader.value.machine == api.local.machine);
        (picture.view.machines.len(), picture.view.units.len(), picture.view.unreadable.len(), leads)
    });
    let mut text = String::new();
    for (name, help, value) in [
        ("fleet_machines", "Machines that are present.", machines as i64),
        ("fleet_units", "Units that were submitted.", units as i64),
        ("fleet_unreadable_records", "Records that cannot be read, and are left alone.", unreadable as i64),
        ("fleet_registry_revision", "Revision of the registry that is known here.", status.revision),
        ("fleet_registry_followed", "Whether the registry is being followed.", i64::from(status.live())),
        ("fleet_engine_leader", "Whether the engine of this machine decides.", i64::from(leads)),
    ] {
        // Writing to a string cannot fail.
        _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    }
    _ = writeln!(text, "# HELP fleet_build_info Version.\n# TYPE fleet_build_info gauge");
    _ = writeln!(text, "fleet_build_info{{version=\"{VERSION}\"}} 1");
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
