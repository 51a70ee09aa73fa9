//! A snapshot that comes in parts, in a file until it is used.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use fleet_registry::snapshot::{self, Loaded, SnapshotError};
use sha2::{Digest, Sha256};

/// Why an upload is not taken, or not used.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It cannot be kept.
    #[error("cannot keep the snapshot: {0}")]
    Io(#[from] io::Error),
    /// Parts before it are missing.
    #[error("there are {there} bytes of the snapshot, and the next part begins at {offset}: upload it anew")]
    Gap {
        /// How much there is.
        there: u64,
        /// Where the part begins.
        offset: u64,
    },
    /// It is not what the caller has.
    #[error("the snapshot that was uploaded is another one: upload it anew")]
    Another,
    /// It is no snapshot.
    #[error("the snapshot cannot be used: {0}")]
    Bad(#[from] SnapshotError),
}

/// The one snapshot that is being uploaded.
#[derive(Debug)]
pub(super) struct Upload {
    path: PathBuf,
    /// One part after another.
    turn: Mutex<()>,
}

impl Upload {
    /// An upload that is kept in this directory.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { path: directory.join("uploaded-snapshot"), turn: Mutex::default() }
    }

    /// Adds a part. One that comes again takes its own place; the first begins a new upload.
    pub(super) fn add(&self, offset: u64, part: &[u8]) -> Result<u64, UploadError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = self.path.parent().filter(|directory| !directory.exists()) {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        // Whoever reads it knows all units' secrets.
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        let mut file = options.open(&self.path)?;
        let there = file.metadata()?.len();
        if offset > there {
            return Err(UploadError::Gap { there, offset });
        }
        file.set_len(offset)?;
        file.write_all(part)?;
        Ok(offset + part.len() as u64)
    }

    /// Reads it, if it is the one with this SHA-256.
    pub(super) fn load(&self, sha256: &str) -> Result<Loaded, UploadError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(UploadError::Another),
            file => file?,
        };
        let mut sum = Sha256::new();
        io::copy(&mut file, &mut sum)?;
        let sum: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if sum != sha256 {
            return Err(UploadError::Another);
        }
        Ok(snapshot::load(&file)?)
    }

    /// Removes it.
    pub(super) fn forget(&self) -> Result<(), UploadError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(fs::remove_file(&self.path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_a_whole_whatever_comes_twice() {
        let directory = tempfile::tempdir().unwrap();
        let upload = Upload::new(directory.path().join("new"));
        assert_eq!(upload.add(0, b"old upload, longer").unwrap(), 18);
        assert_eq!(upload.add(0, b"abc").unwrap(), 3);
        assert_eq!(upload.add(3, b"def").unwrap(), 6);
        assert_eq!(upload.add(3, b"DEF").unwrap(), 6);
        assert!(matches!(upload.add(7, b"x"), Err(UploadError::Gap { there: 6, offset: 7 })));
        let sum: String = Sha256::digest(b"abcDEF").iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(matches!(upload.load(&sum), Err(UploadError::Bad(SnapshotError::NotBolt))));
        assert!(matches!(upload.load("00"), Err(UploadError::Another)));
        upload.forget().unwrap();
        assert!(matches!(upload.load(&sum), Err(UploadError::Another)));
    }
}
