//! What can be wrong with a unit file, and where.

use std::fmt;

use crate::{UnitName, UnitOption};

use super::MAX_LINE_BYTES;

/// How much of a file's own text a message quotes.
const QUOTED_CHARS: usize = 40;

/// A unit file cannot be used, for the reason `kind` at `line`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// The line, counted from 1, or 0 where no single line is to blame.
    pub line: usize,
    /// What is wrong with it.
    pub kind: ParseErrorKind,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => self.kind.fmt(f),
            line => write!(f, "line {line}: {}", self.kind),
        }
    }
}

/// What is wrong with a unit file. Where CoreOS fleet had the same error, the
/// message contains fleet's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// A section header has no `]`.
    #[error("unable to find end of section: {0:?} has no \"]\"")]
    UnclosedSection(String),
    /// Something follows the `]` of a section header.
    #[error("found garbage after section name {section}: {garbage:?}")]
    GarbageAfterSection {
        /// The section.
        section: String,
        /// What follows it.
        garbage: String,
    },
    /// A line within a section is no assignment.
    #[error("unexpected newline encountered while parsing option name: {0:?} has no \"=\"")]
    NoAssignment(String),
    /// There is nothing before the `=`.
    #[error("option name missing before {0:?}")]
    NoOptionName(String),
    /// A line, or a value continued over several, is longer than systemd reads.
    #[error("line too long (max {MAX_LINE_BYTES} bytes)")]
    LineTooLong,
    /// A NUL byte, which no text file has.
    #[error("NUL byte at column {column}: this is not a text file")]
    Nul {
        /// The byte's column, counted from 1.
        column: usize,
    },
    /// A byte that is not UTF-8.
    #[error("byte {byte:#04x} at offset {offset} is not valid UTF-8: unit files are UTF-8 text")]
    NotUtf8 {
        /// The offset in the file, counted from 0.
        offset: usize,
        /// The offending byte.
        byte: u8,
    },
    /// There is nothing in the file.
    #[error("file is empty: systemd would take the unit for masked")]
    Empty,
    /// There is text, but no section.
    #[error("file is not a unit: it has no section such as [Service] (it starts with {0:?})")]
    NoSection(String),
    /// There are only comments, blank lines, or section headers.
    #[error("file has no options: there is nothing in it to run")]
    NoOptions,
    /// Options that would read differently once written to a file.
    #[error("option {name:?} in section {section:?} cannot be written to a unit file as it is")]
    Unwritable {
        /// The option's section.
        section: String,
        /// The option's name.
        name: String,
    },
    /// systemd has no files for this type of unit.
    #[error("systemd cannot load {name} from a file: units of type {unit_type:?} have none")]
    UnloadableType {
        /// The unit.
        name: UnitName,
        /// Its type.
        unit_type: String,
    },
}

impl ParseError {
    pub(super) fn new(line: usize, kind: ParseErrorKind) -> Self {
        Self { line, kind }
    }

    pub(super) fn empty() -> Self {
        Self::new(1, ParseErrorKind::Empty)
    }

    pub(super) fn no_section(line: usize, text: &str) -> Self {
        Self::new(line, ParseErrorKind::NoSection(quote(text)))
    }

    pub(super) fn no_options() -> Self {
        Self::new(0, ParseErrorKind::NoOptions)
    }

    pub(super) fn unwritable(option: &UnitOption) -> Self {
        let kind = ParseErrorKind::Unwritable { section: option.section.clone(), name: option.name.clone() };
        Self::new(0, kind)
    }

    pub(super) fn unloadable(name: &UnitName) -> Self {
        let kind = ParseErrorKind::UnloadableType { name: name.clone(), unit_type: name.unit_type().to_owned() };
        Self::new(0, kind)
    }
}

/// The beginning of a text, for messages.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
