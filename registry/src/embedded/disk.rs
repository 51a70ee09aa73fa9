//! The registry's file: every version that history still needs, the leases, and where the store stands.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::error::EmbeddedError;
use super::row;
use crate::memory::{Change, Memory, Saved};
use crate::step::Mono;
use crate::store::Header;

#[cfg(test)]
mod tests;

/// Where the store stands: format, ids, revisions.
const STATE: TableDefinition<&str, u64> = TableDefinition::new("state");
/// Rows by revision and place within it.
const VERSIONS: TableDefinition<(i64, u32), &[u8]> = TableDefinition::new("versions");
/// Times to live by lease.
const LEASES: TableDefinition<i64, i64> = TableDefinition::new("leases");

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
        let path = dir.join("registry.redb");
        // Written once and never again: with it, a lost file is not taken for a new registry.
        let marker = dir.join("cluster-id");
        match (exists(&path)?, exists(&marker)?) {
            (false, true) => return Err(EmbeddedError::Gone { path, marker }),
            (false, false) => create(dir, &path, seed)?,
            (true, _) => {}
        }
        let (disk, memory) = Self::reopen(path, now, seed)?;
        if !exists(&marker)? {
            let id = format!("{:x}\n", memory.header().cluster_id);
            std::fs::write(&marker, id).map_err(EmbeddedError::io("write", &marker))?;
            sync_dir(dir)?;
        }
        Ok((disk, memory))
    }

    /// Opens an existing file and reads all of it.
    pub(super) fn reopen(path: PathBuf, now: Mono, seed: u64) -> Result<(Self, Memory), EmbeddedError> {
        let damaged = |why: String| EmbeddedError::Damaged { path: path.clone(), why };
        // The database engine trusts a file more than it should; what it trips over is a damaged file all the same.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let database = Builder::new().set_cache_size(CACHE_BYTES).open(&path).map_err(|e| match e {
                redb::DatabaseError::DatabaseAlreadyOpen => {
                    let dir = path.parent().unwrap_or(&path).to_owned();
                    EmbeddedError::InUse { dir, holder: "another process".to_owned() }
                }
                redb::DatabaseError::Storage(redb::StorageError::Io(source))
                    if !matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
                {
                    EmbeddedError::io("open", &path)(source)
                }
                other => damaged(other.to_string()),
            })?;
            let saved = load(&database, &path)?;
            Ok((database, saved))
        }));
        let (database, saved) = match outcome {
            Ok(result) => result?,
            Err(panic) => return Err(damaged(panic_text(panic.as_ref()))),
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
                            let place = (version.kv.mod_revision, version.sub);
                            versions.insert(place, row::encode(version).as_slice())?;
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

fn exists(path: &Path) -> Result<bool, EmbeddedError> {
    path.try_exists().map_err(EmbeddedError::io("look for", path))
}

/// Makes an empty registry beside its final name, so that a file of that name is always whole.
fn create(dir: &Path, path: &Path, seed: u64) -> Result<(), EmbeddedError> {
    let fresh = dir.join("registry.redb.new");
    match std::fs::remove_file(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(EmbeddedError::io("remove", &fresh)(e)),
        _ => {}
    }
    let header = Memory::new(seed).header();
    let fill =
        || -> Result<(), redb::Error> { fill(&Builder::new().set_cache_size(CACHE_BYTES).create(&fresh)?, header) };
    fill().map_err(|e| EmbeddedError::io("make", &fresh)(io::Error::other(e)))?;
    std::fs::rename(&fresh, path).map_err(EmbeddedError::io("rename", &fresh))?;
    sync_dir(dir)
}

/// Writes what an empty registry holds.
fn fill(database: &Database, header: Header) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut state = transaction.open_table(STATE)?;
        state.insert("format", FORMAT)?;
        state.insert("cluster_id", header.cluster_id)?;
        state.insert("member_id", header.member_id)?;
        state.insert("revision", header.revision.cast_unsigned())?;
        state.insert("compacted", (-1_i64).cast_unsigned())?;
        transaction.open_table(VERSIONS)?;
        transaction.open_table(LEASES)?;
    }
    transaction.commit()?;
    Ok(())
}

fn sync_dir(dir: &Path) -> Result<(), EmbeddedError> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(EmbeddedError::io("sync", dir))
}

/// Reads the whole file, and holds it against itself.
fn load(database: &Database, path: &Path) -> Result<Saved, EmbeddedError> {
    let damaged = |why: String| EmbeddedError::Damaged { path: path.to_owned(), why };
    let broken = |e: redb::Error| damaged(e.to_string());
    let transaction = database.begin_read().map_err(|e| broken(e.into()))?;
    let state = transaction.open_table(STATE).map_err(|e| broken(e.into()))?;
    let field = |name: &str| -> Result<u64, EmbeddedError> {
        let value = state.get(name).map_err(|e| broken(e.into()))?;
        Ok(value.ok_or_else(|| damaged(format!("its state lacks {name}")))?.value())
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
    // Each revision after the last compaction changed something, the first one aside.
    let mut expected = saved.compacted.max(1) + 1;
    for entry in versions.iter().map_err(|e| broken(e.into()))? {
        let (place, bytes) = entry.map_err(|e| broken(e.into()))?;
        let (revision, sub) = place.value();
        let version = row::decode(revision, sub, bytes.value())
            .map_err(|why| damaged(format!("row {sub} of revision {revision}: {why}")))?;
        if revision > expected {
            return Err(damaged(format!("revision {expected} is missing")));
        }
        expected = expected.max(revision + 1);
        saved.versions.push(version);
    }
    if expected != saved.revision + 1 {
        return Err(damaged(format!("it ends at revision {} instead of {}", expected - 1, saved.revision)));
    }
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
