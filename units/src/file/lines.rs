//! The lines of a unit file, as systemd tells them apart.

use super::error::{ParseError, ParseErrorKind};

/// systemd refuses lines of this length or more, and so does fleet.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;

/// The lines of a text with their numbers, checked for what no line may be.
///
/// A line ends in LF, CR, or one of each in either order.
pub(super) struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    /// The lines of `text`, without the byte order mark that it may begin with.
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text.strip_prefix('\u{feff}').unwrap_or(text), number: 0 }
    }

    /// The next line and its number.
    pub(super) fn next(&mut self) -> Result<Option<(usize, &'a str)>, ParseError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let (line, rest) = split_line(self.rest);
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
    pub(super) fn next_continued(&mut self) -> Result<&'a str, ParseError> {
        while let Some((_, line)) = self.next()? {
            if !is_comment(line.trim_start()) {
                return Ok(line);
            }
        }
        Ok("")
    }
}

fn split_line(text: &str) -> (&str, &str) {
    let Some((line, rest)) = text.split_once(['\n', '\r']) else {
        return (text, "");
    };
    let end = &text[line.len()..];
    let pair = end.starts_with("\r\n") || end.starts_with("\n\r");
    (line, if pair { &rest[1..] } else { rest })
}

/// Whether a line ends in a backslash that is not itself escaped.
pub(super) fn continues(line: &str) -> bool {
    let backslashes = line.bytes().rev().take_while(|&byte| byte == b'\\').count();
    backslashes % 2 == 1
}

/// Whether a line, its indentation removed, is a comment.
pub(super) fn is_comment(content: &str) -> bool {
    content.starts_with(['#', ';'])
}
