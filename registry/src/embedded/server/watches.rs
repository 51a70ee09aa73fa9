//! Watches: any number of them over one stream.

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;

use etcd_client::proto::{PbEvent, PbWatchRequest, PbWatchRequestUnion, PbWatchResponse, PbWatchService};
use futures::{Stream, stream};
use tokio::sync::watch;
use tonic::codegen::async_trait;
use tonic::{Request, Response, Status, Streaming};

use super::{Service, refuse, stopped};
use crate::embedded::handle::{WatchControl, WatchStream};
use crate::embedded::streams::{Delivered, Delivery};
use crate::embedded::writer::Job;
use crate::store::{Event, EventFilter, Header, StoreError, WatchItem, WatchRequest};
use crate::wire;

/// A message of a watch that takes fragments stays below this, unless a single event is larger.
const FRAGMENT_BYTES: usize = 1536 * 1024;

#[async_trait]
impl PbWatchService for Service {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<PbWatchResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<Streaming<PbWatchRequest>>) -> Result<Response<Self::WatchStream>, Status> {
        let watches = self.registry.watch_stream().await.map_err(refuse)?;
        let session = Session {
            control: watches.control(),
            requests: Some(request.into_inner()),
            watches,
            fragmented: BTreeSet::new(),
            creating: VecDeque::new(),
            outgoing: VecDeque::new(),
            stopping: self.stopping.clone(),
        };
        let answers = stream::unfold(session, |mut session| async move {
            let answer = session.next().await?;
            Some((answer, session))
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// One client's stream.
struct Session {
    watches: WatchStream,
    control: WatchControl,
    /// `None` once the client has said that it wants nothing more.
    requests: Option<Streaming<PbWatchRequest>>,
    /// Watches whose big revisions may be split.
    fragmented: BTreeSet<i64>,
    /// Of each watch that is being created, whether it takes fragments.
    creating: VecDeque<bool>,
    outgoing: VecDeque<PbWatchResponse>,
    stopping: watch::Receiver<()>,
}

impl Session {
    async fn next(&mut self) -> Option<Result<PbWatchResponse, Status>> {
        loop {
            if let Some(response) = self.outgoing.pop_front() {
                return Some(Ok(response));
            }
            let requests = &mut self.requests;
            let request = async {
                match requests {
                    Some(requests) => requests.message().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                delivery = self.watches.next() => match delivery {
                    Some(delivery) => self.translate(delivery),
                    None => return Some(Err(stopped())),
                },
                _ = self.stopping.changed() => return Some(Err(stopped())),
                request = request => match request {
                    Ok(Some(request)) => {
                        if let Err(error) = self.take(request).await {
                            return Some(Err(refuse(error)));
                        }
                    }
                    Ok(None) => self.requests = None,
                    Err(_) => return None,
                },
            }
        }
    }

    async fn take(&mut self, request: PbWatchRequest) -> Result<(), StoreError> {
        let stream = self.control.id;
        match request.request_union {
            Some(PbWatchRequestUnion::CreateRequest(create)) => {
                self.creating.push_back(create.fragment);
                let filter = |filter: &i32| match filter {
                    0 => Some(EventFilter::NoPut),
                    1 => Some(EventFilter::NoDelete),
                    _ => None,
                };
                let request = WatchRequest {
                    key: create.key.into(),
                    range_end: create.range_end.into(),
                    start_revision: create.start_revision,
                    progress_notify: create.progress_notify,
                    prev_kv: create.prev_kv,
                    filters: create.filters.iter().filter_map(filter).collect(),
                };
                self.control.send(Job::CreateWatch(stream, create.watch_id, request)).await
            }
            Some(PbWatchRequestUnion::CancelRequest(cancel)) => {
                self.control.send(Job::CancelWatch(stream, cancel.watch_id)).await
            }
            Some(PbWatchRequestUnion::ProgressRequest(_)) => self.control.send(Job::Progress(stream)).await,
            None => Ok(()),
        }
    }

    fn translate(&mut self, delivery: Delivery) {
        let Delivery { watch, what } = delivery;
        let message = |header: Header| PbWatchResponse {
            header: Some(wire::header(header)),
            watch_id: watch,
            ..PbWatchResponse::default()
        };
        match what {
            Delivered::Item(WatchItem::Created { header }) => {
                if self.creating.pop_front() == Some(true) {
                    self.fragmented.insert(watch);
                }
                self.outgoing.push_back(PbWatchResponse { created: true, ..message(header) });
            }
            Delivered::Item(WatchItem::Events { header, events }) => {
                let limit = if self.fragmented.contains(&watch) { FRAGMENT_BYTES } else { usize::MAX };
                let mut parts = split(events, limit);
                let last = parts.pop().unwrap_or_default();
                let fragments =
                    parts.into_iter().map(|events| PbWatchResponse { fragment: true, events, ..message(header) });
                self.outgoing.extend(fragments);
                self.outgoing.push_back(PbWatchResponse { events: last, ..message(header) });
            }
            Delivered::Item(WatchItem::Progress { header }) => self.outgoing.push_back(message(header)),
            Delivered::Refused { header, why } => {
                self.creating.pop_front();
                let cancel_reason = why.to_owned();
                self.outgoing.push_back(PbWatchResponse {
                    created: true,
                    canceled: true,
                    cancel_reason,
                    ..message(header)
                });
            }
            Delivered::Canceled { header, error } => {
                self.fragmented.remove(&watch);
                let response = match error {
                    // Nothing else is said, as by etcd.
                    Some(error) if error.compact_revision > 0 => PbWatchResponse {
                        canceled: true,
                        compact_revision: error.compact_revision,
                        ..message(Header { revision: 0, ..header })
                    },
                    Some(error) => PbWatchResponse { canceled: true, cancel_reason: error.message, ..message(header) },
                    None => PbWatchResponse { canceled: true, ..message(header) },
                };
                self.outgoing.push_back(response);
            }
        }
    }
}

/// Events in order, in parts of about this size.
fn split(events: Vec<Event>, limit: usize) -> Vec<Vec<PbEvent>> {
    let mut parts = vec![Vec::new()];
    let mut size = 0;
    for event in events {
        let previous = event.prev_kv.as_ref().map_or(0, |kv| kv.key.len() + kv.value.len());
        let bytes = event.kv.key.len() + event.kv.value.len() + previous;
        if size > 0 && size + bytes > limit {
            parts.push(Vec::new());
            size = 0;
        }
        size += bytes;
        if let Some(part) = parts.last_mut() {
            part.push(event.into());
        }
    }
    parts
}
