//! Directories and small files that are there after a power loss, too.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::error::EmbeddedError;

/// Makes a directory and those above it; each is entered in the one above it for good.
pub(super) fn make_dir(dir: &Path) -> Result<(), EmbeddedError> {
    let there = |dir: &Path| dir.as_os_str().is_empty() || dir.is_dir();
    let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !there(dir)).collect();
    std::fs::create_dir_all(dir).map_err(EmbeddedError::io("make", dir))?;
    for parent in missing.iter().filter_map(|dir| dir.parent()) {
        sync_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
    }
    Ok(())
}

/// Writes a small file, whole or not at all.
pub(super) fn write(dir: &Path, name: &str, text: &str) -> Result<(), EmbeddedError> {
    let (path, fresh) = (dir.join(name), dir.join(format!("{name}.new")));
    let fill = || {
        let mut file = File::create(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    fill().map_err(EmbeddedError::io("write", &fresh))?;
    std::fs::rename(&fresh, &path).map_err(EmbeddedError::io("rename", &fresh))?;
    sync_dir(dir)
}

/// Removes a file that may not be there.
pub(super) fn remove(path: &Path) -> Result<(), EmbeddedError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(EmbeddedError::io("remove", path)(e)),
        _ => Ok(()),
    }
}

pub(super) fn exists(path: &Path) -> Result<bool, EmbeddedError> {
    path.try_exists().map_err(EmbeddedError::io("look for", path))
}

/// Makes what was renamed or made in a directory last.
pub(super) fn sync_dir(dir: &Path) -> Result<(), EmbeddedError> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(EmbeddedError::io("sync", dir))
}
