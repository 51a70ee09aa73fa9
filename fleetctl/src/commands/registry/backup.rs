//! `fleetctl registry backup`

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use fleet_api::Client;
use futures::StreamExt;
use sha2::{Digest, Sha256};

use crate::cli::Backup;
use crate::error::CommandError;
use crate::output::Output;

/// A SHA-256 stands behind the database.
const SUM_BYTES: usize = 32;
/// The database is a multiple of this.
const BLOCK_BYTES: u64 = 512;

/// Writes the whole registry into a file. It bears its name only once all of it is there and its checksum holds.
pub(super) async fn run(arguments: &Backup, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let doing = || CommandError::doing("Error making a backup of the registry");
    let path = &arguments.file;
    let mut parts = std::pin::pin!(client.registry_snapshot().await.map_err(doing())?);
    let mut fresh = Fresh::create(path).map_err(|error| cannot_write(path, &error))?;
    let mut check = Check::default();
    while let Some(part) = parts.next().await {
        let part = part.map_err(doing())?;
        check.take(&part);
        fresh.file.write_all(&part).map_err(|error| cannot_write(path, &error))?;
    }
    if !check.holds() {
        return Err(CommandError::with_hint(
            format!("The backup is not whole: its checksum does not hold. {} was not written.", path.display()),
            "Try again.",
        ));
    }
    let bytes = check.bytes;
    fresh.keep(path).map_err(|error| cannot_write(path, &error))?;
    writeln!(
        output.out(),
        "The registry is in {}: {bytes} bytes, and the checksum holds. Whoever reads it knows all that units say.",
        path.display()
    )?;
    Ok(0)
}

fn cannot_write(path: &Path, error: &io::Error) -> CommandError {
    CommandError::message(format!("Cannot write the backup to {}: {error}.", path.display()))
}

/// A file that goes away unless it is kept.
struct Fresh {
    file: File,
    path: PathBuf,
}

impl Fresh {
    fn create(path: &Path) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".part-{}", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name)?;
        Ok(Self { file, path: name.into() })
    }

    /// Gives it its name, so that it is there after a power loss, too.
    fn keep(self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // It is gone already where it was kept.
        _ = fs::remove_file(&self.path);
    }
}

/// Holds what comes against the checksum at its end.
#[derive(Default)]
struct Check {
    sum: Sha256,
    /// What may be the checksum.
    tail: Vec<u8>,
    bytes: u64,
}

impl Check {
    fn take(&mut self, part: &[u8]) {
        self.bytes += part.len() as u64;
        self.tail.extend_from_slice(part);
        let before = self.tail.len().saturating_sub(SUM_BYTES);
        self.sum.update(&self.tail[..before]);
        self.tail.drain(..before);
    }

    fn holds(&self) -> bool {
        self.bytes % BLOCK_BYTES == SUM_BYTES as u64 && self.sum.clone().finalize()[..] == self.tail[..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_or_changed_is_noticed() {
        let mut whole = vec![7; 1024];
        whole.extend(Sha256::digest(&whole));
        for size in [1, 31, 32, 33, 500, 2000] {
            let mut check = Check::default();
            whole.chunks(size).for_each(|part| check.take(part));
            assert!(check.holds(), "in parts of {size}");
        }
        for length in [0, 31, 32, 544, 1024, 1055] {
            let mut check = Check::default();
            check.take(&whole[..length]);
            assert!(!check.holds(), "cut at {length}");
        }
        whole[3] ^= 1;
        let mut check = Check::default();
        check.take(&whole);
        assert!(!check.holds());
    }

    #[test]
    fn a_file_bears_its_name_only_when_it_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backup");
        fs::write(&path, "old").unwrap();
        let mut fresh = Fresh::create(&path).unwrap();
        fresh.file.write_all(b"half").unwrap();
        drop(fresh);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let mut fresh = Fresh::create(&path).unwrap();
        fresh.file.write_all(b"new").unwrap();
        fresh.keep(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
