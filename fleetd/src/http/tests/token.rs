//! `POST /fleet/v2/registry/tokens`

use std::sync::Arc;

use fleet_api::v2::TokenRequest;
use fleet_registry::trust::{Authority, Invitation, Lifetimes};

use super::Served;
use crate::http::{Inviter, Limits};

/// A person asks the wrong machine, or one whose registry nobody can join: a token would lead nowhere.
#[tokio::test]
async fn a_token_is_made_where_machines_can_join_and_nowhere_else() {
    for (inviter, words) in [
        (Inviter::Elsewhere, "does not run on this machine"),
        (Inviter::Local, "set registry_listen="),
        (Inviter::Insecure, "registry_insecure=true"),
    ] {
        let served = Served::serve(Limits::default(), inviter).await;
        let error = served.client().make_token(&TokenRequest::default()).await.unwrap_err();
        assert!(error.status() == Some(409) && error.to_string().contains(words), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::open(dir.path(), Lifetimes::default()).unwrap());
    let here = |address: &str| Inviter::Here { authority: Arc::clone(&authority), address: address.to_owned() };
    let served = Served::serve(Limits::default(), here("0.0.0.0:2379")).await;
    let error = served.client().make_token(&TokenRequest::default()).await.unwrap_err();
    assert!(error.to_string().contains("set public_ip="), "{error}");

    let served = Served::serve(Limits::default(), here("192.0.2.1:2379")).await;
    let made = served.client().make_token(&TokenRequest { uses: Some(2), ..TokenRequest::default() }).await.unwrap();
    let invitation: Invitation = made.token.parse().unwrap();
    assert_eq!((invitation.address.as_str(), invitation.authority), ("192.0.2.1:2379", authority.fingerprint()));
    assert_eq!(made.uses, 2);
    for (ttl_seconds, uses) in [(Some(0), None), (Some(u64::MAX), None), (None, Some(0))] {
        let error = served.client().make_token(&TokenRequest { ttl_seconds, uses }).await.unwrap_err();
        assert_eq!(error.status(), Some(400), "{error}");
    }
}
