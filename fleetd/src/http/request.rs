//! Parts of requests, with what is wrong with them in words.

use axum::http::StatusCode;
use axum::http::{HeaderMap, header};
use fleet_units::UnitName;
use serde::de::DeserializeOwned;

use super::Failure;

/// Insists on one `Content-Type`, `application/json`, with parameters or without.
pub(super) fn expect_json(headers: &HeaderMap) -> Result<(), Failure> {
    let wrong = |message: String| Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (Some(one), None) => {
            let media = one.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
            if media.eq_ignore_ascii_case("application/json") {
                Ok(())
            } else {
                Err(wrong("only acceptable Content-Type is application/json".to_owned()))
            }
        }
        (None, _) => Err(wrong("expected 1 Content-Type, got 0".to_owned())),
        (Some(_), Some(_)) => Err(wrong(format!("expected 1 Content-Type, got {}", 2 + types.count()))),
    }
}

/// Reads a body.
pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::bad_request(format!("unable to decode body: {error}")))
}

/// Reads a body that must be an object: a list of a structure's fields, in order, is not what anybody meant.
pub(super) fn decode_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    match body.trim_ascii_start().first() {
        None | Some(b'{') => decode(body),
        Some(_) => Err(Failure::bad_request("unable to decode body: expected a JSON object")),
    }
}

/// Reads a unit's name.
pub(super) fn unit_name(name: &str) -> Result<UnitName, Failure> {
    UnitName::parse(name).map_err(|error| Failure::bad_request(error.to_string()))
}

/// Whether this can be a key of a machine's metadata.
pub(super) fn is_metadata_key(key: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    !key.is_empty() && key.chars().all(allowed)
}

/// The parameters of a query, in order.
#[derive(Debug, Clone, Default)]
pub struct Query(pub Vec<(String, String)>);

impl Query {
    /// Every value of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a parameter, unless it is empty.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// A yes or no, no where it is absent.
    ///
    /// # Errors
    /// When it is neither.
    pub fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.first(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(Failure::bad_request(format!("{name}={other}: expected true or false"))),
        }
    }
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Query {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, _: &S) -> Result<Self, Failure> {
        axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(pairs)| Self(pairs))
            .map_err(|error| Failure::bad_request(error.to_string()))
    }
}
