//! Removing what labs left whose owner was killed: cgroup folders and disk folders.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::owner::Owner;
use super::{cgroup, layout};

/// Removes the folders of every lab whose owner is dead; what was removed.
///
/// Several labs may sweep at once, and a folder may still be busy for a moment: whatever
/// cannot be removed is left to the next sweep.
pub fn sweep() -> Result<Vec<PathBuf>> {
    let mut swept = Vec::new();
    for hierarchy in cgroup::hierarchies()? {
        for folder in abandoned(&hierarchy) {
            if cgroup::remove_group(&folder).is_ok() {
                swept.push(folder);
            }
        }
    }
    for folder in abandoned(&layout::base_dir()) {
        if fs::remove_dir_all(&folder).is_ok() {
            swept.push(folder);
        }
    }
    Ok(swept)
}

/// The folders in `parent` that are named after an owner who is dead.
fn abandoned(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().and_then(Owner::parse).is_some_and(|o| !o.is_alive()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_dead_owners_are_abandoned() {
        let parent = tempfile::tempdir().unwrap();
        let alive = Owner::current().unwrap().to_string();
        // No pid reaches this number: the kernel's limit is 2^22.
        let dead = "fleet-lab-99999999-1";
        for name in [alive.as_str(), dead, "system.slice"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        assert_eq!(abandoned(parent.path()), [parent.path().join(dead)]);
    }
}
