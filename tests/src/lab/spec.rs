//! What a lab is to be: how many machines, with which files and disks.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Machine `i` has the address `192.0.2.i`; etcd's members and the lab have those from 251.
pub(crate) const MOST_MACHINES: u8 = 200;

/// A file to be put into a machine before it boots.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileSpec {
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
    pub(crate) mode: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Content {
    Bytes(Vec<u8>),
    CopyOf(PathBuf),
    Link(PathBuf),
}

impl FileSpec {
    /// A plain file with these contents.
    pub fn contents(path: impl Into<PathBuf>, contents: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), content: Content::Bytes(contents.into()), mode: 0o644 }
    }

    /// An executable copied from the host.
    pub fn executable(path: impl Into<PathBuf>, source: impl AsRef<Path>) -> Self {
        let source = source.as_ref().to_owned();
        Self { path: path.into(), content: Content::CopyOf(source), mode: 0o755 }
    }

    /// A symbolic link.
    pub fn link(path: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), content: Content::Link(target.into()), mode: 0o777 }
    }

    /// The file with these permissions instead of the usual ones.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }
}

/// A lab as [`LabBuilder`](super::LabBuilder) describes it to the lab process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LabSpec {
    pub(crate) machines: u8,
    /// In every machine.
    pub(crate) files: Vec<FileSpec>,
    /// In one machine only.
    pub(crate) machine_files: Vec<(u8, FileSpec)>,
    /// Machines whose disk is a tmpfs of this many bytes.
    pub(crate) small_disks: Vec<(u8, u64)>,
}

/// A machine's name: its hostname, its name for nspawn, and the name of its folders.
pub(crate) fn machine_name(number: u8) -> String {
    format!("node{number}")
}

/// A machine's id: fixed, so that a machine keeps it when it boots again, and readable. The first eight characters, which
/// people are shown, tell machines apart.
pub(crate) fn machine_id(number: u8) -> String {
    format!("f1ee7{number:03}000040008000{number:012}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_ids_are_valid_and_unique() {
        let ids: std::collections::BTreeSet<String> = (1..=MOST_MACHINES).map(machine_id).collect();
        assert_eq!(ids.len(), usize::from(MOST_MACHINES));
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
        let short: std::collections::BTreeSet<&str> = ids.iter().map(|id| &id[..8]).collect();
        assert_eq!(short.len(), ids.len());
    }
}
