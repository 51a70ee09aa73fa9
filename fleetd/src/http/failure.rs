//! What a request gets that cannot be served: a status, and one line in fleet's error entity.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fleet_api::ErrorEntity;

use crate::cluster::{Senseless, Unavailable};

/// Seconds after which a request that was refused for want of room, or of the registry, may be sent again.
pub(super) const RETRY_AFTER: u16 = 1;

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The status.
    pub status: StatusCode,
    /// One line for people; may be empty.
    pub message: String,
}

impl Failure {
    /// A failure of this status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// There is no room for the request at the moment.
    pub fn busy(status: StatusCode, why: &str) -> Self {
        Self::new(status, format!("fleetd is busy: {why}; try again"))
    }

    /// The method is not supported here.
    pub fn method(message: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, message)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let passing = matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        let entity = Json(ErrorEntity::new(self.status.as_u16(), self.message));
        let mut response = (self.status, entity).into_response();
        if passing {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
        }
        response
    }
}

impl From<Unavailable> for Failure {
    fn from(error: Unavailable) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<Senseless> for Failure {
    fn from(error: Senseless) -> Self {
        Self::bad_request(error.0)
    }
}
