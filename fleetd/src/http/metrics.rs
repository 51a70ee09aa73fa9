//! `/metrics`: this fleetd, its engine, and the cluster as it knows it, in Prometheus' text format.
//!
//! The names that CoreOS fleet had, or only documented, stand beside ours. What it counted wrong is counted right: the
//! start of leadership is a time, a pass counts once, and a failure is one.

mod process;
mod text;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use fleet_engine::EngineCounts;

use super::{Api, Failure, VERSION};
use crate::counts::{Kind, StoreCounts};
use text::{Text, label};

/// GET shows them. What is counted in this process is told even where the registry cannot be reached.
pub(super) async fn metrics(State(api): State<Arc<Api>>, method: Method) -> Result<Response, Failure> {
    if method != Method::GET {
        return Err(Failure::method("only GET supported against this resource"));
    }
    let mut text = Text::default();
    let version = label("version", VERSION);
    text.gauge("fleet_build_info", "Version.", [(version, 1.0)]);
    cluster(&api, &mut text).await;
    engine(api.counts.engine.as_ref().map(|counts| counts()).unwrap_or_default(), &mut text);
    registry(&api.counts.store, &mut text);
    process::describe(api.counts.started, &mut text);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.0).into_response())
}

/// What is known of the cluster, if anything is.
async fn cluster(api: &Api, text: &mut Text) {
    let Ok(handle) = api.cluster.known().await else {
        return text.number("fleet_registry_followed", "Whether the registry is being followed.", 0.0);
    };
    let status = handle.status();
    let (machines, units, unreadable, leads) = handle.read(|picture| {
        let leads = picture.view.leader.as_ref().is_some_and(|leader| leader.value.machine == api.local.machine);
        (picture.view.machines.len(), picture.view.units.len(), picture.view.unreadable.len(), leads)
    });
    for (name, help, value) in [
        ("fleet_machines", "Machines that are present.", machines as f64),
        ("fleet_units", "Units that were submitted.", units as f64),
        ("fleet_unreadable_records", "Records that cannot be read, and are left alone.", unreadable as f64),
        ("fleet_registry_revision", "Revision of the registry that is known here.", status.revision as f64),
        ("fleet_registry_followed", "Whether the registry is being followed.", f64::from(status.live())),
        ("fleet_engine_leader", "Whether the engine of this machine decides.", f64::from(leads)),
    ] {
        text.number(name, help, value);
    }
}

fn engine(counts: EngineCounts, text: &mut Text) {
    let kinds = |name: &'static str, pairs: &[(&str, u64)]| -> Vec<(String, f64)> {
        pairs.iter().map(|(kind, count)| (label(name, kind), *count as f64)).collect()
    };
    let since = counts.leads_since as f64 / 1000.0;
    text.number("fleet_engine_leader_start_time", "When this engine became the leader; 0 while it is not.", since);
    text.counter(
        "fleet_engine_task_count_total",
        "Units given to machines, and taken off them.",
        kinds("type", &[("attemptscheduleunit", counts.scheduled), ("unscheduleunit", counts.unscheduled)]),
    );
    text.counter(
        "fleet_engine_task_failure_count_total",
        "Schedules that could not be written, and were decided anew.",
        kinds("type", &[("attemptscheduleunit", counts.failed_writes), ("unscheduleunit", 0)]),
    );
    text.counter(
        "fleet_engine_reconcile_count_total",
        "Passes over what had changed.",
        [(String::new(), counts.passes as f64)],
    );
    text.summary(
        "fleet_engine_reconcile_duration_second",
        "Time that a pass takes.",
        [(String::new(), counts.time, counts.passes)],
    );
    let failures = [("machine_away", counts.machine_away), ("run", counts.unsuited), ("schedule", counts.unplaceable)];
    text.counter(
        "fleet_engine_reconcile_failure_count_total",
        "Units that lost their machine, that their machine could not run any more, and that found none.",
        kinds("type", &failures),
    );
}

fn registry(counts: &StoreCounts, text: &mut Text) {
    let each = |of: fn(&StoreCounts, Kind) -> u64| {
        Kind::ALL.map(|kind| (label("type", kind.name()), of(counts, kind) as f64)).to_vec()
    };
    text.counter(
        "fleet_registry_operation_count_total",
        "Requests to the registry that came to an end.",
        each(|counts, kind| counts.of(kind).count()),
    );
    text.counter(
        "fleet_registry_operation_failed_count_total",
        "Requests to the registry that failed.",
        each(|counts, kind| counts.of(kind).failed()),
    );
    let times = Kind::ALL.map(|kind| {
        let requests = counts.of(kind);
        (label("ops", kind.name()), requests.time(), requests.count())
    });
    text.summary("fleet_registry_operation_duration_second", "Time that a request to the registry takes.", times);
}
