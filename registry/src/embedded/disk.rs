//! The registry's file: every version that history still needs, the leases, and where the store stands.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};

use self::file::RoomyFile;
use self::place::{Fault, LastRead, find};
use super::error::EmbeddedError;
use super::{files, row};
use crate::memory::{Change, Memory, Saved};
use crate::step::Mono;

mod file;
mod place;
#[cfg(test)]
mod tests;

/// Where the store stands: format, ids, revisions.
const STATE: TableDefinition<&str, u64> = TableDefinition::new("state");
/// Rows by revision and place within it.
const VERSIONS: TableDefinition<(i64, u32), &[u8]> = TableDefinition::new("versions");
/// Times to live by lease.
const LEASES: TableDefinition<i64, i64> = TableDefinition::new("leases");

/// The file's name.
pub(super) const FILE: &str = "registry.redb";
/// Written once and never again: with it, a lost file is not taken for a new registry.
pub(super) const MARKER: &str = "cluster-id";

/// The format that this version writes.
const FORMAT: u64 = 1;

/// Everything is served from memory, so that the file needs little cache.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// The open file.
#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    database: Database,
}

/// Why a commit failed.
#[derive(Debug)]
pub(super) struct CommitError {
    /// What the disk said.
    pub(super) why: String,
    /// Whether it is full.
    pub(super) full: bool,
}

impl From<redb::Error> for CommitError {
    fn from(error: redb::Error) -> Self {
        let full = match &error {
            redb::Error::Io(e) => matches!(
                e.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            ),
            _ => false,
        };
        Self { why: error.to_string(), full }
    }
}

impl Disk {
    /// Opens the registry of a directory, or makes one where there never was any.
    pub(super) fn open(dir: &Path, now: Mono, seed: u64) -> Result<(Self, Memory), EmbeddedError> {
        let (path, marker) = (dir.join(FILE), dir.join(MARKER));
        match (files::exists(&path)?, files::exists(&marker)?) {
            (false, true) => return Err(EmbeddedError::Gone { path, marker }),
            (false, false) => {
                let fresh = make(dir, &Memory::new(seed).saved())?;
                std::fs::rename(&fresh, &path).map_err(EmbeddedError::io("rename", &fresh))?;
                files::sync_dir(dir)?;
            }
            (true, _) => {}
        }
        let (disk, memory) = Self::reopen(path, now, seed)?;
        if !files::exists(&marker)? {
            files::write(dir, MARKER, &self::marker(memory.header().cluster_id))?;
        }
        Ok((disk, memory))
    }

    /// Opens an existing file and reads all of it.
    pub(super) fn reopen(path: PathBuf, now: Mono, seed: u64) -> Result<(Self, Memory), EmbeddedError> {
        let damaged = |Fault { at, why }: Fault| EmbeddedError::Damaged { path: path.clone(), at, why };
        let last = LastRead::default();
        let tripped = |why: String| damaged(Fault { at: Some(last.offset()), why });
        // The database engine trusts a file more than it should; what it trips over is a damaged file all the same.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let open = |file| Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(file);
            let database = RoomyFile::open(&path, last.clone()).and_then(open).map_err(|e| match e {
                redb::DatabaseError::DatabaseAlreadyOpen => {
                    let dir = path.parent().unwrap_or(&path).to_owned();
                    EmbeddedError::InUse { dir, holder: "another process".to_owned() }
                }
                redb::DatabaseError::Storage(redb::StorageError::Io(source))
                    if !matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
                {
                    EmbeddedError::io("open", &path)(source)
                }
                other => tripped(other.to_string()),
            })?;
            let saved = load(&database, &path, &last)?;
            Ok::<_, EmbeddedError>((database, saved))
        }));
        let (database, saved) = match outcome {
            Ok(result) => result?,
            Err(panic) => return Err(tripped(panic_text(panic.as_ref()))),
        };
        Ok((Self { path, database }, Memory::restore(now, saved, seed)))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How large the file is.
    pub(super) fn size(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    /// What it takes on the disk: it may have holes.
    pub(super) fn taken(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        const BLOCK_BYTES: u64 = 512;
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.blocks() * BLOCK_BYTES)
    }

    /// Writes changes and waits until they are safe.
    pub(super) fn commit(&self, changes: &[Change], revision: i64) -> Result<(), CommitError> {
        let write = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            {
                let mut state = transaction.open_table(STATE)?;
                let mut versions = transaction.open_table(VERSIONS)?;
                let mut leases = transaction.open_table(LEASES)?;
                state.insert("revision", revision.cast_unsigned())?;
                for change in changes {
                    match change {
                        Change::Version(version) => {
                            versions.insert(version.place(), row::encode(version).as_slice())?;
                        }
                        Change::Granted { id, ttl } => {
                            leases.insert(id, ttl)?;
                        }
                        Change::Ended { id } => {
                            leases.remove(id)?;
                        }
                        Change::Compacted { revision, dropped } => {
                            state.insert("compacted", revision.cast_unsigned())?;
                            for place in dropped {
                                versions.remove(place)?;
                            }
                        }
                    }
                }
            }
            transaction.commit()?;
            Ok(())
        };
        write().map_err(CommitError::from)
    }

    /// Moves everything to the front of the file and cuts off the rest.
    pub(super) fn defragment(&mut self) -> Result<(), CommitError> {
        self.database.compact().map(drop).map_err(|error| CommitError::from(redb::Error::from(error)))
    }
}

/// What the marker says.
pub(super) fn marker(cluster_id: u64) -> String {
    format!("{cluster_id:x}\n")
}

/// Makes a registry's file beside its final name, so that a file of that name is always whole.
pub(super) fn make(dir: &Path, saved: &Saved) -> Result<PathBuf, EmbeddedError> {
    let fresh = dir.join(format!("{FILE}.new"));
    files::remove(&fresh)?;
    let fill =
        || -> Result<(), redb::Error> { fill(&Builder::new().set_cache_size(CACHE_BYTES).create(&fresh)?, saved) };
    fill().map_err(|e| EmbeddedError::io("make", &fresh)(io::Error::other(e)))?;
    Ok(fresh)
}

/// Writes what a registry holds.
fn fill(database: &Database, saved: &Saved) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut state = transaction.open_table(STATE)?;
        state.insert("format", FORMAT)?;
        state.insert("cluster_id", saved.cluster_id)?;
        state.insert("member_id", saved.member_id)?;
        state.insert("revision", saved.revision.cast_unsigned())?;
        state.insert("compacted", saved.compacted.cast_unsigned())?;
        let mut versions = transaction.open_table(VERSIONS)?;
        for version in &saved.versions {
            versions.insert(version.place(), row::encode(version).as_slice())?;
        }
        let mut leases = transaction.open_table(LEASES)?;
        for (id, ttl) in &saved.leases {
            leases.insert(id, ttl)?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Reads the whole file, and holds it against itself.
fn load(database: &Database, path: &Path, last: &LastRead) -> Result<Saved, EmbeddedError> {
    let damaged = |Fault { at, why }: Fault| EmbeddedError::Damaged { path: path.to_owned(), at, why };
    let broken = |e: redb::Error| damaged(Fault { at: Some(last.offset()), why: e.to_string() });
    let transaction = database.begin_read().map_err(|e| broken(e.into()))?;
    let state = transaction.open_table(STATE).map_err(|e| broken(e.into()))?;
    let field = |name: &str| -> Result<u64, EmbeddedError> {
        let value = state.get(name).map_err(|e| broken(e.into()))?;
        Ok(value.ok_or_else(|| damaged(Fault::new(format!("its state lacks {name}"))))?.value())
    };
    let found = field("format")?;
    if found > FORMAT {
        return Err(EmbeddedError::Newer { path: path.to_owned(), found, known: FORMAT });
    }
    let mut saved = Saved {
        cluster_id: field("cluster_id")?,
        member_id: field("member_id")?,
        revision: field("revision")?.cast_signed(),
        compacted: field("compacted")?.cast_signed(),
        ..Saved::default()
    };
    let versions = transaction.open_table(VERSIONS).map_err(|e| broken(e.into()))?;
    for entry in versions.iter().map_err(|e| broken(e.into()))? {
        let (place, bytes) = entry.map_err(|e| broken(e.into()))?;
        let (revision, sub) = place.value();
        let version = row::decode(revision, sub, bytes.value()).map_err(|why| {
            let why = format!("row {sub} of revision {revision}: {why}");
            damaged(Fault { at: find(path, bytes.value()), why })
        })?;
        saved.versions.push(version);
    }
    saved.check().map_err(|why| damaged(Fault::new(why)))?;
    let leases = transaction.open_table(LEASES).map_err(|e| broken(e.into()))?;
    for entry in leases.iter().map_err(|e| broken(e.into()))? {
        let (id, ttl) = entry.map_err(|e| broken(e.into()))?;
        saved.leases.push((id.value(), ttl.value()));
    }
    Ok(saved)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it cannot be read".to_owned())
}
