//! One process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::error::EmbeddedError;

/// The directory is ours as long as this lives; the kernel takes it back whatever happens to the process.
#[derive(Debug)]
pub(super) struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the directory, or says who has it.
    pub(super) fn take(dir: &Path) -> Result<Self, EmbeddedError> {
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(EmbeddedError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let known = file.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
                let holder = if known { holder.trim().to_owned() } else { "another process".to_owned() };
                return Err(EmbeddedError::InUse { dir: dir.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(EmbeddedError::io("lock", &path)(source)),
        }
        let name = std::env::args().next().unwrap_or_default();
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "process {} ({name})", std::process::id())
        };
        write(&mut file).map_err(EmbeddedError::io("write", &path))?;
        Ok(Self { _file: file })
    }
}
