//! Power loss at every write of a run: what was acknowledged is there, and nothing is half there.

mod churn;
mod power;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::Builder;

use self::power::{Drive, Random};
use super::place::LastRead;
use super::{CACHE_BYTES, Disk, fill, load};
use crate::memory::{Change, Memory, Saved, Version};
use crate::store::{DeleteRequest, Operation, PutRequest, Request, TxnRequest};

const COMMITS: usize = 40;

/// What the file has to hold.
#[derive(Debug, Clone, PartialEq, Default)]
struct Content {
    versions: BTreeMap<(i64, u32), Version>,
    leases: BTreeMap<i64, i64>,
    revision: i64,
    compacted: i64,
}

impl Content {
    fn take(&mut self, changes: &[Change], revision: i64) {
        self.revision = revision;
        for change in changes.iter().cloned() {
            match change {
                Change::Version(version) => {
                    self.versions.insert(version.place(), version);
                }
                Change::Granted { id, ttl } => {
                    self.leases.insert(id, ttl);
                }
                Change::Ended { id } => {
                    self.leases.remove(&id);
                }
                Change::Compacted { revision, dropped } => {
                    self.compacted = revision;
                    self.versions.retain(|place, _| !dropped.contains(place));
                }
            }
        }
    }
}

impl From<Saved> for Content {
    fn from(saved: Saved) -> Self {
        Self {
            versions: saved.versions.into_iter().map(|v| (v.place(), v)).collect(),
            leases: saved.leases.into_iter().collect(),
            revision: saved.revision,
            compacted: saved.compacted,
        }
    }
}

/// Writes, deletions, leases and compactions, as chance has it.
fn request(random: &mut Random, revision: i64) -> Request {
    let key = format!("key/{:02}", random.below(20));
    match random.below(12) {
        0 => Request::LeaseGrant { ttl: 100, id: 0 },
        1 if revision > 12 => Request::Compact { revision: revision - 10, physical: true },
        2 | 3 => {
            let delete = DeleteRequest { key: key.into(), ..DeleteRequest::default() };
            Request::Txn(TxnRequest { success: vec![Operation::Delete(delete)], ..TxnRequest::default() })
        }
        _ => {
            let value = vec![b'v'; random.below(6000)];
            let puts = [key, format!("pair/{}", random.below(5))].map(|key| PutRequest::new(key, value.clone()));
            Request::Txn(TxnRequest { success: puts.map(Operation::Put).into(), ..TxnRequest::default() })
        }
    }
}

/// Runs a registry on a drive, then loses power at each of its writes. Says what is wrong after one of them, if anything.
fn run(seed: u64, lies: bool) -> Result<usize, String> {
    let drive = Drive::default();
    let mut random = Random(seed);
    let mut memory = Memory::new(seed);
    let mut content = Content { revision: 1, compacted: -1, ..Content::default() };
    let database = Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(drive.clone()).expect("a new file");
    fill(&database, &memory.saved()).expect("room");
    if lies {
        drive.lie();
    }
    let start = drive.events();
    let disk = Disk { path: PathBuf::new(), database };
    memory.keep_journal();
    // What each commit left, and how far the drive was when it was acknowledged.
    let mut commits = vec![(start, content.clone())];
    while commits.len() <= COMMITS {
        for _ in 0..=random.below(3) {
            // A compaction may find nothing to do: then nothing has changed.
            let _ = memory.apply(Duration::ZERO, request(&mut random, memory.header().revision));
        }
        let changes = memory.take_journal();
        if changes.is_empty() {
            continue;
        }
        disk.commit(&changes, memory.header().revision).expect("room");
        content.take(&changes, memory.header().revision);
        commits.push((drive.events(), content.clone()));
    }
    let end = drive.events();
    for cut in start..=end {
        let acknowledged = commits.iter().rposition(|(at, _)| *at <= cut).unwrap_or_default();
        let after = drive.after_power_loss(cut, &mut random);
        let database = Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(after);
        let database = database.map_err(|e| format!("seed {seed}, write {cut}: it does not open: {e}"))?;
        let found = load(&database, Path::new("registry.redb"), &LastRead::default());
        let found = Content::from(found.map_err(|e| format!("seed {seed}, write {cut}: {e}"))?);
        let allowed = commits[acknowledged..].iter().take(2);
        if !allowed.map(|(_, content)| content).any(|content| *content == found) {
            let expected = &commits[acknowledged].1;
            return Err(format!(
                "seed {seed}, write {cut}: revision {} with {} versions and {} leases, where {} with {} and {} was \
                 acknowledged",
                found.revision,
                found.versions.len(),
                found.leases.len(),
                expected.revision,
                expected.versions.len(),
                expected.leases.len()
            ));
        }
    }
    Ok(end - start)
}

#[test]
fn power_loss_at_any_write_loses_nothing_acknowledged() {
    for seed in 1..=8 {
        let cuts = run(seed, false).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(cuts > 8 * COMMITS, "only {cuts} writes were seen");
    }
}

#[test]
fn a_drive_that_only_says_that_it_has_synced_is_found_out() {
    let wrong = run(1, true).expect_err("something acknowledged is lost");
    assert!(wrong.contains("was acknowledged"), "{wrong}");
}
