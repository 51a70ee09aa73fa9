//! Copies of the registry: handed out, taken in, looked at, and put in the registry's place.

mod effects;
mod migrate;
mod offline;
mod upload;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use fleet_api::v2::{RegistryContent, RestoreAnswer};
use fleet_registry::Layout;
use fleet_registry::embedded::{Embedded, EmbeddedError, Restored};
use fleet_registry::etcd::EtcdStore;
use fleet_registry::memory::Saved;
use fleet_registry::snapshot::Loaded;
use fleet_registry::store::StoreError;
use fleet_registry::view::View;
use futures::Stream;

use effects::{effects, view_of};
use upload::Upload;

pub use migrate::{Destination, MigrateArguments, migrate};
pub use offline::restore_offline;
pub use upload::UploadError;

/// What copies are made of and kept in.
#[derive(Debug)]
pub struct Archive {
    store: EtcdStore,
    layout: Layout,
    upload: Arc<Upload>,
    /// The registry, where this fleetd carries it.
    embedded: Option<Embedded>,
}

/// A snapshot that was uploaded, with what it holds of the cluster.
pub struct Backup {
    loaded: Loaded,
    view: View,
}

impl Archive {
    /// Copies of what `store` reaches, uploads in a directory.
    #[must_use]
    pub fn new(store: EtcdStore, layout: Layout, directory: PathBuf, embedded: Option<Embedded>) -> Self {
        Self { store, layout, upload: Arc::new(Upload::new(directory)), embedded }
    }

    /// The whole registry in etcd's form, part by part.
    ///
    /// # Errors
    /// When the registry does not begin to send it.
    pub async fn snapshot(&self) -> Result<impl Stream<Item = Result<Bytes, StoreError>> + Send + use<>, StoreError> {
        self.store.snapshot().await
    }

    /// Takes in a part of a snapshot. Returns how much there is of it now.
    ///
    /// # Errors
    /// When parts before it are missing, or it cannot be written.
    pub async fn upload(&self, offset: u64, part: Bytes) -> Result<u64, UploadError> {
        let upload = Arc::clone(&self.upload);
        blocking(move || upload.add(offset, &part)).await
    }

    /// Reads the snapshot that was uploaded.
    ///
    /// # Errors
    /// When another one was uploaded, or it is none.
    pub async fn uploaded(&self, sha256: &str) -> Result<Backup, UploadError> {
        let (upload, sha256, layout) = (Arc::clone(&self.upload), sha256.to_ascii_lowercase(), self.layout.clone());
        blocking(move || {
            let loaded = upload.load(&sha256)?;
            let view = view_of(&loaded.saved, layout);
            Ok(Backup { loaded, view })
        })
        .await
    }

    /// What restoring it would mean, as things stand.
    #[must_use]
    pub fn preview(&self, backup: &Backup, present: &View, revision: i64) -> RestoreAnswer {
        RestoreAnswer {
            backup: content(&backup.view, backup.loaded.saved.revision),
            present: content(present, revision),
            effects: effects(present, &backup.view),
            verified: backup.loaded.verified,
            users: backup.loaded.users,
            embedded: self.embedded.is_some(),
            kept: None,
        }
    }

    /// Puts it in the registry's place; `None` where this fleetd does not carry the registry.
    ///
    /// # Errors
    /// When it cannot be written: then nothing has changed.
    pub async fn restore(&self, backup: Backup) -> Option<Result<Restored, EmbeddedError>> {
        let embedded = self.embedded.as_ref()?;
        let saved: Saved = backup.loaded.saved;
        let restored = embedded.replace(saved).await;
        if restored.is_ok() {
            let upload = Arc::clone(&self.upload);
            // It is in the registry now; what is left of it is in nobody's way.
            _ = blocking(move || upload.forget()).await;
        }
        Some(restored)
    }
}

fn content(view: &View, revision: i64) -> RegistryContent {
    RegistryContent {
        cluster: view.cluster.as_ref().map(|cluster| cluster.value.id.to_string()),
        revision,
        units: view.units.len(),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UploadError> + Send + 'static,
) -> Result<T, UploadError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(UploadError::Io(std::io::Error::other(error))))
}
