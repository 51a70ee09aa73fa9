//! A store as a file.

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::bolt::{Pages, Pairs};
use super::row;
use crate::memory::{Saved, Version};

/// Parts of the file are this long, as etcd's are.
const PART_BYTES: usize = 32 * 1024;

/// The version that clusters of this kind of registry have: etcd's tools ask for it.
const CLUSTER_VERSION: &str = "3.4.0";

/// The file of a store, part by part; the last part is the SHA-256 of all others.
pub struct SnapshotFile {
    pages: Pages,
    sum: Option<Sha256>,
    /// Made, and not yet handed out.
    ready: BytesMut,
    left: u64,
}

impl SnapshotFile {
    /// Lays the file out; it is made as it is read.
    #[must_use]
    pub fn new(saved: Saved) -> Self {
        let none = || -> Box<dyn Pairs> { Box::new(Vec::new()) };
        let list = |pairs: Vec<(Vec<u8>, Vec<u8>)>| -> Box<dyn Pairs> { Box::new(pairs) };
        let leases = saved.leases.iter().map(|(id, ttl)| row::encode_lease(*id, *ttl));
        let mut leases: Vec<_> = leases.collect();
        leases.sort_unstable();
        let index = saved.revision.to_be_bytes().to_vec();
        let mut meta = vec![(b"consistent_index".to_vec(), index)];
        if saved.compacted > 0 {
            let revision = row::name(saved.compacted, 0, crate::store::EventKind::Put);
            meta.push((b"finishedCompactRev".to_vec(), revision.clone()));
            meta.push((b"scheduledCompactRev".to_vec(), revision));
        }
        let version = (b"clusterVersion".to_vec(), CLUSTER_VERSION.into());
        let pages = Pages::new(vec![
            ("alarm", none()),
            ("auth", none()),
            ("authRoles", none()),
            ("authUsers", none()),
            ("cluster", list(vec![version])),
            ("key", Box::new(Versions(saved.versions))),
            ("lease", list(leases)),
            // Whoever restores says who the members are.
            ("members", none()),
            ("members_removed", none()),
            ("meta", list(meta)),
        ]);
        let left = pages.bytes() + <Sha256 as Digest>::output_size() as u64;
        Self { pages, sum: Some(Sha256::new()), ready: BytesMut::new(), left }
    }

    /// How many bytes are still to come.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.left
    }
}

impl std::fmt::Debug for SnapshotFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotFile").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Iterator for SnapshotFile {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while self.ready.len() < PART_BYTES
            && let Some(page) = self.pages.next()
        {
            self.ready.extend_from_slice(&page);
        }
        let part = if self.ready.is_empty() {
            Bytes::copy_from_slice(&self.sum.take()?.finalize())
        } else {
            let part = self.ready.split_to(PART_BYTES.min(self.ready.len())).freeze();
            if let Some(sum) = &mut self.sum {
                sum.update(&part);
            }
            part
        };
        self.left -= part.len() as u64;
        Some(part)
    }
}

/// The table of versions.
struct Versions(Vec<Version>);

impl Pairs for Versions {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn pair(&self, index: usize) -> (Vec<u8>, Vec<u8>) {
        let version = &self.0[index];
        (row::name(version.revision(), version.sub(), version.kind()), row::encode(version))
    }
}
