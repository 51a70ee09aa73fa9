//! What fleetd has done since it was started, counted for whoever watches it over time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fleet_engine::EngineCounts;
use fleet_registry::Store;
use fleet_registry::store::{Answer, Operation, Request, WatchRequest, WatchStream};

use crate::time::wall;

/// Kinds of requests to the registry, in the words of CoreOS fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One record is read.
    Get,
    /// Many are.
    GetAll,
    /// Something is changed.
    Set,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Get, Self::GetAll, Self::Set];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::GetAll => "get_all",
            Self::Set => "set",
        }
    }

    fn of(request: &Request) -> Self {
        match request {
            Request::Range(range) if range.range_end.is_empty() => Self::Get,
            Request::Range(_) => Self::GetAll,
            Request::LeaseTimeToLive { .. } | Request::Leases => Self::Get,
            Request::Txn(txn) => {
                let mut operations = txn.success.iter().chain(&txn.failure);
                if !operations.clone().all(|operation| matches!(operation, Operation::Range(_))) {
                    Self::Set
                } else if operations.nth(1).is_some() {
                    Self::GetAll
                } else {
                    Self::Get
                }
            }
            Request::LeaseGrant { .. }
            | Request::LeaseRevoke { .. }
            | Request::LeaseKeepAlive { .. }
            | Request::Compact { .. } => Self::Set,
        }
    }
}

/// Requests of one kind.
#[derive(Debug, Default)]
pub struct Requests {
    count: AtomicU64,
    failed: AtomicU64,
    nanos: AtomicU64,
}

impl Requests {
    /// How many came to an end.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// How many of them failed, or were given up.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// How long all of them took together.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }
}

/// Requests to the registry.
#[derive(Debug, Default)]
pub struct StoreCounts {
    kinds: [Requests; 3],
}

impl StoreCounts {
    /// Those of one kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> &Requests {
        &self.kinds[kind as usize]
    }
}

/// A store whose requests are counted.
pub struct Counted {
    store: Arc<dyn Store>,
    counts: Arc<StoreCounts>,
}

impl Counted {
    /// Counts what is asked of this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, counts: Arc<StoreCounts>) -> Self {
        Self { store, counts }
    }
}

/// A request under way; one that is given up has failed.
struct UnderWay<'a> {
    requests: &'a Requests,
    begun: Instant,
    failed: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let nanos = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.requests.count.fetch_add(1, Ordering::Relaxed);
        self.requests.failed.fetch_add(u64::from(self.failed), Ordering::Relaxed);
        self.requests.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Store for Counted {
    fn call(&self, request: Request) -> Answer<'_> {
        let requests = self.counts.of(Kind::of(&request));
        let mut under_way = UnderWay { requests, begun: Instant::now(), failed: true };
        let answer = self.store.call(request);
        Box::pin(async move {
            let answer = answer.await;
            under_way.failed = answer.is_err();
            drop(under_way);
            answer
        })
    }

    fn watch(&self, request: WatchRequest) -> WatchStream {
        self.store.watch(request)
    }
}

/// Reads what the engine has done.
pub type EngineCounter = Box<dyn Fn() -> EngineCounts + Send + Sync>;

/// All that is counted.
pub struct Counts {
    /// When this fleetd was started, in milliseconds since 1970.
    pub started: u64,
    /// Requests to the registry.
    pub store: Arc<StoreCounts>,
    /// What the engine has done, where this machine has one.
    pub engine: Option<EngineCounter>,
}

impl Counts {
    /// From now on.
    #[must_use]
    pub fn new(store: Arc<StoreCounts>, engine: Option<EngineCounter>) -> Self {
        Self { started: wall(), store, engine }
    }
}

#[cfg(test)]
mod tests {
    use fleet_registry::memory::MemoryStore;
    use fleet_registry::store::{PutRequest, RangeRequest, TxnRequest};

    use super::*;

    #[tokio::test]
    async fn requests_are_counted_by_kind_and_those_given_up_have_failed() {
        let counts = Arc::new(StoreCounts::default());
        let store = Counted::new(Arc::new(MemoryStore::new(1)), Arc::clone(&counts));
        let put = TxnRequest { success: vec![Operation::Put(PutRequest::new("/a", "1"))], ..TxnRequest::default() };
        store.call(Request::Txn(put)).await.unwrap();
        store.call(Request::Range(RangeRequest::key("/a"))).await.unwrap();
        store.call(Request::Range(RangeRequest::prefix("/"))).await.unwrap();
        let read = |key: &'static str| Operation::Range(RangeRequest::key(key));
        let success = vec![read("/a"), read("/b")];
        store.call(Request::Txn(TxnRequest { success, ..TxnRequest::default() })).await.unwrap();
        store.call(Request::LeaseRevoke { id: 9 }).await.unwrap_err();
        drop(store.call(Request::Leases));

        let found = Kind::ALL.map(|kind| (kind.name(), counts.of(kind).count(), counts.of(kind).failed()));
        assert_eq!(found, [("get", 2, 1), ("get_all", 2, 0), ("set", 2, 1)]);
        assert!(counts.of(Kind::Set).time() > Duration::ZERO);
    }
}
