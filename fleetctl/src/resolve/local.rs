//! Unit files here.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use fleet_units::{Fence, Requirements, UnitFile, UnitFiles, UnitHash, UnitName, is_drop_in_name};

use super::given::STDIN;

/// A unit file here, read and found to be in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Where it is.
    pub path: PathBuf,
    /// What it says, byte for byte.
    pub text: String,
    /// Its drop-ins: those in the folder `NAME.d` beside it, and of an instance those of its template too.
    pub drop_ins: BTreeMap<String, String>,
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
pub(super) enum LocalError {
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
pub(super) fn find(argument: &str, name: &UnitName) -> Result<(Option<Local>, Option<Local>), LocalError> {
    let directory = match argument.rsplit_once('/') {
        Some(("", _)) => Path::new("/"),
        Some((directory, _)) => Path::new(directory),
        None => Path::new(""),
    };
    let file = read(directory, name, name, false)?;
    let template = match name.template().filter(|_| name.is_instance() && file.is_none()) {
        Some(template) => read(directory, &template, name, true)?,
        None => None,
    };
    Ok((file, template))
}

/// A unit that was read from standard input.
pub(super) fn of_text(name: &UnitName, text: String, drop_ins: BTreeMap<String, String>) -> Result<Local, LocalError> {
    checked(PathBuf::from(STDIN), text, drop_ins, name, false)
}

/// Reads the file of this name with its drop-ins, for a unit that may be an instance of it.
fn read(directory: &Path, file: &UnitName, name: &UnitName, is_template: bool) -> Result<Option<Local>, LocalError> {
    let path = directory.join(file.as_str());
    let Some(text) = text_of(&path)? else { return Ok(None) };
    let mut drop_ins = BTreeMap::new();
    // Those of the instance go before those of the template, as in systemd.
    for owner in name.template().filter(|_| name.is_instance()).iter().chain([name]) {
        drop_ins.extend(drop_ins_of(&directory.join(format!("{owner}.d")))?);
    }
    checked(path, text, drop_ins, name, is_template).map(Some)
}

/// What a file says, if there is one.
fn text_of(path: &Path) -> Result<Option<String>, LocalError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(source) => return Err(LocalError::Unreadable { path: path.to_owned(), source }),
    };
    // Says where it stops being text.
    UnitFile::from_bytes(&bytes)
        .map_err(|error| LocalError::Invalid { path: path.to_owned(), reason: error.to_string() })?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The drop-ins in a folder, if there is one. What systemd would pass over is passed over.
fn drop_ins_of(folder: &Path) -> Result<BTreeMap<String, String>, LocalError> {
    let failed = |source| LocalError::Unreadable { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(BTreeMap::new());
        }
        Err(source) => return Err(failed(source)),
    };
    let mut drop_ins = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if let Some(name) = entry.file_name().to_str().filter(|name| is_drop_in_name(name))
            && let Some(text) = text_of(&entry.path())?
        {
            drop_ins.insert(name.to_owned(), text);
        }
    }
    Ok(drop_ins)
}

fn checked(
    path: PathBuf,
    text: String,
    drop_ins: BTreeMap<String, String>,
    name: &UnitName,
    is_template: bool,
) -> Result<Local, LocalError> {
    match check(&text, &drop_ins, name) {
        Ok((files, requirements)) => {
            let warnings =
                requirements.warnings().map(|warning| format!("WARNING: {}: {warning}", path.display())).collect();
            let (hash, is_global) = (files.hash(), requirements.global);
            Ok(Local { path, text, drop_ins, hash, is_template, is_global, warnings })
        }
        Err(reason) => Err(LocalError::Invalid { path, reason }),
    }
}

/// Checks a unit by the same rules as the server.
fn check(
    text: &str,
    drop_ins: &BTreeMap<String, String>,
    name: &UnitName,
) -> Result<(UnitFiles, Requirements), String> {
    let files = UnitFiles::parse(text, drop_ins).map_err(|error| error.to_string())?;
    files.file().validate_for(name).map_err(|error| error.to_string())?;
    let requirements = Requirements::parse(&files.merged(), name).map_err(|error| error.to_string())?;
    requirements.validate_for(name).map_err(|error| error.to_string())?;
    if let Some(fence) = Fence::of(files.all()).map_err(|error| error.to_string())? {
        fence.check_name(name).map_err(|error| error.to_string())?;
    }
    Ok((files, requirements))
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
    fn drop_ins_beside_a_unit_belong_to_it() {
        let text = b"[Service]\nExecStart=/bin/echo %i\n".as_slice();
        let directory = directory(&[("a@.service", text), ("b.service", text)]);
        for (folder, file, text) in [
            ("a@.service.d", "10.conf", "[Service]\nNice=1\n"),
            ("a@.service.d", "20.conf", "[X-Fleet]\nGlobal=true\n"),
            ("a@.service.d", "notes.txt", "nothing to systemd"),
            ("a@1.service.d", "10.conf", "[Service]\nNice=2\n"),
        ] {
            std::fs::create_dir_all(directory.path().join(folder)).unwrap();
            std::fs::write(directory.path().join(folder).join(file), text).unwrap();
        }
        let template = find_in(&directory, "a@1.service").unwrap().1.unwrap();
        let names: Vec<_> = template.drop_ins.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(names, [("10.conf", "[Service]\nNice=2\n"), ("20.conf", "[X-Fleet]\nGlobal=true\n")]);
        assert!(template.is_global, "what a drop-in asks of the cluster counts");
        let whole = find_in(&directory, "a@.service").unwrap().0.unwrap();
        assert!(whole.drop_ins["10.conf"].contains("Nice=1") && whole.hash != template.hash);
        let alone = find_in(&directory, "b.service").unwrap().0.unwrap();
        assert_eq!(alone.hash, UnitFile::from_bytes(text).unwrap().hash(), "fleet's own hash");

        std::fs::write(directory.path().join("a@.service.d/10.conf"), "[Service]\nNice\n").unwrap();
        let words = find_in(&directory, "a@.service").unwrap_err();
        assert!(words.starts_with("a@.service.d/10.conf: line 2: "), "{words}");
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
