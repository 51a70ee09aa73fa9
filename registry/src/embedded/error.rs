//! Why the embedded registry does not start.

use std::io;
use std::path::PathBuf;

use crate::trust::TrustError;

/// Why the embedded registry cannot be opened or served.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Another process has it open.
    #[error("the registry in {dir} is in use by {holder}: stop that first, or give another registry_dir", dir = dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Who, as far as is known.
        holder: String,
    },
    /// The file does not hold what was written.
    #[error(
        "the registry's file {path} is damaged{place} ({why}): restore it from a backup with `fleetd registry restore \
         --replace`, or move the directory away to begin with an empty registry",
        path = path.display(), place = place(*at)
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// At which byte, where that can be told.
        at: Option<u64>,
        /// What is wrong.
        why: String,
    },
    /// There was a registry here once.
    #[error(
        "the registry's file {path} is gone, though {marker} says that there was one: restore it from a backup, or \
         remove {marker} to begin with an empty registry", path = path.display(), marker = marker.display()
    )]
    Gone {
        /// The file.
        path: PathBuf,
        /// What tells of it.
        marker: PathBuf,
    },
    /// There is one already.
    #[error(
        "there is a registry in {dir} already: give another directory, or say that this one is to be replaced", dir = dir.display()
    )]
    There {
        /// The directory.
        dir: PathBuf,
    },
    /// It was closed meanwhile.
    #[error("the registry has closed: see its log")]
    Closed,
    /// It was written by a newer version.
    #[error("the registry's file {path} has format {found}, and this version knows {known}: use a newer one", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format that is known.
        known: u64,
    },
    /// A file or directory cannot be used.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is nothing to speak TLS with.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The address is not one.
    #[error("bad registry_listen {address:?}: {why} (expected HOST:PORT or unix:///PATH)")]
    BadAddress {
        /// As given.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// Somebody else listens there.
    #[error("cannot listen on {address}: it is taken by {holder}; stop that, or set another registry_listen")]
    AddressTaken {
        /// The address.
        address: String,
        /// Who, as far as is known.
        holder: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// Why not.
        source: io::Error,
    },
}

impl EmbeddedError {
    pub(super) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}

fn place(at: Option<u64>) -> String {
    at.map(|at| format!(" at byte {at}")).unwrap_or_default()
}
