//! A unit file and its drop-ins (`NAME.d/*.conf`), which systemd reads as one.

use std::collections::BTreeMap;

use crate::{ParseError, UnitFile, UnitHash};

/// A unit file with its drop-ins, in the order in which systemd reads them: by file name.
///
/// ```
/// use std::collections::BTreeMap;
/// use fleet_units::UnitFiles;
///
/// let text = "[Service]\nExecStart=/bin/true\n";
/// let alone = UnitFiles::parse(text, &BTreeMap::new()).unwrap();
/// assert_eq!(alone.hash(), alone.file().hash());
///
/// let drop_ins = BTreeMap::from([("10-zone.conf".to_owned(), "[X-Fleet]\nGlobal=true\n".to_owned())]);
/// let both = UnitFiles::parse(text, &drop_ins).unwrap();
/// assert_ne!(both.hash(), both.file().hash());
/// assert_eq!(both.merged().last("X-Fleet", "Global").as_deref(), Some("true"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitFiles {
    file: UnitFile,
    drop_ins: BTreeMap<String, UnitFile>,
}

/// Why these are no unit file and drop-ins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitFilesError {
    /// The unit file cannot be read.
    #[error("{0}")]
    Unit(ParseError),
    /// systemd would pass over a file of this name, or it is no name of a file.
    #[error("drop-in {0:?} must be a file name that ends in .conf")]
    Name(String),
    /// A drop-in cannot be read.
    #[error("drop-in {name}: {error}")]
    DropIn {
        /// Its file name.
        name: String,
        /// What is wrong with it.
        error: ParseError,
    },
}

impl UnitFiles {
    /// Reads a unit file and its drop-ins, file name to text.
    pub fn parse(text: &str, drop_ins: &BTreeMap<String, String>) -> Result<Self, UnitFilesError> {
        let file = UnitFile::parse(text).map_err(UnitFilesError::Unit)?;
        let read = |(name, text): (&String, &String)| {
            if !is_drop_in_name(name) {
                return Err(UnitFilesError::Name(name.clone()));
            }
            let failed = |error| UnitFilesError::DropIn { name: name.clone(), error };
            Ok((name.clone(), UnitFile::parse(text).map_err(failed)?))
        };
        Ok(Self { file, drop_ins: drop_ins.iter().map(read).collect::<Result<_, _>>()? })
    }

    /// The unit file alone.
    pub fn file(&self) -> &UnitFile {
        &self.file
    }

    /// The unit file, and after it the drop-ins.
    pub fn all(&self) -> impl Iterator<Item = &UnitFile> + Clone {
        std::iter::once(&self.file).chain(self.drop_ins.values())
    }

    /// All options as one file has them.
    pub fn merged(&self) -> UnitFile {
        UnitFile::merge(self.all())
    }

    /// The hash by which people tell contents apart: without drop-ins CoreOS fleet's, else that of the canonical texts
    /// below each other, each drop-in under a line that names it.
    pub fn hash(&self) -> UnitHash {
        let mut text = self.file.canonical();
        for (name, file) in &self.drop_ins {
            text.extend(["\n# ", name, "\n", &file.canonical()]);
        }
        UnitHash::of(&text)
    }
}

/// Whether systemd reads a drop-in of this name.
pub fn is_drop_in_name(name: &str) -> bool {
    name.ends_with(".conf") && !name.starts_with('.') && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[Service]\nExecStart=/bin/true\n";

    fn files(drop_ins: &[(&str, &str)]) -> Result<UnitFiles, String> {
        let drop_ins = drop_ins.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        UnitFiles::parse(TEXT, &drop_ins).map_err(|error| error.to_string())
    }

    #[test]
    fn the_hash_counts_what_drop_ins_say_and_no_comments() {
        let hash = |drop_ins: &[(&str, &str)]| files(drop_ins).unwrap().hash();
        assert_eq!(hash(&[]).to_string(), "86943ac9f3754cb90f8dd38bf6da7b0cad074592", "fleet's own");
        let one = hash(&[("a.conf", "[Service]\nNice=1\n")]);
        assert_eq!(hash(&[("a.conf", "# Why.\n[Service]\n\nNice = 1\n")]), one);
        for other in [&[][..], &[("a.conf", "[Service]\nNice=2\n")], &[("b.conf", "[Service]\nNice=1\n")]] {
            assert_ne!(hash(other), one, "{other:?}");
        }
    }

    #[test]
    fn drop_ins_come_after_the_unit_by_name() {
        let files = files(&[("b.conf", "[Service]\nNice=2\n"), ("a.conf", "[Service]\nNice=1\n[Unit]\nAfter=x\n")]);
        let merged = files.unwrap().merged();
        assert_eq!(merged.canonical(), "[Service]\nExecStart=/bin/true\nNice=1\nNice=2\n\n[Unit]\nAfter=x\n");
    }

    #[test]
    fn what_systemd_would_pass_over_is_refused() {
        for name in ["a", ".a.conf", "a/b.conf", "a.conf.bak"] {
            let expected = format!("drop-in {name:?} must be a file name that ends in .conf");
            assert_eq!(files(&[(name, TEXT)]).unwrap_err(), expected);
        }
        assert!(files(&[("a.conf", "[Service]\nNice\n")]).unwrap_err().starts_with("drop-in a.conf: line 2: "));
    }
}
