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

use super::error::{ParseError, ParseErrorKind, quote};
use super::{UnitFile, UnitOption};

/// systemd refuses lines of this length or more, and so does fleet.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;

pub(super) fn parse(text: &str) -> Result<UnitFile, ParseError> {
    let mut lines = Lines::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut options = Vec::new();
    let mut section: Option<String> = None;
    let mut stray = None;
    while let Some((number, line)) = lines.next()? {
        let content = line.trim();
        if content.is_empty() || is_comment(content) {
            continue;
        }
        if let Some(header) = content.strip_prefix('[') {
            let name = section_name(header).map_err(|kind| ParseError::new(number, kind))?;
            section = Some(name);
            continue;
        }
        let Some(section) = &section else {
            stray.get_or_insert_with(|| (number, quote(content)));
            read_value(number, line, &mut lines)?;
            continue;
        };
        let (name, rest) = split_option(line).map_err(|kind| ParseError::new(number, kind))?;
        options.push(UnitOption {
            section: section.clone(),
            name: name.to_owned(),
            value: read_value(number, rest, &mut lines)?,
        });
    }
    Ok(UnitFile { stray, has_section: section.is_some(), ..assemble(options) })
}

/// Orders options by the first appearance of their section.
pub(super) fn assemble(mut options: Vec<UnitOption>) -> UnitFile {
    let mut order: Vec<&str> = Vec::new();
    let mut ranks = Vec::with_capacity(options.len());
    for option in &options {
        let known = order.iter().position(|&name| name == option.section);
        ranks.push(known.unwrap_or_else(|| {
            order.push(&option.section);
            order.len() - 1
        }));
    }
    if !ranks.is_sorted() {
        let mut ranked: Vec<_> = ranks.into_iter().zip(options).collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        options = ranked.into_iter().map(|(_, option)| option).collect();
    }
    UnitFile { has_section: !options.is_empty(), options, stray: None }
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
    for line in value.split('\n') {
        let line = if continued { line.trim_start() } else { line };
        if continued && is_comment(line) {
            continue;
        }
        if !joined.is_empty() && !continued {
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

/// Whether a line ends in a backslash that is not itself escaped.
fn continues(line: &str) -> bool {
    let backslashes = line.bytes().rev().take_while(|&byte| byte == b'\\').count();
    backslashes % 2 == 1
}

fn is_comment(content: &str) -> bool {
    content.starts_with(['#', ';'])
}

/// The lines of a text with their numbers, checked for what no line may be.
struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text, number: 0 }
    }

    fn next(&mut self) -> Result<Option<(usize, &'a str)>, ParseError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let (line, rest) = match self.rest.split_once(['\n', '\r']) {
            Some((line, rest)) if self.rest[line.len()..].starts_with("\r\n") => (line, &rest[1..]),
            Some(split) => split,
            None => (self.rest, ""),
        };
        self.rest = rest;
        let error = |kind| Err(ParseError::new(self.number, kind));
        if line.len() >= MAX_LINE_BYTES {
            return error(ParseErrorKind::LineTooLong);
        }
        if let Some(index) = line.find('\0') {
            let column = line[..index].chars().count() + 1;
            return error(ParseErrorKind::Nul { column });
        }
        Ok(Some((self.number, line)))
    }

    /// The line that continues a value: the next that is no comment, or an
    /// empty one at the end of the file.
    fn next_continued(&mut self) -> Result<&'a str, ParseError> {
        while let Some((_, line)) = self.next()? {
            if !is_comment(line.trim_start()) {
                return Ok(line);
            }
        }
        Ok("")
    }
}
