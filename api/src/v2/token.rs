//! Tokens with which machines join the registry.

use serde::{Deserialize, Serialize};

/// `POST /fleet/v2/registry/tokens`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenRequest {
    /// For how many seconds it is good; an hour without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// For how many machines; one without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
}

/// A token. It is told this once, and kept nowhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenAnswer {
    /// What `registry_join=` is set to.
    pub token: String,
    /// Until when it is good, as RFC 3339 writes it.
    pub expires: String,
    /// For how many machines.
    pub uses: u32,
}

impl std::fmt::Debug for TokenAnswer {
    /// Leaves the token out, so that it never reaches a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenAnswer").field("expires", &self.expires).field("uses", &self.uses).finish_non_exhaustive()
    }
}
