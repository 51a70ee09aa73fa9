//! Bodies of requests: read whole before anything else, within a limit.
//!
//! An answer that goes out while the client is still sending would reach it as a broken connection. So what is too
//! large is read to its end all the same, and thrown away, before it is refused.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use http_body_util::BodyExt;

use super::Failure;

/// The largest body that is accepted: a thousand units in one request, each of some size.
const MAX_BYTES: usize = 32 << 20;
/// What is read of a larger one before its connection is given up.
const MAX_DISCARDED: usize = 1 << 30;
/// How long a client may pause while it sends.
const PAUSE: Duration = Duration::from_secs(30);

/// Reads the body, then goes on with the request.
pub(super) async fn whole(request: Request, next: Next) -> Response {
    let expects_leave = request.headers().contains_key(header::EXPECT);
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if expects_leave && announced.is_some_and(|length| length > MAX_BYTES) {
        return too_large().into_response();
    }
    let (parts, body) = request.into_parts();
    match collect(body, MAX_BYTES).await {
        Ok(bytes) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Err(failure) => failure.into_response(),
    }
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// When it is larger, or does not come.
pub async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Failure> {
    let mut bytes = BytesMut::new();
    let mut discarded = 0;
    loop {
        let frame = match tokio::time::timeout(PAUSE, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return Err(Failure::bad_request(format!("unable to read body: {error}"))),
            Ok(None) => break,
            Err(_) => return Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "the body does not come")),
        };
        let Some(data) = frame.data_ref() else { continue };
        if discarded == 0 && bytes.len() + data.len() <= limit {
            bytes.extend_from_slice(data);
            continue;
        }
        discarded += bytes.len() + data.len();
        bytes = BytesMut::new();
        if discarded > MAX_DISCARDED {
            return Err(too_large());
        }
    }
    if discarded > 0 { Err(too_large()) } else { Ok(bytes.freeze()) }
}

fn too_large() -> Failure {
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than the {MAX_BYTES} bytes accepted"))
}
