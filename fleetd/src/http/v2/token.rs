//! `POST /fleet/v2/registry/tokens`: what a machine joins the registry with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use fleet_api::v2::{TokenAnswer, TokenRequest};
use fleet_registry::trust;

use crate::http::request::{decode_object, expect_json};
use crate::http::{Api, Caller, Failure, Inviter};

/// A token that is good for longer is a key to the cluster that lies about.
const LONGEST: u64 = 30 * 24 * 3600;

/// Makes a token.
pub(super) async fn make(
    State(api): State<Arc<Api>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<TokenAnswer>, Failure> {
    expect_json(&headers)?;
    let request: TokenRequest = decode_object(&body)?;
    let default = trust::TokenRequest::default();
    let seconds = request.ttl_seconds.unwrap_or(default.ttl.as_secs());
    let uses = request.uses.unwrap_or(default.uses);
    if seconds == 0 || seconds > LONGEST || uses == 0 {
        return Err(Failure::bad_request("a token is good for 1 s to 30 days, and for at least one machine"));
    }
    let conflict = |why: &str| Err(Failure::new(StatusCode::CONFLICT, why));
    let (authority, address) = match &api.inviter {
        Inviter::Here { authority, address } => (Arc::clone(authority), address.clone()),
        Inviter::Elsewhere => {
            return conflict(
                "the registry does not run on this machine: ask the fleetd of the machine that carries it \
                 (registry=embedded); an etcd outside takes no tokens",
            );
        }
        Inviter::Local => {
            return conflict(
                "the registry is reached by this machine alone: set registry_listen= to an address of this machine that \
                 others reach, such as 0.0.0.0:2379, and restart fleetd",
            );
        }
        Inviter::Insecure => {
            return conflict(
                "the registry is served in plain text (registry_insecure=true) and takes no tokens: remove that and \
                 restart fleetd, or have the machine use it with etcd_servers=http://ADDRESS:2379",
            );
        }
    };
    if address.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_unspecified()) {
        return conflict("this machine knows no address at which others reach it: set public_ip= and restart fleetd");
    }
    let wanted = trust::TokenRequest { ttl: Duration::from_secs(seconds), uses };
    let made = tokio::task::spawn_blocking(move || authority.make_token(&address, wanted)).await;
    let failed = |why: String| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("no token was made: {why}"));
    let made = made.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
    let expires = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(made.expires)).to_string();
    tracing::warn!(
        "an operator ({caller}) made token {} for the registry, good until {expires} and for so many machines: {uses}",
        made.invitation.id
    );
    Ok(Json(TokenAnswer { token: made.invitation.reveal(), expires, uses }))
}
