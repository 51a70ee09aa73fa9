//! A hash over keys and history: etcd's own, so that a copy elsewhere can be held against this store.

use super::core::Memory;
use super::errors;
use crate::crc32::Crc32;
use crate::snapshot;
use crate::store::StoreError;

/// The name of etcd's table of versions, which is hashed first.
const TABLE_NAME: &[u8] = b"key";

impl Memory {
    /// What etcd answers to `HashKV` over the same history: a checksum of every version up to a revision (0: the
    /// current one) that a reader at that revision could still want.
    ///
    /// # Errors
    ///
    /// The revision is compacted, or yet to come.
    pub fn hash(&self, revision: i64) -> Result<u32, StoreError> {
        let compacted = self.mvcc.compacted();
        if revision > 0 && revision <= compacted {
            return Err(errors::compacted(compacted));
        }
        if revision > self.mvcc.revision() {
            return Err(errors::future_revision());
        }
        let revision = if revision == 0 { self.mvcc.revision() } else { revision };
        // Of what is older than the last compaction, only what is still read counts; if nothing is read any more, what
        // the compaction left.
        let mut kept = self.read_at(revision);
        if kept.is_empty() {
            kept = self.read_at(compacted);
        }
        let versions = self.versions_in_order(|version| {
            version.revision() <= revision && (version.revision() > compacted || kept.contains(&version.place()))
        });
        let mut crc = Crc32::castagnoli();
        crc.write(TABLE_NAME);
        for version in versions {
            crc.write(&snapshot::name(version.revision(), version.sub(), version.kind()));
            crc.write(&snapshot::encode(version));
        }
        Ok(crc.finish())
    }
}
