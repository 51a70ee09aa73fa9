//! The registry's file on a real disk, with room made before it is needed.
//!
//! A file that is merely made longer has holes, and the first write into a hole makes the next sync wait for the file
//! system's own journal: some ten times as long as a write into room that is there (0.14 ms and 1.4 ms on ext4).

use std::fs::OpenOptions;
use std::io;
use std::ops::Bound;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

use super::place::LastRead;

/// Room is made in pieces of this size.
static PIECE: [u8; 1 << 16] = [0; 1 << 16];

/// So much room is made at once, at most, since everybody waits for it; the rest stays a hole.
const MOST_AT_ONCE: u64 = 64 << 20;

/// A file whose room is made when it grows.
#[derive(Debug)]
pub(super) struct RoomyFile {
    file: FileBackend,
    last: LastRead,
}

impl RoomyFile {
    /// Opens a file that is there and holds something: an empty one is a lost one, and no new registry.
    pub(super) fn open(path: &Path, last: LastRead) -> Result<Self, DatabaseError> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        if file.metadata()?.len() == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty").into());
        }
        Ok(Self { file: FileBackend::new(file)?, last })
    }
}

impl StorageBackend for RoomyFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.last.note(offset);
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut at = self.file.len()?;
        self.file.set_len(len)?;
        let end = len.min(at.saturating_add(MOST_AT_ONCE));
        while at < end {
            let piece = (end - at).min(PIECE.len() as u64) as usize;
            self.file.write(at, &PIECE[..piece])?;
            at += piece as u64;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
