//! `/discovery`: API v1 described for generators of clients.

use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::http::Failure;

/// The description, in the form of Google's discovery service, as fleet gave it.
const DOCUMENT: &str = include_str!("discovery.json");

/// GET shows it. A wrong method answers 400 here, as it did in fleet.
pub(super) async fn discovery(method: Method) -> Result<Response, Failure> {
    if method != Method::GET {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "only HTTP GET supported against this resource"));
    }
    Ok(([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response())
}

#[cfg(test)]
mod tests {
    use super::DOCUMENT;

    #[test]
    fn every_schema_that_is_referred_to_is_there() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let schemas = document["schemas"].as_object().unwrap();
        let mut referred = Vec::new();
        collect(&document, &mut referred);
        assert!(referred.len() >= 10);
        for name in referred {
            assert!(schemas.contains_key(&name), "{name}");
        }
    }

    fn collect(value: &serde_json::Value, found: &mut Vec<String>) {
        if let Some(object) = value.as_object() {
            found.extend(object.get("$ref").and_then(|v| v.as_str()).map(str::to_owned));
            object.values().for_each(|v| collect(v, found));
        } else if let Some(list) = value.as_array() {
            list.iter().for_each(|v| collect(v, found));
        }
    }
}
