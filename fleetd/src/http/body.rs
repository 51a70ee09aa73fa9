//! Bodies of requests: read whole before anything else, within limits of size, time, and of what all of them share.
//!
//! An answer that goes out while the client is still sending would reach it as a broken connection. So what is not taken
//! is read to its end all the same, and thrown away, before it is refused.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use bytes::BytesMut;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::{Failure, Limits};

/// The largest body that is accepted: a thousand units in one request, each of some size.
const MAX_BYTES: usize = 32 << 20;
/// What is read of a larger one before its connection is given up.
const MAX_DISCARDED: usize = 1 << 30;
/// Shares are taken in steps of so many kilobytes.
const STEP: usize = 64;

/// What a body has taken of the bytes that there are for all, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    kilobytes: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Share {
    pub(super) fn new(kilobytes: Arc<Semaphore>) -> Self {
        Self { kilobytes, taken: None }
    }

    /// Makes sure that it covers so many bytes. The first few are free.
    fn cover(&mut self, bytes: usize) -> bool {
        let wanted = (bytes >> 10) / STEP * STEP;
        let missing = wanted.saturating_sub(self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        if missing == 0 {
            return true;
        }
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&self.kilobytes).try_acquire_many_owned(missing) else { return false };
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        true
    }
}

/// Reads the body of a request.
pub(super) async fn whole(request: Request, limits: &Limits, share: &mut Share) -> Result<Request, Failure> {
    let expects_leave = request.headers().contains_key(header::EXPECT);
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if expects_leave && announced.is_some_and(|length| length > MAX_BYTES) {
        return Err(too_large());
    }
    let (parts, body) = request.into_parts();
    let bytes = collect(body, limits, share).await?;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Reads a body of at most [`MAX_BYTES`], as long as there is room for what has come of it.
async fn collect(mut body: Body, limits: &Limits, share: &mut Share) -> Result<Bytes, Failure> {
    let end = Instant::now() + limits.body;
    let mut bytes = BytesMut::new();
    let mut refused = None;
    let mut discarded = 0;
    loop {
        let frame = match timeout_at(end.min(Instant::now() + limits.pause), body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return Err(Failure::bad_request(format!("unable to read body: {error}"))),
            Ok(None) => break,
            Err(_) => return Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "the body does not come")),
        };
        let Some(data) = frame.data_ref() else { continue };
        if refused.is_none() {
            let size = bytes.len() + data.len();
            if size > MAX_BYTES {
                refused = Some(too_large());
            } else if !share.cover(size) {
                refused = Some(Failure::busy(StatusCode::SERVICE_UNAVAILABLE, "too much is being sent to it"));
            } else {
                bytes.extend_from_slice(data);
                continue;
            }
            bytes = BytesMut::new();
        }
        discarded += data.len();
        if discarded > MAX_DISCARDED {
            break;
        }
    }
    refused.map_or_else(|| Ok(bytes.freeze()), Err)
}

fn too_large() -> Failure {
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than the {MAX_BYTES} bytes accepted"))
}
