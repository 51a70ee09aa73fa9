//! Where in the registry's file something is wrong.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is wrong with a file, and at which byte, as far as that can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: Option<u64>,
    pub(super) why: String,
}

impl Fault {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { at: None, why: why.into() }
    }
}

/// Where a file was read the last time: the database engine does not say where it trips.
#[derive(Debug, Clone, Default)]
pub(super) struct LastRead(Arc<AtomicU64>);

impl LastRead {
    pub(super) fn note(&self, offset: u64) {
        self.0.store(offset, Ordering::Relaxed);
    }

    pub(super) fn offset(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// So much is looked through at once.
const CHUNK_BYTES: usize = 1 << 20;
/// So much of what is looked for is compared.
const NEEDLE_BYTES: usize = 4096;

/// Where in a file these bytes are; the engine does not say where it found them.
pub(super) fn find(path: &Path, needle: &[u8]) -> Option<u64> {
    let needle = &needle[..needle.len().min(NEEDLE_BYTES)];
    let mut file = File::open(path).ok()?;
    let (mut held, mut begins) = (Vec::new(), 0);
    loop {
        let read = Read::by_ref(&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut held).ok()?;
        if needle.is_empty() || read == 0 {
            return None;
        }
        if let Some(at) = held.windows(needle.len()).position(|window| window == needle) {
            return Some(begins + at as u64);
        }
        // What may begin in this part and end in the next.
        let done = held.len().saturating_sub(needle.len() - 1);
        held.drain(..done);
        begins += done as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_across_the_parts_that_are_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        for at in [0, 5, CHUNK_BYTES - 3, CHUNK_BYTES, 2 * CHUNK_BYTES - 1] {
            let mut bytes = vec![b'.'; 2 * CHUNK_BYTES + 10];
            bytes[at..at + 6].copy_from_slice(b"needle");
            std::fs::write(&path, &bytes).expect("a file");
            assert_eq!(find(&path, b"needle"), Some(at as u64));
        }
        assert_eq!(find(&path, b"another"), None);
        assert_eq!(find(&path, b""), None);
        assert_eq!(find(&dir.path().join("none"), b"needle"), None);
    }
}
