//! Whose keys are in the registry.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fleet_registry::record::{MachineRecord, Record};
use fleet_registry::store::{ErrorKind, RangeRequest, Request, ResponseBody, StoreError};
use fleet_registry::{Layout, Store};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A key that was found this recently is taken at its word.
const TRUSTED_FOR: Duration = Duration::from_secs(30);
/// A key that is not known is looked up, but strangers must not load the store: no more often than this.
const LOOKED_UP_EVERY: Duration = Duration::from_secs(1);
/// Machines read at once.
const PAGE: i64 = 1_000;

/// The fingerprints of the machines that are present, read when somebody knocks.
pub struct Members {
    store: Arc<dyn Store>,
    layout: Layout,
    timeout: Duration,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    fingerprints: BTreeSet<String>,
    /// When they were read, or last tried to be.
    tried: Option<Instant>,
    read: Option<Instant>,
}

impl Members {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, layout: Layout, timeout: Duration) -> Self {
        Self { store, layout, timeout, known: Mutex::default() }
    }

    /// Whether a machine of the cluster has this key. While the store does not answer, those that were known last are
    /// let in: people want to read journals most of all when something is wrong.
    pub async fn include(&self, fingerprint: &str) -> bool {
        let mut known = self.known.lock().await;
        let listed = known.fingerprints.contains(fingerprint);
        if listed && known.read.is_some_and(|at| at.elapsed() < TRUSTED_FOR) {
            return true;
        }
        if known.tried.is_some_and(|at| at.elapsed() < LOOKED_UP_EVERY) {
            return listed;
        }
        known.tried = Some(Instant::now());
        match self.read().await {
            Ok(fingerprints) => {
                known.fingerprints = fingerprints;
                known.read = Some(Instant::now());
            }
            Err(error) => tracing::warn!("failed to read the keys of machines: {error}"),
        }
        known.fingerprints.contains(fingerprint)
    }

    async fn read(&self) -> Result<BTreeSet<String>, StoreError> {
        let prefix = format!("{}machines/", self.layout.root());
        let mut range = RangeRequest { limit: PAGE, ..RangeRequest::prefix(prefix) };
        let mut fingerprints = BTreeSet::new();
        loop {
            let answer = tokio::time::timeout(self.timeout, self.store.call(Request::Range(range.clone()))).await;
            let response = answer.map_err(|_| StoreError::new(ErrorKind::Unknown, "no answer in time"))??;
            let ResponseBody::Range(page) = response.body else {
                return Err(StoreError::new(ErrorKind::Other, "the store answered something else than was asked"));
            };
            for kv in &page.kvs {
                // A record that cannot be read vouches for nobody.
                let machine = MachineRecord::decode(&kv.value).ok();
                fingerprints.extend(machine.and_then(|machine| machine.peer).map(|peer| peer.fingerprint));
            }
            match page.kvs.last() {
                Some(last) if page.more => {
                    range.key = [&last.key[..], b"\0"].concat().into();
                    range.revision = response.header.revision;
                }
                _ => return Ok(fingerprints),
            }
        }
    }
}
