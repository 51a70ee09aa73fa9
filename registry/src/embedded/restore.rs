//! A registry from a snapshot.

use std::path::{Path, PathBuf};

use tokio::sync::oneshot;

use super::disk::{self, Disk, FILE, MARKER};
use super::error::EmbeddedError;
use super::files;
use super::handle::Embedded;
use super::lock::DirLock;
use super::writer::{Job, random};
use crate::memory::{Memory, Saved};
use crate::shell::boot_now;

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
        if !replace && (files::exists(&dir.join(FILE))? || files::exists(&dir.join(MARKER))?) {
            return Err(EmbeddedError::There { dir: dir.to_owned() });
        }
        install(dir, saved)
    }

    /// All that the registry of a directory holds, while nobody has it open.
    ///
    /// # Errors
    ///
    /// A process has it open, or it cannot be read.
    pub fn export(dir: &Path) -> Result<Saved, EmbeddedError> {
        let _lock = DirLock::take(dir)?;
        let (_, memory) = Disk::reopen(dir.join(FILE), boot_now().mono, 0)?;
        Ok(memory.saved())
    }

    /// Puts the registry of a directory aside, because another has taken over. It is not opened by mistake: the directory
    /// remembers that there was one.
    ///
    /// # Errors
    ///
    /// A process has it open, or it cannot be renamed.
    pub fn retire(dir: &Path) -> Result<(), EmbeddedError> {
        let _lock = DirLock::take(dir)?;
        let file = dir.join(FILE);
        let id = std::fs::read_to_string(dir.join(MARKER)).map_err(EmbeddedError::io("read", dir.join(MARKER)))?;
        let aside = dir.join(format!("{FILE}.moved-{}", id.trim()));
        std::fs::rename(&file, aside).map_err(EmbeddedError::io("rename", &file))?;
        files::sync_dir(dir)
    }

    /// Puts what a snapshot holds in the place of all that there is, as [`Embedded::restore`] does. Watches end, and
    /// whoever uses the registry finds that it is another one.
    ///
    /// # Errors
    ///
    /// It cannot be written: then nothing has changed. Or it cannot be read back: then the registry closes.
    pub async fn replace(&self, saved: Saved) -> Result<Restored, EmbeddedError> {
        let (reply, answer) = oneshot::channel();
        // Without a writer the sender is dropped with the job, and the answer is an error.
        self.send(Job::Replace(saved, reply)).await;
        answer.await.map_err(|_| EmbeddedError::Closed)?
    }
}

/// Puts a file with another id in the place of the one that is there, if one is.
pub(super) fn install(dir: &Path, saved: Saved) -> Result<Restored, EmbeddedError> {
    let file = dir.join(FILE);
    let header = Memory::new(random()?).header();
    let saved = Saved { cluster_id: header.cluster_id, member_id: header.member_id, ..saved };
    let fresh = disk::make(dir, &saved)?;
    let kept = files::exists(&file)?.then(|| dir.join(format!("{FILE}.before-{:x}", saved.cluster_id)));
    if let Some(kept) = &kept {
        // Under both names for a moment: there is never none.
        std::fs::hard_link(&file, kept).map_err(EmbeddedError::io("keep", &file))?;
    }
    std::fs::rename(&fresh, &file).map_err(EmbeddedError::io("rename", &fresh))?;
    files::write(dir, MARKER, &disk::marker(saved.cluster_id))?;
    Ok(Restored { file, kept, cluster_id: saved.cluster_id, revision: saved.revision })
}
