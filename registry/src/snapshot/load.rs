//! A store from a file.

use sha2::{Digest, Sha256};

use super::bolt::{Bolt, Source};
use super::error::{SnapshotError, damaged};
use super::row;
use crate::memory::{Memory, Saved};
use crate::step::Mono;

/// A snapshot's length beyond a multiple of this is that of a SHA-256: so etcd tells it from a database.
const BLOCK_BYTES: u64 = 512;

/// What a snapshot holds.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The store, without ids: those are of the one that it was taken from.
    pub saved: Saved,
    /// Whether a SHA-256 vouches for it; a database that was copied as a file has none.
    pub verified: bool,
    /// Whether etcd asked for users and passwords, which are not taken over.
    pub users: bool,
}

/// Reads the snapshot of an etcd or of an embedded registry.
///
/// # Errors
///
/// It is none, it is damaged, or parts of it are missing.
pub fn load<S: Source + ?Sized>(source: &S) -> Result<Loaded, SnapshotError> {
    let length = source.length()?;
    let sum_bytes = <Sha256 as Digest>::output_size() as u64;
    let verified = length % BLOCK_BYTES == sum_bytes;
    let length = if verified { length - sum_bytes } else { length };
    if verified {
        verify(source, length)?;
    }
    let mut bolt = Bolt::open(source, length)?;
    let mut saved = Saved { revision: 1, compacted: -1, ..Saved::default() };
    let there = bolt.bucket("key", &mut |pair| {
        let version = row::decode(pair.key, pair.value).map_err(|why| damaged(pair.offset, why))?;
        saved.revision = saved.revision.max(version.revision());
        // etcd has no empty key, and writes one where a restore moved its revision on.
        if !version.key().is_empty() {
            saved.versions.push(version);
        }
        Ok(())
    })?;
    if !there {
        return Err(SnapshotError::NotEtcd("key"));
    }
    let there = bolt.bucket("meta", &mut |pair| {
        // What was to be compacted is as good as compacted: etcd, too, goes on with it.
        if matches!(pair.key, b"finishedCompactRev" | b"scheduledCompactRev") {
            let revision = row::decode_revision(pair.value);
            let (revision, _) = revision.ok_or_else(|| damaged(pair.offset, "a compaction's revision is none"))?;
            saved.compacted = saved.compacted.max(revision);
        }
        Ok(())
    })?;
    if !there {
        return Err(SnapshotError::NotEtcd("meta"));
    }
    saved.revision = saved.revision.max(saved.compacted);
    bolt.bucket("lease", &mut |pair| {
        saved.leases.push(row::decode_lease(pair.value).map_err(|why| damaged(pair.offset, why))?);
        Ok(())
    })?;
    let mut users = false;
    bolt.bucket("auth", &mut |pair| {
        users |= pair.key == b"authEnabled" && pair.value == [1];
        Ok(())
    })?;
    saved.check().map_err(SnapshotError::Incomplete)?;
    // Without what a compaction under way had still to delete.
    let saved = Memory::restore(Mono::ZERO, saved, 0).saved();
    Ok(Loaded { saved: Saved { cluster_id: 0, member_id: 0, ..saved }, verified, users })
}

/// Holds the content against the checksum behind it.
fn verify<S: Source + ?Sized>(source: &S, length: u64) -> Result<(), SnapshotError> {
    let mut sum = Sha256::new();
    let mut part = vec![0; 64 * 1024];
    let mut offset = 0;
    while offset < length {
        let left = usize::try_from(length - offset).unwrap_or(usize::MAX);
        let bytes = left.min(part.len());
        source.read_at(offset, &mut part[..bytes])?;
        sum.update(&part[..bytes]);
        offset += bytes as u64;
    }
    let sum = sum.finalize();
    let mut expected = vec![0; sum.len()];
    source.read_at(length, &mut expected)?;
    if expected[..] == sum[..] { Ok(()) } else { Err(SnapshotError::Checksum) }
}
