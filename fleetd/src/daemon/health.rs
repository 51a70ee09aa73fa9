//! How the registry is, for `fleetctl cluster status`.

use std::time::Duration;

use fleet_api::v2::RegistryView;
use fleet_registry::etcd::EtcdStore;
use futures::future::BoxFuture;

use super::reach::Reach;
use crate::archive::Archive;
use crate::http::Health;

/// How long it may take to say so.
const LIMIT: Duration = Duration::from_millis(500);

/// The registry as this fleetd reaches it.
pub(super) struct RegistryHealth {
    pub(super) store: EtcdStore,
    pub(super) endpoints: Vec<String>,
    pub(super) embedded: bool,
    pub(super) reach: Reach,
    pub(super) archive: Archive,
}

impl Health for RegistryHealth {
    fn archive(&self) -> Option<&Archive> {
        Some(&self.archive)
    }

    fn view(&self) -> BoxFuture<'_, RegistryView> {
        Box::pin(async {
            // One that may not be asked, or does not answer, says nothing of itself.
            let said = tokio::time::timeout(LIMIT, self.store.health()).await.ok().and_then(Result::ok);
            let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let (latency, age) = self.reach.last_answer().unzip();
            RegistryView {
                endpoints: self.endpoints.clone(),
                embedded: self.embedded,
                latency_ms: latency.map(millis),
                answered_ms: age.map(millis),
                version: said.as_ref().map(|said| said.version.clone()),
                size: said.as_ref().map(|said| said.size),
                alarms: said.map(|said| said.alarms).unwrap_or_default(),
            }
        })
    }
}
