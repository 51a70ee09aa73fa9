//! One watch over one stream. It never resumes by itself: whoever watches knows best from where.

use std::sync::Arc;

use etcd_client::proto::{PbWatchRequest, PbWatchResponse};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Streaming;

use super::rpc::Rpc;
use crate::store::{ErrorKind, Event, Header, StoreError, WatchItem, WatchRequest};
use crate::wire;

/// A watch on its way from being asked for to its end.
pub(super) struct Watch {
    rpc: Arc<Rpc>,
    state: State,
}

enum State {
    Asked(WatchRequest),
    Open(Open),
    Ended,
}

struct Open {
    answers: Streaming<PbWatchResponse>,
    /// Dropping it would end the stream.
    _requests: mpsc::Sender<PbWatchRequest>,
    /// Events of a revision of which more are to come.
    fragments: Vec<Event>,
}

impl Watch {
    pub(super) fn new(rpc: Arc<Rpc>, request: WatchRequest) -> Self {
        Self { rpc, state: State::Asked(request) }
    }

    /// The next item; after an error there is none.
    pub(super) async fn next(&mut self) -> Option<Result<WatchItem, StoreError>> {
        let item = match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => return None,
            State::Asked(request) => self.open(request).await,
            State::Open(open) => self.follow(open).await,
        };
        Some(item)
    }

    async fn open(&mut self, request: WatchRequest) -> Result<WatchItem, StoreError> {
        let limit = self.rpc.timeout();
        let Ok(outcome) = timeout(limit, self.create(request)).await else {
            self.rpc.leave_endpoint();
            return Err(StoreError::new(ErrorKind::Unavailable, format!("no watch was created within {limit:?}")));
        };
        let (open, header) = outcome?;
        self.state = State::Open(open);
        Ok(WatchItem::Created { header })
    }

    async fn create(&self, request: WatchRequest) -> Result<(Open, Header), StoreError> {
        let message = wire::watch_create(request);
        let mut token_is_fresh = false;
        loop {
            let (requests, answers) = self.rpc.streaming("/etcdserverpb.Watch/Watch", message.clone()).await?;
            let mut open = Open { answers, _requests: requests, fragments: Vec::new() };
            let answer = open.receive().await?;
            if !answer.canceled {
                return Ok((open, wire::header_from(answer.header)));
            }
            let error = canceled(&answer);
            // Here an old token shows only as a refusal.
            if error.kind == ErrorKind::PermissionDenied && !token_is_fresh && self.rpc.forget_token() {
                token_is_fresh = true;
                continue;
            }
            return Err(error);
        }
    }

    async fn follow(&mut self, mut open: Open) -> Result<WatchItem, StoreError> {
        loop {
            let answer = match open.receive().await {
                Ok(answer) => answer,
                Err(error) => {
                    if error.is_outage() {
                        self.rpc.leave_endpoint();
                    }
                    return Err(error);
                }
            };
            if answer.canceled {
                return Err(canceled(&answer));
            }
            let header = wire::header_from(answer.header);
            let only_progress = answer.events.is_empty() && open.fragments.is_empty();
            open.fragments.extend(answer.events.into_iter().map(Event::from));
            if answer.fragment {
                continue;
            }
            let events = std::mem::take(&mut open.fragments);
            self.state = State::Open(open);
            if only_progress {
                return Ok(WatchItem::Progress { header });
            }
            // While it catches up, etcd's header is ahead of the events that were sent.
            let revision = events.last().map_or(header.revision, |event| event.kv.mod_revision);
            return Ok(WatchItem::Events { header: Header { revision, ..header }, events });
        }
    }
}

impl Open {
    async fn receive(&mut self) -> Result<PbWatchResponse, StoreError> {
        match self.answers.message().await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(StoreError::new(ErrorKind::Unavailable, "etcd ended the watch")),
            Err(status) => Err(wire::from_status(&status)),
        }
    }
}

fn canceled(answer: &PbWatchResponse) -> StoreError {
    let reason = answer.cancel_reason.as_str();
    if answer.compact_revision > 0 {
        let mut error = StoreError::new(ErrorKind::Compacted, "etcdserver: mvcc: required revision has been compacted");
        error.compact_revision = answer.compact_revision;
        return error;
    }
    if reason.contains("permission denied") || reason.contains("auth token") {
        return StoreError::new(ErrorKind::PermissionDenied, reason);
    }
    let text = if reason.is_empty() { "etcd canceled the watch and gave no reason" } else { reason };
    StoreError::new(ErrorKind::Other, text)
}
