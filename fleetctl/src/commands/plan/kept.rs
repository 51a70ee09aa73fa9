//! Plans that were made from here, kept until they are started: the units as they were planned, whatever becomes of their
//! files.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use fleet_api::v2::UnitChange;
use serde::{Deserialize, Serialize};

use crate::commands::change::Asked;

/// Plans that are kept; older ones go.
const PLANS: usize = 20;

/// A unit as it was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::commands) struct Kept {
    /// What is asked for it.
    pub change: UnitChange,
    /// Whether it runs on every machine that fits.
    pub is_global: bool,
}

impl Kept {
    /// What was planned under this token; none if it was not planned from here, or long ago.
    pub(in crate::commands) fn read(folder: &Path, token: &str) -> io::Result<Option<Vec<Self>>> {
        // It comes from the command line, and is to name a file in this folder.
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        match fs::read(folder.join(format!("{token}.json"))) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Keeps a plan. Unit files may hold secrets: nobody else may read it.
pub(super) fn write(folder: &Path, token: &str, asked: &[Asked]) -> io::Result<()> {
    let kept = |unit: &Asked| Kept { change: unit.change.clone(), is_global: unit.is_global };
    let units: Vec<Kept> = asked.iter().map(kept).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = folder.join(format!("{token}.json"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&serde_json::to_vec(&units)?)?;
    sweep(folder)
}

/// Removes all but the newest.
fn sweep(folder: &Path) -> io::Result<()> {
    let mut plans = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let written = entry.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        plans.push((written, entry.path()));
    }
    plans.sort();
    let old = plans.len().saturating_sub(PLANS);
    // One that another fleetctl removed meanwhile is gone all the same.
    plans.into_iter().take(old).for_each(|(_, path)| _ = fs::remove_file(path));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str) -> Asked {
        Asked { change: UnitChange { name: name.to_owned(), ..UnitChange::default() }, before: None, is_global: true }
    }

    #[test]
    fn what_was_planned_is_found_by_its_token_until_many_were() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("plans");
        assert_eq!(Kept::read(&folder, "abc").unwrap(), None);
        write(&folder, "abc", &[asked("a.service")]).unwrap();
        let found = Kept::read(&folder, "abc").unwrap().unwrap();
        assert_eq!((found[0].change.name.as_str(), found[0].is_global), ("a.service", true));
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(folder.join("abc.json")).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Kept::read(&folder, "../plans/abc").unwrap(), None, "a token is no path");
        let old = fs::File::open(folder.join("abc.json")).unwrap();
        old.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        (0..PLANS).for_each(|n| write(&folder, &format!("p{n}"), &[]).unwrap());
        assert_eq!(Kept::read(&folder, "abc").unwrap(), None);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), PLANS);
    }
}
