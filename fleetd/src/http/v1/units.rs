//! `/units` and `/units/NAME`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use fleet_api::v1;
use fleet_api::v2::{DestroyOutcome, Outcome};
use fleet_units::{DesiredState, UnitFile, UnitName, UnitOption};

use super::pages::page;
use crate::cluster::{Applied, Change, Existing, Text, check_template};
use crate::http::aside::aside;
use crate::http::request::{Query, decode_object, expect_json, unit_name};
use crate::http::{Api, Caller, Failure};
use crate::time::wall;

/// GET lists.
pub(super) async fn list(State(api): State<Arc<Api>>, method: Method, query: Query) -> Result<Response, Failure> {
    if method != Method::GET {
        return Err(Failure::method("only GET supported against this resource"));
    }
    let handle = api.cluster.live().await?;
    let names: Vec<UnitName> = handle.read(|picture| picture.view.units.keys().cloned().collect());
    let (names, next_page_token) = page(&query, api.token_limit, &names)?;
    let units = handle.read(|picture| names.iter().filter_map(|name| picture.v1_unit(name)).collect());
    Ok(Json(v1::UnitPage { units, next_page_token }).into_response())
}

/// GET shows, PUT creates and changes, DELETE destroys.
pub(super) async fn one(
    State(api): State<Arc<Api>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    name: Result<Path<String>, PathRejection>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let Path(name) = name.map_err(|error| Failure::bad_request(error.body_text()))?;
    match method {
        Method::GET => {
            let handle = api.cluster.live().await?;
            let unit = UnitName::parse(&name).ok().and_then(|name| handle.read(|picture| picture.v1_unit(&name)));
            unit.map(|unit| Json(unit).into_response()).ok_or_else(|| Failure::not_found("unit does not exist"))
        }
        Method::DELETE => destroy(&api, &name).await,
        Method::PUT => put(&api, &caller, &name, &headers, &body).await,
        _ => Err(Failure::method("only GET, PUT and DELETE supported against this resource")),
    }
}

async fn destroy(api: &Api, name: &str) -> Result<Response, Failure> {
    let absent = || Failure::not_found("unit does not exist");
    let name = UnitName::parse(name).map_err(|_| absent())?;
    let (revision, outcomes) = api.cluster.writer().destroy(&[name]).await.map_err(|e| api.unavailable(&e))?;
    if outcomes.first() != Some(&DestroyOutcome::Destroyed) {
        return Err(absent());
    }
    api.cluster.reached(revision).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn put(
    api: &Api,
    caller: &Caller,
    url_name: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Failure> {
    expect_json(headers)?;
    let unit: v1::Unit = decode_object(body)?;
    if !unit.name.is_empty() && unit.name != url_name {
        return Err(Failure::bad_request(format!(
            "name in URL {url_name:?} differs from unit name in request body {:?}",
            unit.name
        )));
    }
    let name = unit_name(url_name)?;
    let writer = api.cluster.writer();
    let existing = writer.read(std::slice::from_ref(&name)).await.map_err(|e| api.unavailable(&e))?;
    let found = match existing.first() {
        Some(Err(why)) => return Err(Failure::new(StatusCode::CONFLICT, why.clone())),
        Some(Ok(found)) => found.as_ref(),
        None => None,
    };
    let (change, status) = judge(name, unit, found)?;
    let change = match change.names_others() {
        true => not_circular(api, change).await?,
        false => change,
    };
    let change_result = writer.change_from(vec![change], existing, wall(), &caller.to_string()).await;
    let (revision, applied) = change_result.map_err(|e| api.unavailable(&e))?;
    if let Some(refused) = applied.into_iter().find(|applied| applied.outcome == Outcome::Refused) {
        return Err(conflict(refused));
    }
    api.cluster.reached(revision).await;
    Ok(status.into_response())
}

/// The change, unless it would close a circle.
async fn not_circular(api: &Api, change: Change) -> Result<Change, Failure> {
    let handle = api.cluster.known().await?;
    let judge = move || (handle.read(|picture| picture.refuse_circles(&[&change])), change);
    let (circles, change) = aside(judge).await?;
    match circles.into_iter().flatten().next() {
        Some(circle) => Err(Failure::new(StatusCode::CONFLICT, circle.to_string())),
        None => Ok(change),
    }
}

/// What a PUT comes to, in fleet's order of questions, and the status that its success gets.
fn judge(name: UnitName, unit: v1::Unit, existing: Option<&Existing>) -> Result<(Change, StatusCode), Failure> {
    let desired = match unit.desired_state.as_str() {
        "" => None,
        text => Some(text.parse::<DesiredState>().map_err(|error| Failure::bad_request(error.to_string()))?),
    };
    let options: Vec<UnitOption> = unit
        .options
        .into_iter()
        .map(|option| UnitOption { section: option.section, name: option.name, value: option.value })
        .collect();
    if existing.is_none() && options.is_empty() {
        return Err(Failure::new(StatusCode::CONFLICT, "unit does not exist and options field empty"));
    }
    if !options.is_empty() {
        let file = UnitFile::from_options(options).map_err(|error| Failure::bad_request(error.to_string()))?;
        if existing.is_none_or(|existing| existing.unit.value.hash != file.hash()) {
            check_template(&name, desired)?;
            let text = Text::check(&name, file.canonical(), std::collections::BTreeMap::new())?;
            let desired = Some(desired.unwrap_or(DesiredState::Inactive));
            let change = Change { name, text: Some(text), desired, replace: true, restart: false };
            return Ok((change, StatusCode::CREATED));
        }
    }
    if desired.is_none() {
        return Err(Failure::new(StatusCode::CONFLICT, "must provide DesiredState to update existing unit"));
    }
    check_template(&name, desired)?;
    Ok((Change { name, text: None, desired, replace: false, restart: false }, StatusCode::NO_CONTENT))
}

/// Between the reading and the writing somebody else was there.
fn conflict(refused: Applied) -> Failure {
    Failure::new(StatusCode::CONFLICT, refused.message.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet_registry::record::{ContentKey, FORMAT, UnitRecord, Versioned};

    fn existing() -> Existing {
        let text = "[Service]\nExecStart=/bin/true\n";
        let value = UnitRecord {
            v: FORMAT,
            content: ContentKey::of(text, &std::collections::BTreeMap::new()),
            hash: UnitFile::parse(text).unwrap().hash(),
            desired: DesiredState::Loaded,
            avoids: None,
            restarts: 0,
            changed: 0,
            changed_by: String::new(),
            extra: std::collections::BTreeMap::new(),
        };
        Existing { unit: Versioned { value, create_revision: 1, mod_revision: 1, lease: 0 }, content: None }
    }

    fn unit(options: &[(&str, &str, &str)], desired: &str) -> v1::Unit {
        v1::Unit {
            desired_state: desired.to_owned(),
            options: options
                .iter()
                .map(|(section, name, value)| v1::UnitOption {
                    section: (*section).to_owned(),
                    name: (*name).to_owned(),
                    value: (*value).to_owned(),
                })
                .collect(),
            ..v1::Unit::default()
        }
    }

    #[test]
    fn a_put_is_judged_in_fleets_order() {
        let same = [("Service", "ExecStart", "/bin/true")];
        let other = [("Service", "ExecStart", "/bin/false")];
        let contradiction =
            [("Service", "ExecStart", "/bin/true"), ("X-Fleet", "Global", "true"), ("X-Fleet", "MachineID", "x")];
        let old = existing();
        let cases: [(&str, v1::Unit, Option<&Existing>, u16, &str); 12] = [
            ("a.service", unit(&[], ""), None, 409, "unit does not exist and options field empty"),
            ("a.service", unit(&contradiction, ""), None, 400, "MachineID cannot be used with Global"),
            ("a.service", unit(&same, ""), None, 201, ""),
            ("a.service", unit(&same, "bogus"), None, 400, "bogus"),
            ("a@.service", unit(&same, "launched"), None, 400, "cannot activate template \"a@.service\""),
            ("a.service", unit(&other, "launched"), Some(&old), 201, ""),
            ("a.service", unit(&contradiction, "launched"), Some(&old), 400, "cannot be used with"),
            ("a.service", unit(&same, ""), Some(&old), 409, "must provide DesiredState to update existing unit"),
            ("a.service", unit(&[], ""), Some(&old), 409, "must provide DesiredState to update existing unit"),
            ("a.service", unit(&[], "bogus"), Some(&old), 400, "bogus"),
            ("a@.service", unit(&[], "loaded"), Some(&old), 400, "cannot activate template"),
            ("a.service", unit(&same, "launched"), Some(&old), 204, ""),
        ];
        for (name, unit, existing, status, words) in cases {
            let shown = format!("{name} {unit:?}");
            match judge(UnitName::parse(name).unwrap(), unit, existing) {
                Ok((_, got)) => assert_eq!(got.as_u16(), status, "{shown}"),
                Err(failure) => {
                    assert_eq!(failure.status.as_u16(), status, "{shown}: {}", failure.message);
                    assert!(failure.message.contains(words), "{shown}: {}", failure.message);
                }
            }
        }
    }

    #[test]
    fn replacing_without_a_desired_state_makes_the_unit_inactive() {
        let old = existing();
        let unit = unit(&[("Service", "ExecStart", "/bin/false")], "");
        let (change, _) = judge(UnitName::parse("a.service").unwrap(), unit, Some(&old)).unwrap();
        assert_eq!(change.desired, Some(DesiredState::Inactive));
        assert!(change.replace);
    }
}
