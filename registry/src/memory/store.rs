//! The memory store as an async [`Store`]: for tests, and wherever nothing needs to be kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::stream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Memory, WatcherId};
use crate::step::Mono;
use crate::store::{Answer, Request, Response, Store, StoreError, WatchItem, WatchRequest, WatchStream};

/// A store that lives as long as its last clone. Its leases run out by tokio's clock, so that paused time works.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    memory: Memory,
    waiting: BTreeMap<WatcherId, Arc<Notify>>,
}

impl MemoryStore {
    /// An empty store; see [`Memory::new`]. Has to be called within a tokio runtime.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the memory store's shell")]
    pub fn new(seed: u64) -> Self {
        let state = State { memory: Memory::new(seed), waiting: BTreeMap::new() };
        let shared = Arc::new(Shared { started: Instant::now(), state: Mutex::new(state) });
        tokio::spawn(expire(Arc::downgrade(&shared)));
        Self { shared }
    }

    fn apply(&self, request: Request) -> Result<Response, StoreError> {
        let now = self.shared.now();
        let mut state = self.shared.state();
        let result = state.memory.apply(now, request);
        state.wake();
        result
    }
}

impl Store for MemoryStore {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(async move { self.apply(request) })
    }

    fn watch(&self, request: WatchRequest) -> WatchStream {
        let mut state = self.shared.state();
        let (id, created) = state.memory.watch(request);
        let wake = Arc::new(Notify::new());
        state.waiting.insert(id, Arc::clone(&wake));
        drop(state);
        let watch = Watch { shared: Arc::clone(&self.shared), id, wake, first: Some(created), ended: false };
        Box::pin(stream::unfold(watch, |mut watch| async move {
            let item = watch.next().await?;
            Some((item, watch))
        }))
    }
}

impl Shared {
    fn now(&self) -> Mono {
        self.started.elapsed()
    }

    /// Ends the leases whose time has come. Returns how long the next has.
    fn expire(&self) -> Option<Duration> {
        let now = self.now();
        let mut state = self.state();
        state.memory.expire(now);
        state.wake();
        state.memory.next_deadline().map(|deadline| deadline.saturating_sub(now))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing below panics halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        for id in self.memory.take_woken() {
            if let Some(wake) = self.waiting.get(&id) {
                wake.notify_one();
            }
        }
    }
}

/// Ends leases in time, until the store is gone.
async fn expire(shared: Weak<Shared>) {
    // Shorter than the shortest lease, so that one granted meanwhile is not missed.
    const LONGEST_WAIT: Duration = Duration::from_secs(1);
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let wait = strong.expire().map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT));
        drop(strong);
        tokio::time::sleep(wait).await;
    }
}

/// One watch of a [`MemoryStore`].
struct Watch {
    shared: Arc<Shared>,
    id: WatcherId,
    wake: Arc<Notify>,
    first: Option<WatchItem>,
    ended: bool,
}

impl Watch {
    async fn next(&mut self) -> Option<Result<WatchItem, StoreError>> {
        if let Some(created) = self.first.take() {
            return Some(Ok(created));
        }
        while !self.ended {
            let item = self.shared.state().memory.poll_watch(self.id);
            match item {
                Some(item) => {
                    self.ended = item.is_err();
                    return Some(item);
                }
                None => self.wake.notified().await,
            }
        }
        None
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.memory.cancel_watch(self.id);
        state.waiting.remove(&self.id);
    }
}
