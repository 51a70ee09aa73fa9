//! A hash over keys and history: etcd's own, so that a copy elsewhere can be held against this store.

use std::collections::BTreeSet;

use super::core::Memory;
use super::errors;
use super::mvcc::Version;
use crate::crc32::Crc32;
use crate::store::{EventKind, StoreError};

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
        let mut versions: Vec<&Version> = self.mvcc.versions().filter(|v| v.revision() <= revision).collect();
        versions.retain(|version| version.revision() > compacted || kept.contains(&place(version)));
        versions.sort_unstable_by_key(|version| place(version));
        let mut crc = Crc32::castagnoli();
        crc.write(TABLE_NAME);
        for version in versions {
            crc.write(&row_name(version));
            crc.write(&row(version));
        }
        Ok(crc.finish())
    }

    /// Where the versions stand that a read of everything at a revision gives.
    fn read_at(&self, revision: i64) -> BTreeSet<(i64, u32)> {
        let mut kept = BTreeSet::new();
        for versions in self.mvcc.histories() {
            let after = versions.partition_point(|version| version.revision() <= revision);
            kept.extend(versions[..after].last().filter(|v| v.kind == EventKind::Put).map(place));
        }
        kept
    }
}

fn place(version: &Version) -> (i64, u32) {
    (version.revision(), version.sub)
}

/// A version's name in etcd's table: revision and place within it, and a mark if it is a deletion.
fn row_name(version: &Version) -> Vec<u8> {
    let mut name = version.revision().to_be_bytes().to_vec();
    name.push(b'_');
    name.extend(i64::from(version.sub).to_be_bytes());
    if version.kind == EventKind::Delete {
        name.push(b't');
    }
    name
}

/// A version in etcd's table: `mvccpb.KeyValue`; of a deletion, the key alone.
fn row(version: &Version) -> Vec<u8> {
    let kv = &version.kv;
    let mut row = Vec::with_capacity(kv.key.len() + kv.value.len() + 64);
    bytes_field(&mut row, 1, &kv.key);
    if version.kind == EventKind::Put {
        number_field(&mut row, 2, kv.create_revision);
        number_field(&mut row, 3, kv.mod_revision);
        number_field(&mut row, 4, kv.version);
        bytes_field(&mut row, 5, &kv.value);
        number_field(&mut row, 6, kv.lease);
    }
    row
}

fn number_field(row: &mut Vec<u8>, field: u8, value: i64) {
    if value != 0 {
        row.push(field << 3);
        varint(row, value.cast_unsigned());
    }
}

fn bytes_field(row: &mut Vec<u8>, field: u8, value: &[u8]) {
    if !value.is_empty() {
        row.push(field << 3 | 2);
        varint(row, value.len() as u64);
        row.extend(value);
    }
}

fn varint(row: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        row.push(value as u8 | 0x80);
        value >>= 7;
    }
    row.push(value as u8);
}
