//! Snapshots of an etcd, which a person hands to `fleetctl registry restore`.

use std::time::Duration;

use fleet_registry::memory::{Memory, Saved};
use fleet_registry::snapshot::{SnapshotFile, load};

/// Whatever a file holds, it is refused with words, or it is a store that comes up, holds together, and is saved and
/// loaded again as it is.
pub(crate) fn load_and_save(data: &[u8]) {
    let loaded = match load(data) {
        Ok(loaded) => loaded,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    loaded.saved.check().expect("what is loaded is whole");
    let memory = Memory::restore(Duration::ZERO, loaded.saved, 1);
    let saved = Saved { cluster_id: 0, member_id: 0, ..memory.saved() };
    let file: Vec<u8> = SnapshotFile::new(saved.clone()).flatten().collect();
    let again = load(&file[..]).expect("what was saved can be loaded");
    assert!(again.verified, "it has a checksum");
    assert_eq!(again.saved, saved, "and is the same store");
}
