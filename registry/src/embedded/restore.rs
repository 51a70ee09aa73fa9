//! A registry from a snapshot.

use std::path::{Path, PathBuf};

use super::disk::{self, FILE, MARKER};
use super::error::EmbeddedError;
use super::files;
use super::handle::Embedded;
use super::lock::DirLock;
use super::writer::random;
use crate::memory::{Memory, Saved};

/// What a restore has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The registry's file.
    pub file: PathBuf,
    /// The file that was there before, under its new name.
    pub kept: Option<PathBuf>,
    /// The id of the registry, which is another than before: whoever used it notices that.
    pub cluster_id: u64,
    /// Where it stands.
    pub revision: i64,
}

impl Embedded {
    /// Makes the registry of a directory from what a snapshot holds; one that is there already is put aside if `replace`
    /// says so. A power cut leaves the old one or the new one, whole.
    ///
    /// # Errors
    ///
    /// There is one already, a process has it open, or it cannot be written: then nothing has changed.
    pub fn restore(dir: &Path, saved: Saved, replace: bool) -> Result<Restored, EmbeddedError> {
        files::make_dir(dir)?;
        let _lock = DirLock::take(dir)?;
        let file = dir.join(FILE);
        let old = files::exists(&file)?;
        if !replace && (old || files::exists(&dir.join(MARKER))?) {
            return Err(EmbeddedError::There { dir: dir.to_owned() });
        }
        let header = Memory::new(random()?).header();
        let saved = Saved { cluster_id: header.cluster_id, member_id: header.member_id, ..saved };
        let fresh = disk::make(dir, &saved)?;
        let kept = old.then(|| dir.join(format!("{FILE}.before-{:x}", saved.cluster_id)));
        if let Some(kept) = &kept {
            // Under both names for a moment: there is never none.
            std::fs::hard_link(&file, kept).map_err(EmbeddedError::io("keep", &file))?;
        }
        std::fs::rename(&fresh, &file).map_err(EmbeddedError::io("rename", &fresh))?;
        files::write(dir, MARKER, &disk::marker(saved.cluster_id))?;
        Ok(Restored { file, kept, cluster_id: saved.cluster_id, revision: saved.revision })
    }
}
