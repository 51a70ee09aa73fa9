//! `/machines`: the machines that are present, and what operators say of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fleet_api::v1;
use fleet_registry::record::OperatorRecord;
use fleet_units::MachineId;
use serde::Deserialize;

use super::pages::page;
use crate::http::request::{Query, decode, is_metadata_key};
use crate::http::{Api, Failure};

/// GET lists, PATCH changes metadata.
pub(super) async fn machines(
    State(api): State<Arc<Api>>,
    method: Method,
    query: Query,
    body: Bytes,
) -> Result<Response, Failure> {
    match method {
        Method::GET => {
            let handle = api.cluster.live().await?;
            let machines = handle.read(|picture| picture.v1_machines());
            let (machines, next_page_token) = page(&query, api.token_limit, &machines)?;
            Ok(Json(v1::MachinePage { machines, next_page_token }).into_response())
        }
        Method::PATCH => patch(&api, &body).await,
        _ => Err(Failure::method("only GET and PATCH supported against this resource")),
    }
}

/// One operation of a patch.
#[derive(Debug, Deserialize)]
struct Operation {
    #[serde(default)]
    op: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    value: Option<Value>,
}

/// A value as fleet's documents wrote it, and as its server read it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Value {
    Plain(String),
    Wrapped { value: String },
}

/// What a patch says of one machine: `None` removes the key.
type Overrides = BTreeMap<String, Option<String>>;

async fn patch(api: &Api, body: &[u8]) -> Result<Response, Failure> {
    let operations: Vec<Operation> = decode(body)?;
    let mut by_machine: BTreeMap<MachineId, Overrides> = BTreeMap::new();
    for operation in operations {
        let (machine, key, value) = check(operation)?;
        by_machine.entry(machine).or_default().insert(key, value);
    }
    let writer = api.cluster.writer();
    let mut revision = 0;
    for (machine, overrides) in by_machine {
        let change = |said: &mut OperatorRecord| said.metadata.extend(overrides.clone());
        let (written, _) = writer.operate(&machine, change).await.map_err(|e| api.unavailable(&e))?;
        revision = revision.max(written);
    }
    api.cluster.reached(revision).await;
    // As fleet had it: a type, of nothing.
    Ok((StatusCode::NO_CONTENT, [(header::CONTENT_TYPE, "application/json")]).into_response())
}

fn check(operation: Operation) -> Result<(MachineId, String, Option<String>), Failure> {
    let remove = match operation.op.as_str() {
        "add" | "replace" => false,
        "remove" => true,
        _ => return Err(Failure::bad_request("invalid op: expect add, remove, or replace")),
    };
    let invalid = || Failure::bad_request("machine metadata path invalid");
    let mut parts = operation.path.strip_prefix('/').ok_or_else(invalid)?.split('/');
    let (Some(machine), Some("metadata"), Some(key), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(invalid());
    };
    if !is_metadata_key(key) {
        return Err(invalid());
    }
    let machine = MachineId::parse(machine).map_err(|_| invalid())?;
    let value = match operation.value {
        Some(Value::Plain(value) | Value::Wrapped { value }) => Some(value).filter(|value| !value.is_empty()),
        None => None,
    };
    match (remove, value) {
        (true, _) => Ok((machine, key.to_owned(), None)),
        (false, Some(value)) => Ok((machine, key.to_owned(), Some(value))),
        (false, None) => Err(Failure::bad_request("invalid value: add and replace require a value")),
    }
}
