//! The unit-file parser.
//!
//! Where CoreOS fleet and systemd 252 read a file differently, a choice was
//! made once, here:
//!
//! - As fleet, since hashes depend on it: a line in a section that is no
//!   assignment is an error (systemd warns and goes on); a continued value
//!   keeps its backslashes and newlines; values are trimmed.
//! - As systemd, since it is what runs the unit: lines end in LF, CRLF, or CR,
//!   and a continuation may end in each; a comment never continues; comments
//!   inside a continued value are skipped (and are no part of the canonical
//!   text); an even number of backslashes at the end of a line is no
//!   continuation; lines may have up to 1 MiB.
//! - A backslash that ends a file continues onto nothing, whether or not a
//!   newline follows it. A backslash before trailing blanks keeps one of them,
//!   or the canonical text would continue where the file does not.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::error::{ParseError, ParseErrorKind, quote};
use super::lines::{Lines, MAX_LINE_BYTES, continues, is_comment};
use super::{UnitFile, UnitOption};

pub(super) fn parse(text: &str) -> Result<UnitFile, ParseError> {
    let mut lines = Lines::new(text);
    let mut options = Vec::new();
    let mut section: Option<String> = None;
    let mut stray = None;
    while let Some((number, line)) = lines.next()? {
        let at_line = |kind| ParseError::new(number, kind);
        let content = line.trim();
        if content.is_empty() || is_comment(content) {
            continue;
        }
        if let Some(header) = content.strip_prefix('[') {
            section = Some(section_name(header).map_err(at_line)?);
            continue;
        }
        let Some(section) = &section else {
            stray.get_or_insert(ParseError::no_section(number, content));
            read_value(number, line, &mut lines)?;
            continue;
        };
        let (name, rest) = split_option(line).map_err(at_line)?;
        options.push(UnitOption {
            section: section.clone(),
            name: name.to_owned(),
            value: read_value(number, rest, &mut lines)?,
        });
    }
    let mut file = assemble(options);
    if file.options.is_empty() {
        file.refusal = match stray {
            Some(stray) if section.is_none() => Some(stray),
            _ if text.is_empty() => Some(ParseError::empty()),
            _ => Some(ParseError::no_options()),
        };
    }
    Ok(file)
}

/// Orders options by the first appearance of their section.
pub(super) fn assemble(options: Vec<UnitOption>) -> UnitFile {
    let mut ranks = BTreeMap::new();
    for option in &options {
        let next = ranks.len();
        ranks.entry(option.section.clone()).or_insert(next);
    }
    let mut options = options;
    options.sort_by_key(|option| ranks.get(&option.section).copied());
    UnitFile { refusal: options.is_empty().then(ParseError::empty), options }
}

/// Bytes as text, or where they stop being text.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, ParseError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let (before, after) = bytes.split_at(offset);
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        let byte = after.first().copied().unwrap_or_default();
        ParseError::new(line, ParseErrorKind::NotUtf8 { offset, byte })
    })
}

/// A value as systemd reads it, from a value as written.
pub(super) fn join_lines(value: &str) -> Cow<'_, str> {
    if !value.contains('\n') {
        return Cow::Borrowed(value.trim());
    }
    let mut joined = String::with_capacity(value.len());
    let mut continued = false;
    for (index, line) in value.split('\n').enumerate() {
        let line = if continued { line.trim_start() } else { line };
        if continued && is_comment(line) {
            continue;
        }
        if index > 0 && !continued {
            joined.push('\n');
        }
        continued = continues(line);
        match line.strip_suffix('\\') {
            Some(line) if continued => joined.extend([line, " "]),
            _ => joined.push_str(line),
        }
    }
    Cow::Owned(joined.trim().to_owned())
}

fn section_name(header: &str) -> Result<String, ParseErrorKind> {
    let (name, garbage) =
        header.split_once(']').ok_or_else(|| ParseErrorKind::UnclosedSection(quote(&format!("[{header}"))))?;
    match garbage.trim() {
        "" => Ok(name.to_owned()),
        garbage => Err(ParseErrorKind::GarbageAfterSection { section: name.to_owned(), garbage: quote(garbage) }),
    }
}

fn split_option(line: &str) -> Result<(&str, &str), ParseErrorKind> {
    let (name, rest) = line.split_once('=').ok_or_else(|| ParseErrorKind::NoAssignment(quote(line.trim())))?;
    match name.trim() {
        "" => Err(ParseErrorKind::NoOptionName(quote(line.trim()))),
        name => Ok((name, rest)),
    }
}

/// Reads a value that begins with `first`, and the lines that continue it.
fn read_value(number: usize, first: &str, lines: &mut Lines<'_>) -> Result<String, ParseError> {
    let mut value = String::new();
    let mut line = first;
    while !line.trim().is_empty() {
        value.push_str(line);
        if value.len() >= MAX_LINE_BYTES {
            return Err(ParseError::new(number, ParseErrorKind::LineTooLong));
        }
        if !continues(line) {
            break;
        }
        value.push('\n');
        line = lines.next_continued()?;
    }
    let mut trimmed = value.trim().to_owned();
    if value.ends_with('\n') {
        trimmed.push('\n');
    } else if continues(&trimmed) {
        trimmed.push(' ');
    }
    Ok(trimmed)
}
