//! How much is taken in, and given out, at once.
//!
//! Writes take turns: some are under way, more wait, and what comes on top of those is told to come again (429). Large
//! bodies, both ways, share so many bytes, however many clients there are and however slowly they send or read (503).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::body::{self, Share};
use super::{Failure, Limits};

/// A body up to this size counts as part of its connection.
const SMALL: u64 = 16 << 10;

/// What holds back.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    /// Of those who write or wait for it.
    queue: Arc<Semaphore>,
    /// Of those who write.
    writing: Arc<Semaphore>,
    /// Of kilobytes.
    kilobytes: Arc<Semaphore>,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self {
            queue: semaphore(limits.writes + limits.waiting),
            writing: semaphore(limits.writes),
            kilobytes: semaphore(limits.bytes >> 10),
            limits,
        }
    }
}

/// Has writes take turns.
pub(super) async fn turns(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let busy = |why: &str| Failure::busy(StatusCode::TOO_MANY_REQUESTS, why).into_response();
    let Ok(_place) = gate.queue.try_acquire() else { return busy("too many writes wait already") };
    let turn = timeout(gate.limits.turn, gate.writing.acquire()).await;
    let Ok(Ok(_turn)) = turn else { return busy("the writes before this one take too long") };
    next.run(request).await
}

/// Reads the body of the request, and lets the answer out, within the bytes that there are for all of them.
pub(super) async fn bodies(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let mut share = Share::new(Arc::clone(&gate.kilobytes));
    let request = match body::whole(request, &gate.limits, &mut share).await {
        Ok(request) => request,
        Err(failure) => return failure.into_response(),
    };
    let response = next.run(request).await;
    drop(share);
    let size = response.body().size_hint().exact().filter(|size| *size > SMALL);
    let Some(size) = size else { return response };
    // One that is larger than all that there is takes all that there is.
    let kilobytes = u32::try_from((size >> 10).min(gate.limits.bytes as u64 >> 10)).unwrap_or(u32::MAX);
    match Arc::clone(&gate.kilobytes).try_acquire_many_owned(kilobytes) {
        Ok(permit) => response.map(|body| Body::new(Held { body, _permit: permit })),
        Err(_) => Failure::busy(StatusCode::SERVICE_UNAVAILABLE, "too much waits to be read").into_response(),
    }
}

/// A body that holds its share until it is sent.
struct Held {
    body: Body,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
