//! The store as a whole: what a copy of it has to hold.

use std::collections::BTreeSet;

use super::core::Memory;
use super::journal::Saved;
use super::version::Version;

impl Memory {
    /// All that a copy of this store has to hold: what a read at any revision that can still be read wants, and the
    /// leases.
    #[must_use]
    pub fn saved(&self) -> Saved {
        let compacted = self.mvcc.compacted();
        let kept = self.read_at(compacted);
        let versions =
            self.versions_in_order(|version| version.revision() > compacted || kept.contains(&version.place()));
        let header = self.header();
        Saved {
            cluster_id: header.cluster_id,
            member_id: header.member_id,
            revision: header.revision,
            compacted,
            versions: versions.into_iter().cloned().collect(),
            leases: self.leases.granted().collect(),
        }
    }

    /// Versions by revision and place within it.
    pub(super) fn versions_in_order(&self, wanted: impl Fn(&Version) -> bool) -> Vec<&Version> {
        let mut versions: Vec<&Version> = self.mvcc.versions().filter(|version| wanted(version)).collect();
        versions.sort_unstable_by_key(|version| version.place());
        versions
    }

    /// Where the versions stand that a read of everything at a revision gives.
    pub(super) fn read_at(&self, revision: i64) -> BTreeSet<(i64, u32)> {
        let mut kept = BTreeSet::new();
        let there = self.mvcc.histories().filter_map(|history| history.at(revision)?.live());
        kept.extend(there.map(Version::place));
        kept
    }
}

impl Saved {
    /// Looks whether anything is missing.
    ///
    /// # Errors
    ///
    /// What is.
    pub fn check(&self) -> Result<(), String> {
        // Each revision after the last compaction changed something, the first one aside.
        let mut expected = self.compacted.max(1) + 1;
        for version in &self.versions {
            let revision = version.revision();
            if revision > expected {
                return Err(format!("revision {expected} is missing"));
            }
            expected = expected.max(revision + 1);
        }
        if expected != self.revision + 1 {
            return Err(format!("it ends at revision {} instead of {}", expected - 1, self.revision));
        }
        Ok(())
    }
}
