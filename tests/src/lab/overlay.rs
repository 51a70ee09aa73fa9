//! A machine's disk: the host's root below, what all machines share in the middle, and on
//! top what the machine itself writes.
//!
//! The middle layer is a tmpfs: overlayfs refuses two lower layers of which one lies within
//! the other. The top layer is on the host's disk, so that a killed machine boots again with
//! what it had; where the host's root is itself an overlay, which cannot be a top layer, it
//! is on a tmpfs too.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};

use super::command::run;
use super::layout::Layout;

/// Mounts the file systems that all machines share.
pub(crate) fn prepare(layout: &Layout) -> Result<()> {
    mount_tmpfs(&layout.common(), None)?;
    create_dir(&layout.shared())?;
    let machines = layout.machines();
    create_dir(&machines)?;
    let kind = statfs(&machines)
        .with_context(|| format!("cannot tell the file system of {}", machines.display()))?
        .filesystem_type();
    if kind == OVERLAYFS_SUPER_MAGIC {
        mount_tmpfs(&machines, None)?;
    }
    Ok(())
}

/// Makes a machine's disk, of limited size if there is a limit; nothing is in its root yet.
pub(crate) fn create_disk(layout: &Layout, machine: &str, bytes: Option<u64>) -> Result<()> {
    if bytes.is_some() {
        mount_tmpfs(&layout.machine(machine), bytes)?;
    }
    for dir in [layout.upper(machine), layout.work(machine), layout.root(machine)] {
        create_dir(&dir)?;
    }
    Ok(())
}

/// Mounts a machine's root, once all layers are filled.
pub(crate) fn mount_root(layout: &Layout, machine: &str) -> Result<()> {
    let options = format!(
        "lowerdir={}:/,upperdir={},workdir={}",
        layout.common().display(),
        layout.upper(machine).display(),
        layout.work(machine).display()
    );
    let root = layout.root(machine).display().to_string();
    run(["mount", "-t", "overlay", "overlay", "-o", &options, &root])
}

/// Mounts a tmpfs, which is private to the lab and ends with it.
pub(crate) fn mount_tmpfs(dir: &Path, bytes: Option<u64>) -> Result<()> {
    create_dir(dir)?;
    let size = bytes.map_or_else(|| "size=100%".to_owned(), |bytes| format!("size={bytes}"));
    let options = format!("mode=0755,{size}");
    run(["mount", "-t", "tmpfs", "tmpfs", "-o", &options, &dir.display().to_string()])
}

fn create_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))
}
