//! A week of writes: the file stays as large as what is kept.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redb::backends::InMemoryBackend;
use redb::{Builder, StorageBackend};

use super::super::{CACHE_BYTES, Disk, fill};
use crate::embedded::config::EmbeddedConfig;
use crate::embedded::writer::History;
use crate::memory::Memory;
use crate::store::{Operation, PutRequest, Request, TxnRequest};

/// Everything is a hundredth of what a registry has at a hundred writes a second: writes, keys, and history kept. The
/// compactions are as many, and stand to the writes as they do there.
const SCALE: u64 = 100;
const WRITES_A_SECOND: u64 = 100;
const WEEK: u64 = 7 * 24 * 3600;
/// Writes share a commit for so many seconds.
const COMMIT: u64 = 60;
const KEYS: u64 = 10_000;
const VALUE_BYTES: usize = 200;

/// A file in memory that tells its length.
#[derive(Debug, Default)]
struct Measured {
    file: InMemoryBackend,
    length: Arc<AtomicU64>,
}

impl StorageBackend for Measured {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.length.store(length, Ordering::Relaxed);
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }
}

/// A cluster whose units flap for a week would fill the disk of the machine that carries its registry.
#[test]
fn a_week_of_writes_does_not_grow_the_file() {
    let backend = Measured::default();
    let length = Arc::clone(&backend.length);
    let database = Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend).expect("a new file");
    let mut memory = Memory::new(1);
    fill(&database, &memory.saved()).expect("room");
    let disk = Disk { path: PathBuf::new(), database };
    memory.keep_journal();
    let default = EmbeddedConfig::default();
    let config = EmbeddedConfig {
        history_revisions: default.history_revisions / SCALE as i64,
        history_bytes: default.history_bytes / SCALE,
        ..default
    };
    let mut history = History::new(&config, Duration::ZERO, &memory);
    let (mut written, mut compacted, mut after_an_hour) = (0, 0, 0);
    for second in (0..=WEEK).step_by(COMMIT as usize) {
        let now = Duration::from_secs(second);
        for _ in 0..WRITES_A_SECOND * COMMIT / SCALE {
            written += 1;
            let key = format!("states/machine/{:05}", written * 7919 % (KEYS / SCALE));
            let put = Operation::Put(PutRequest::new(key, vec![b'v'; VALUE_BYTES]));
            let request = Request::Txn(TxnRequest { success: vec![put], ..TxnRequest::default() });
            memory.apply(now, request).expect("a write");
        }
        if let Some(revision) = history.compaction(now, memory.header().revision)
            && revision > memory.compact_revision()
        {
            memory.apply(now, Request::Compact { revision, physical: false }).expect("a compaction");
            compacted += 1;
        }
        let changes = memory.take_journal();
        disk.commit(&changes, memory.header().revision).expect("room");
        history.note(now, memory.header().revision, &changes);
        if second == 3600 {
            after_an_hour = length.load(Ordering::Relaxed);
        }
    }
    let after_a_week = length.load(Ordering::Relaxed);
    assert!(
        written * SCALE >= WRITES_A_SECOND * WEEK && compacted > 10_000,
        "{written} writes, {compacted} compactions"
    );
    assert_eq!(after_a_week, after_an_hour, "bytes after a week, and after an hour");
}
