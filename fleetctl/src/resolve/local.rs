//! Unit files here.

use std::io;
use std::path::{Path, PathBuf};

use fleet_units::{Fence, Requirements, UnitFile, UnitHash, UnitName};

/// A unit file here, read and found to be in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Where it is.
    pub path: PathBuf,
    /// What it says, byte for byte.
    pub text: String,
    /// The hash of its canonical text.
    pub hash: UnitHash,
    /// Whether it is the template of the unit that was asked for.
    pub is_template: bool,
    /// Whether the unit runs on every machine that fits.
    pub is_global: bool,
    /// What a person should know about it.
    pub warnings: Vec<String>,
}

/// What is wrong with a file here.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// It is there, but cannot be read.
    #[error("cannot read {}: {}", .path.display(), words(.source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It can be read, but is no unit that could run.
    #[error("{}: {reason}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, where one is to blame, and why.
        reason: String,
    },
}

/// The file of the unit, and the file of its template if it is an instance: where `argument` points, with the suffix
/// that the name has.
pub fn find(argument: &str, name: &UnitName) -> Result<(Option<Local>, Option<Local>), LocalError> {
    let directory = match argument.rsplit_once('/') {
        Some(("", _)) => Path::new("/"),
        Some((directory, _)) => Path::new(directory),
        None => Path::new(""),
    };
    let file = read(directory.join(name.as_str()), name, false)?;
    let template = match name.template().filter(|_| name.is_instance() && file.is_none()) {
        Some(template) => read(directory.join(template.as_str()), name, true)?,
        None => None,
    };
    Ok((file, template))
}

fn read(path: PathBuf, name: &UnitName, is_template: bool) -> Result<Option<Local>, LocalError> {
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(source) => return Err(LocalError::Unreadable { path, source }),
    };
    match check(&bytes, name) {
        Ok((text, file, requirements)) => {
            let warnings =
                requirements.warnings().map(|warning| format!("WARNING: {}: {warning}", path.display())).collect();
            let (hash, is_global) = (file.hash(), requirements.global);
            Ok(Some(Local { path, text, hash, is_template, is_global, warnings }))
        }
        Err(reason) => Err(LocalError::Invalid { path, reason }),
    }
}

/// Checks a text by the same rules as the server.
fn check(bytes: &[u8], name: &UnitName) -> Result<(String, UnitFile, Requirements), String> {
    let file = UnitFile::from_bytes(bytes).map_err(|error| error.to_string())?;
    file.validate_for(name).map_err(|error| error.to_string())?;
    let requirements = Requirements::parse(&file, name).map_err(|error| error.to_string())?;
    requirements.validate().map_err(|error| error.to_string())?;
    if let Some(fence) = Fence::of([&file]).map_err(|error| error.to_string())? {
        fence.check_name(name).map_err(|error| error.to_string())?;
    }
    // It parsed, hence it is UTF-8.
    Ok((String::from_utf8_lossy(bytes).into_owned(), file, requirements))
}

/// The system's words without its error number.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words);
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> UnitName {
        UnitName::parse(text).unwrap()
    }

    fn directory(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (file, content) in files {
            std::fs::write(directory.path().join(file), content).unwrap();
        }
        directory
    }

    fn find_in(directory: &tempfile::TempDir, unit: &str) -> Result<(Option<Local>, Option<Local>), String> {
        let argument = directory.path().join(unit);
        let here = format!("{}/", directory.path().display());
        find(&argument.to_string_lossy(), &name(&UnitName::mangle(unit)))
            .map_err(|error| error.to_string().replace(&here, ""))
    }

    #[test]
    fn the_suffix_is_added_before_a_file_is_looked_for() {
        let directory = directory(&[("hello.service", b"[Service]\nExecStart=/bin/true\n"), ("hello", b"junk")]);
        let (file, template) = find_in(&directory, "hello").unwrap();
        assert_eq!(file.unwrap().text, "[Service]\nExecStart=/bin/true\n");
        assert_eq!(template, None);
        assert_eq!(find_in(&directory, "other").unwrap(), (None, None));
    }

    #[test]
    fn a_template_beside_it_serves_an_instance() {
        let text = b"[Service]\nExecStart=/bin/echo %i\n[X-Fleet]\nGlobal=true\nMachineColour=red\n";
        let directory = directory(&[("a@.service", text)]);
        let (file, template) = find_in(&directory, "a@1.service").unwrap();
        let template = template.unwrap();
        assert!(file.is_none() && template.is_template && template.is_global);
        assert_eq!(template.warnings.len(), 1, "{:?}", template.warnings);
        // The template itself is a file like any other.
        assert!(find_in(&directory, "a@.service").unwrap().0.is_some());
    }

    #[test]
    fn bad_files_are_named_with_line_and_reason() {
        let directory = directory(&[
            ("a.service", b"[Service]\nExecStart\n"),
            ("b.service", b""),
            ("c.service", b"\xff\xfe"),
            ("d.service", b"[Service]\nExecStart=/bin/true\n[X-Fleet]\nMachineID=x\nGlobal=true\n"),
        ]);
        std::fs::create_dir(directory.path().join("e.service")).unwrap();
        let cases = [
            ("a", "a.service: line 2: "),
            ("b", "b.service: line 1: file is empty"),
            ("c", "c.service: "),
            ("d", "d.service: MachineID cannot be used with Global"),
            ("e", "cannot read e.service: is a directory"),
        ];
        for (unit, expected) in cases {
            let error = find_in(&directory, unit).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
