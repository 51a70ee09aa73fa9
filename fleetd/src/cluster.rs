//! The cluster, for whoever asks this fleetd about it: a mirror of all records, loaded at first use and dropped after
//! five idle minutes, and writes that answer once the mirror shows them.

mod absent;
mod change;
mod circles;
mod explain;
mod picture;
mod plan;
mod rebalance;
mod render;
mod serve;
mod status;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleet_registry::store::StoreError;
use fleet_registry::{Layout, Store};
use tokio::time::{Instant, timeout_at};

pub use absent::StillStopping;
pub use change::{Change, Existing, Senseless, Text, check_template};
pub use picture::{Parsed, Picture};
pub use plan::Plan;
pub use serve::{Handle, Notice, Status};
pub use write::{Applied, Forgotten, Found, Writer};

use serve::Loaded;

/// How long the first load may take before a caller is told that the store does not answer.
const LOAD_LIMIT: Duration = Duration::from_secs(15);
/// How long a caller waits for a mirror that has lost touch: a watch that broke is mostly back at once.
const GRACE: Duration = Duration::from_secs(1);
/// How long a write's answer waits for the mirror. The write is durable by then in any case.
const REACH_LIMIT: Duration = Duration::from_secs(2);
/// After this long without a question the mirror is dropped.
const IDLE: Duration = Duration::from_secs(300);

/// The store does not answer, and this is all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fleet server unable to communicate with etcd: {why}")]
pub struct Unavailable {
    /// In the store's words, with what to do about it where that is known.
    pub why: String,
}

impl From<StoreError> for Unavailable {
    fn from(error: StoreError) -> Self {
        Self { why: error.message }
    }
}

/// How the service reaches its store.
#[derive(Clone)]
pub struct ClusterConfig {
    /// Where the records live.
    pub layout: Layout,
    /// How long one request may take.
    pub timeout: Duration,
    /// Spreads retries.
    pub seed: u64,
    /// Added to the reason when the store does not answer: what a person could do.
    pub advice: Option<String>,
}

/// Whether the registry was heard of lately: a connection that is merely silent breaks late.
pub type InTouch = Arc<dyn Fn() -> bool + Send + Sync>;

/// The service. Cloning is cheap.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    config: ClusterConfig,
    store: Arc<dyn Store>,
    in_touch: InTouch,
    loaded: Mutex<Option<Arc<Loaded>>>,
}

impl Cluster {
    /// A service that has loaded nothing yet. What it knows is taken for old while it is not `in_touch`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, config: ClusterConfig, in_touch: InTouch) -> Self {
        Self { inner: Arc::new(Inner { config, store, in_touch, loaded: Mutex::new(None) }) }
    }

    /// Writes on behalf of people.
    #[must_use]
    pub fn writer(&self) -> Writer {
        let config = &self.inner.config;
        Writer::new(Arc::clone(&self.inner.store), config.layout.clone(), config.timeout)
    }

    /// The cluster as far as it is known, which may be old while the store does not answer; [`Handle::status`] tells.
    ///
    /// # Errors
    /// When nothing was ever loaded, and cannot be.
    pub async fn known(&self) -> Result<Handle, Unavailable> {
        let handle = self.handle();
        self.wait(&handle, |status| status.loaded()).await?;
        Ok(handle)
    }

    /// The cluster as it is now.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn live(&self) -> Result<Handle, Unavailable> {
        let handle = self.handle();
        self.wait(&handle, |status| status.live()).await?;
        Ok(handle)
    }

    /// Waits until the mirror shows what was written at `revision`. Without a mirror there is nothing to wait for: the
    /// next question loads one.
    pub async fn reached(&self, revision: i64) {
        let loaded = self.inner.slot().clone();
        let Some(loaded) = loaded else { return };
        let mut status = loaded.subscribe_status();
        let reached = status.wait_for(|status| status.revision >= revision);
        // When it takes too long the answer goes out all the same: what was acknowledged is in the store.
        _ = tokio::time::timeout(REACH_LIMIT, reached).await;
    }

    /// The reason for an unavailable store, with advice.
    #[must_use]
    pub fn unavailable(&self, why: &str) -> Unavailable {
        let why = match &self.inner.config.advice {
            Some(advice) => format!("{why}; {advice}"),
            None => why.to_owned(),
        };
        Unavailable { why }
    }

    fn handle(&self) -> Handle {
        let mut slot = self.inner.slot();
        let loaded = slot.get_or_insert_with(|| {
            let loaded = Arc::new(Loaded::new(&self.inner.config.layout, Arc::clone(&self.inner.in_touch)));
            tokio::spawn(serve::run(Arc::downgrade(&self.inner), Arc::clone(&loaded)));
            loaded
        });
        Handle::new(Arc::clone(loaded))
    }

    async fn wait(&self, handle: &Handle, enough: impl Fn(&Status) -> bool) -> Result<(), Unavailable> {
        let begun = Instant::now();
        let mut status = handle.subscribe_status();
        loop {
            status.mark_unchanged();
            let now = handle.status();
            if enough(&now) {
                return Ok(());
            }
            let limit = begun + if now.failing.is_some() { GRACE } else { LOAD_LIMIT };
            match timeout_at(limit, status.changed()).await {
                Ok(Ok(())) => {}
                // The registry may have been heard of meanwhile, which changes nothing of the mirror.
                Err(_) if enough(&handle.status()) => return Ok(()),
                Ok(Err(_)) | Err(_) => {
                    let why = handle.status().failing;
                    return Err(self.unavailable(why.as_deref().unwrap_or("it takes too long to load the cluster")));
                }
            }
        }
    }
}

impl Inner {
    fn slot(&self) -> MutexGuard<'_, Option<Arc<Loaded>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
