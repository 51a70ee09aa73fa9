//! Pages of a listing.

use axum::http::StatusCode;
use fleet_api::v1::PageToken;

use crate::http::Failure;
use crate::http::request::Query;

/// The page that a request asks for, and the token of the one after it.
pub(super) fn page<T: Clone>(query: &Query, limit: u16, all: &[T]) -> Result<(Vec<T>, String), Failure> {
    let mut tokens = query.all("nextPageToken");
    let token = match (tokens.next(), tokens.next()) {
        (None | Some(""), None) => PageToken::first(limit),
        (Some(text), None) => {
            PageToken::parse(text, limit).map_err(|error| Failure::new(StatusCode::BAD_REQUEST, error.to_string()))?
        }
        (_, Some(_)) => return Err(Failure::bad_request("too many values for page token")),
    };
    let (range, next) = token.window(all.len());
    Ok((all[range].to_vec(), next.map(|token| token.to_string()).unwrap_or_default()))
}
