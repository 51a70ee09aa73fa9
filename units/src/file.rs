//! Unit files: their options, their canonical text, and its hash.
//!
//! The text of a unit is stored as it was submitted; this is how fleet reads
//! it. What counts as one file is what CoreOS fleet took for one: comments,
//! blank lines, and empty sections do not matter, everything else does.

mod error;
mod lines;
mod parse;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use error::{ParseError, ParseErrorKind};
pub use lines::MAX_LINE_BYTES;

use crate::{UnitHash, UnitName};

/// Types of unit that systemd never loads from a file.
const UNLOADABLE_TYPES: [&str; 3] = ["busname", "scope", "snapshot"];

/// One assignment in a unit file, as API v1 carries it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitOption {
    /// The section, without brackets.
    pub section: String,
    /// The name, left of the first `=`.
    pub name: String,
    /// The value as written. Backslashes and newlines of a value that is
    /// continued over several lines are kept.
    pub value: String,
}

impl UnitOption {
    /// The value as systemd reads it: continued lines made one, each backslash
    /// and newline replaced by a space.
    ///
    /// ```
    /// # use fleet_units::UnitOption;
    /// let option = UnitOption {
    ///     section: "Service".into(),
    ///     name: "ExecStart".into(),
    ///     value: "/bin/sh -c \\\n  true".into(),
    /// };
    /// assert_eq!(option.joined(), "/bin/sh -c  true");
    /// ```
    pub fn joined(&self) -> Cow<'_, str> {
        parse::join_lines(&self.value)
    }
}

/// A parsed unit file.
///
/// Sections stand in the order in which they first appear, and repeated
/// sections are one. Options keep their order within a section, and repeated
/// options are all kept.
///
/// ```
/// use fleet_units::UnitFile;
///
/// let file = UnitFile::parse("# Greets.\n[Service]\nExecStart = /bin/true\n").unwrap();
/// assert_eq!(file.canonical(), "[Service]\nExecStart=/bin/true\n");
/// assert_eq!(file.hash().short(), "86943ac");
///
/// let error = UnitFile::parse("[Service]\nExecStart\n").unwrap_err();
/// assert_eq!(error.line, 2);
/// ```
#[derive(Clone, Debug)]
pub struct UnitFile {
    options: Vec<UnitOption>,
    /// Why systemd could not load the file, where it has no options.
    refusal: Option<ParseError>,
}

impl UnitFile {
    /// Reads a unit file.
    ///
    /// An empty text is a file without options, as it was for CoreOS fleet:
    /// [`UnitFile::validate_for`] refuses it.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::parse(text)
    }

    /// Reads a unit file from bytes, which must be UTF-8 as for systemd.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParseError> {
        parse::decode(bytes).and_then(Self::parse)
    }

    /// Makes a file of options, as API v1 receives them.
    ///
    /// Fails where the options cannot be written down so that they read the
    /// same again, such as a value with a bare newline in it.
    pub fn from_options(options: Vec<UnitOption>) -> Result<Self, ParseError> {
        let wanted = parse::assemble(options);
        // No person wrote the text, so its line numbers would mean nothing.
        let read = Self::parse(&wanted.canonical()).map_err(|error| ParseError::new(0, error.kind))?;
        let reads_same = |(index, option): &(usize, &UnitOption)| {
            read.options.get(*index).is_some_and(|read| {
                option.section == read.section && option.name.trim() == read.name && option.joined() == read.joined()
            })
        };
        match wanted.options.iter().enumerate().find(|pair| !reads_same(pair)) {
            Some((_, option)) => Err(ParseError::unwritable(option)),
            None => Ok(read),
        }
    }

    /// Makes one file of several, as systemd does of a unit file and its drop-ins.
    pub fn merge<'a>(files: impl IntoIterator<Item = &'a Self>) -> Self {
        parse::assemble(files.into_iter().flat_map(|file| file.options.iter().cloned()).collect())
    }

    /// The names of the sections that have options, in order.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.options.chunk_by(|a, b| a.section == b.section).map(|section| section[0].section.as_str())
    }

    /// All options, section by section.
    pub fn options(&self) -> &[UnitOption] {
        &self.options
    }

    /// Every value assigned to an option, as written and in order.
    pub fn values<'a>(&'a self, section: &str, name: &str) -> impl Iterator<Item = &'a str> {
        self.named(section, name).map(|option| option.value.as_str())
    }

    /// The values of an option that is a list for systemd: lines are joined,
    /// and an empty assignment forgets what came before it.
    ///
    /// ```
    /// use fleet_units::UnitFile;
    ///
    /// let file = UnitFile::parse("[Service]\nExecStart=/a\nExecStart=\nExecStart=/b\n").unwrap();
    /// assert_eq!(file.list("Service", "ExecStart"), ["/b"]);
    /// assert_eq!(file.values("Service", "ExecStart").count(), 3);
    /// ```
    pub fn list(&self, section: &str, name: &str) -> Vec<String> {
        let mut list = Vec::new();
        for option in self.named(section, name) {
            match option.joined() {
                value if value.is_empty() => list.clear(),
                value => list.push(value.into_owned()),
            }
        }
        list
    }

    /// The value of an option that is a single one for systemd: the last one
    /// assigned, lines joined, or none if that is empty.
    pub fn last(&self, section: &str, name: &str) -> Option<String> {
        let last = self.named(section, name).last()?;
        Some(last.joined().into_owned()).filter(|value| !value.is_empty())
    }

    fn named<'a>(&'a self, section: &str, name: &str) -> impl Iterator<Item = &'a UnitOption> {
        self.options.iter().filter(move |option| option.section == section && option.name == name)
    }

    /// The text that fleet hashes, and that `fleetctl cat` prints: no comments,
    /// no blank lines but one between sections, no spaces around `=`.
    ///
    /// Reading it again gives the same options.
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        for section in self.options.chunk_by(|a, b| a.section == b.section) {
            if !text.is_empty() {
                text.push('\n');
            }
            text.extend(["[", &section[0].section, "]\n"]);
            for option in section {
                text.extend([&option.name, "=", &option.value, "\n"]);
            }
        }
        text
    }

    /// The SHA-1 of [`UnitFile::canonical`].
    pub fn hash(&self) -> UnitHash {
        UnitHash::of(&self.canonical())
    }

    /// Refuses what systemd could not load under this name whatever the
    /// machine: an empty file (which masks the unit), one without sections, and
    /// types that have no files.
    pub fn validate_for(&self, name: &UnitName) -> Result<(), ParseError> {
        if UNLOADABLE_TYPES.contains(&name.unit_type()) {
            return Err(ParseError::unloadable(name));
        }
        self.refusal.clone().map_or(Ok(()), Err)
    }
}

impl PartialEq for UnitFile {
    fn eq(&self, other: &Self) -> bool {
        self.options == other.options
    }
}

impl Eq for UnitFile {}

#[cfg(test)]
mod tests;
