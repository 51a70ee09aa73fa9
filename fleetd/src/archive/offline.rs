//! `fleetd registry restore`: a registry of a snapshot, while no fleetd has it open.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use fleet_registry::embedded::Embedded;
use fleet_registry::snapshot::{Loaded, load};

/// Makes the registry of a directory from a snapshot, and says what was done.
///
/// # Errors
/// The snapshot cannot be used, or there is a registry already, or it cannot be written: nothing has changed then.
pub fn restore_offline(snapshot: &Path, directory: &Path, replace: bool) -> anyhow::Result<String> {
    let cannot = || format!("cannot use the snapshot {}", snapshot.display());
    let file = File::open(snapshot).with_context(cannot)?;
    let Loaded { saved, verified, users } = load(&file).with_context(cannot)?;
    let (versions, leases) = (saved.versions.len(), saved.leases.len());
    let restored = Embedded::restore(directory, saved, replace).map_err(|error| match error {
        fleet_registry::embedded::EmbeddedError::There { .. } => {
            anyhow::Error::new(error).context("nothing was changed (--replace puts it aside)")
        }
        error => error.into(),
    })?;
    let mut text = format!(
        "{} holds the snapshot now: revision {}, {versions} versions of keys, {leases} leases.\n",
        restored.file.display(),
        restored.revision
    );
    if let Some(kept) = restored.kept {
        text.push_str(&format!("The former registry is kept in {}.\n", kept.display()));
    }
    if !verified {
        text.push_str("No checksum vouches for the snapshot: it is the database of an etcd, as it was found.\n");
    }
    if users {
        text.push_str("The etcd that it is of asked for users and passwords; this registry does not.\n");
    }
    text.push_str("Units go on as they run; machines see the registry return as after an outage.\n");
    Ok(text)
}
