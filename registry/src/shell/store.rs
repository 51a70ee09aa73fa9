//! Carries out what state machines want of the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::AbortHandle;

use crate::step::{StoreEffect, StoreEvent, WatchId};
use crate::store::{ErrorKind, Request, Response, Store, StoreError, WatchRequest};

/// Carries out [`StoreEffect`]s and sends back what came of them.
///
/// Calls go out in the order in which they were asked for, and run side by side. Dropping it ends all watches; calls
/// under way may still take effect.
#[derive(Debug, Clone)]
pub struct StoreShell {
    effects: UnboundedSender<StoreEffect>,
}

impl StoreShell {
    /// A shell around this store. A call that is not answered within `timeout` fails with [`ErrorKind::Unknown`].
    /// Everything goes to `events`; when its receiver is gone, the shell does nothing any more.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, timeout: Duration, events: UnboundedSender<StoreEvent>) -> Self {
        let (effects, rx) = mpsc::unbounded_channel();
        tokio::spawn(Worker { store, timeout, events, watches: BTreeMap::new() }.run(rx));
        Self { effects }
    }

    /// Carries out an effect. Returns at once.
    pub fn perform(&self, effect: StoreEffect) {
        // The worker is gone only when nobody listens.
        let _ = self.effects.send(effect);
    }
}

struct Worker {
    store: Arc<dyn Store>,
    timeout: Duration,
    events: UnboundedSender<StoreEvent>,
    watches: BTreeMap<WatchId, AbortHandle>,
}

impl Worker {
    async fn run(mut self, mut effects: UnboundedReceiver<StoreEffect>) {
        // Polled for the first time in the order of pushing, which is what sends them in order.
        let mut calls = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                () = self.events.closed() => break,
                effect = effects.recv() => match effect {
                    None => break,
                    Some(StoreEffect::Call { id, request }) => {
                        let answer = call(Arc::clone(&self.store), self.timeout, request);
                        calls.push(async move { StoreEvent::Answer { id, result: answer.await } });
                    }
                    Some(StoreEffect::Watch { id, request }) => self.watch(id, request),
                    Some(StoreEffect::CancelWatch { id }) => {
                        if let Some(watch) = self.watches.remove(&id) {
                            watch.abort();
                        }
                    }
                },
                Some(event) = calls.next() => {
                    if self.events.send(event).is_err() {
                        break;
                    }
                }
            }
        }
    }

    fn watch(&mut self, id: WatchId, request: WatchRequest) {
        self.watches.retain(|_, watch| !watch.is_finished());
        let mut items = self.store.watch(request);
        let events = self.events.clone();
        let task = tokio::spawn(async move {
            loop {
                let item = items.next().await.unwrap_or_else(|| {
                    Err(StoreError::new(ErrorKind::Unavailable, "the store ended the watch without a reason"))
                });
                let last = item.is_err();
                if events.send(StoreEvent::Watch { id, item }).is_err() || last {
                    break;
                }
            }
        });
        if let Some(old) = self.watches.insert(id, task.abort_handle()) {
            old.abort();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.watches.values().for_each(AbortHandle::abort);
    }
}

async fn call(store: Arc<dyn Store>, timeout: Duration, request: Request) -> Result<Response, StoreError> {
    match tokio::time::timeout(timeout, store.call(request)).await {
        Ok(result) => result,
        Err(_) => {
            let message = format!("the store did not answer within {timeout:?}: is it overloaded, or cut off?");
            Err(StoreError::new(ErrorKind::Unknown, message))
        }
    }
}
