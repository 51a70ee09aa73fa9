//! `POST /fleet/v2/units` and `POST /fleet/v2/destroy`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::HeaderMap;
use fleet_api::v2::{
    DestroyAnswer, DestroyRequest, Destroyed, Outcome, UnitChange, UnitOutcome, UnitsAnswer, UnitsRequest,
};

use crate::cluster::{Applied, Change};
use crate::http::aside::aside;
use crate::http::request::{decode_object, expect_json, unit_name};
use crate::http::{Api, Caller, Failure};
use crate::time::wall;

/// Creates and changes units, each independent of the others.
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<UnitsAnswer>, Failure> {
    expect_json(&headers)?;
    let request: UnitsRequest = decode_object(&body)?;
    make(&api, &caller, request.units).await.map(Json)
}

/// Makes changes of units, and tells what became of each.
pub(super) async fn make(api: &Api, caller: &Caller, units: Vec<UnitChange>) -> Result<UnitsAnswer, Failure> {
    let mut answers: Vec<Option<UnitOutcome>> = Vec::with_capacity(units.len());
    let mut names = Vec::with_capacity(units.len());
    let mut changes = Vec::new();
    for unit in units {
        let name = unit.name.clone();
        match Change::check(unit) {
            Ok(change) => {
                changes.push(change);
                answers.push(None);
            }
            Err(error) => answers.push(Some(refused(name.clone(), error.to_string()))),
        }
        names.push(name);
    }
    if changes.iter().any(Change::names_others) {
        let handle = api.cluster.known().await?;
        let judge = move || {
            let circles = handle.read(|picture| picture.refuse_circles(&changes.iter().collect::<Vec<_>>()));
            (changes, circles)
        };
        let (checked, circles) = aside(judge).await?;
        let mut circles = circles.into_iter();
        let mut sound = Vec::with_capacity(checked.len());
        let open = answers.iter_mut().zip(&names).filter(|(answer, _)| answer.is_none());
        for ((answer, name), change) in open.zip(checked) {
            match circles.next().flatten() {
                Some(error) => *answer = Some(refused(name.clone(), error.to_string())),
                None => sound.push(change),
            }
        }
        changes = sound;
    }
    let (revision, applied) =
        api.cluster.writer().change(changes, wall(), &caller.to_string()).await.map_err(|e| api.unavailable(&e))?;
    api.cluster.reached(revision).await;
    let mut applied = applied.into_iter();
    let units = names
        .into_iter()
        .zip(answers)
        .map(|(name, answer)| match answer {
            Some(refused) => refused,
            None => match applied.next() {
                Some(applied) => outcome(name, applied),
                None => refused(name, "fleetd lost the outcome: this is a bug".to_owned()),
            },
        })
        .collect();
    Ok(UnitsAnswer { revision, units })
}

fn refused(name: String, message: String) -> UnitOutcome {
    UnitOutcome { name, outcome: Outcome::Refused, uid: None, desired_state: None, message: Some(message) }
}

fn outcome(name: String, applied: Applied) -> UnitOutcome {
    UnitOutcome {
        name,
        outcome: applied.outcome,
        uid: applied.unit.map(|(uid, _)| uid),
        desired_state: applied.unit.map(|(_, desired)| desired),
        message: applied.message,
    }
}

/// Destroys units. A name that is none makes the whole request senseless, since nothing has been done yet.
pub(super) async fn destroy(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<DestroyAnswer>, Failure> {
    expect_json(&headers)?;
    let request: DestroyRequest = decode_object(&body)?;
    let names = request.names.iter().map(|name| unit_name(name)).collect::<Result<Vec<_>, _>>()?;
    let (revision, outcomes) = api.cluster.writer().destroy(&names).await.map_err(|e| api.unavailable(&e))?;
    api.cluster.reached(revision).await;
    let units = request.names.into_iter().zip(outcomes).map(|(name, outcome)| Destroyed { name, outcome }).collect();
    Ok(Json(DestroyAnswer { revision, units }))
}
