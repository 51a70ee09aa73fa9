//! The dialect of `fleet.conf`.
//!
//! `key=value`, `key = "value"`, and `key='value'`; keys in any case; lines that begin with `#` or `;` are comments;
//! an unquoted value ends at `#` or `;`; a trailing backslash continues the line. Only what stands before the first
//! `[section]` counts. Readers of INI files differ from this in quoting, cutting, and continuation, hence our own.

/// A `key=value` of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Line of its beginning, from 1.
    pub line: usize,
    /// The key, as written.
    pub key: String,
    /// The value, unquoted.
    pub value: String,
}

/// What a file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dialect {
    /// The entries, in order.
    pub entries: Vec<Entry>,
    /// Sections, whose entries don't count: line and name.
    pub sections: Vec<(usize, String)>,
}

/// Reads the text of a file.
///
/// # Errors
/// The line that cannot be read, and why.
pub fn read(text: &str) -> Result<Dialect, (usize, String)> {
    let mut found = Dialect::default();
    let mut lines = text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let line = index + 1;
        let trimmed = first.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[') {
            let name = name.strip_suffix(']').ok_or_else(|| (line, "a section needs its closing ]".to_owned()))?;
            found.sections.push((line, name.to_owned()));
            continue;
        }
        let mut whole = trimmed.to_owned();
        while let Some(head) = whole.strip_suffix('\\') {
            let next = lines.next().map_or("", |(_, next)| next.trim());
            whole = format!("{head}{next}");
        }
        let Some((key, value)) = whole.split_once('=').filter(|(key, _)| !key.trim().is_empty()) else {
            return Err((line, format!("expected key=value, found `{whole}`")));
        };
        let value = unquote(value.trim()).map_err(|why| (line, why))?;
        if found.sections.is_empty() {
            found.entries.push(Entry { line, key: key.trim().to_owned(), value });
        }
    }
    Ok(found)
}

/// The value without its quotes, or cut where a comment begins.
fn unquote(value: &str) -> Result<String, String> {
    for quote in ['"', '\''] {
        let Some(rest) = value.strip_prefix(quote) else { continue };
        let (inner, after) = rest.split_once(quote).ok_or_else(|| format!("the value has no closing {quote}"))?;
        let after = after.trim();
        // `"a","b"` is no quoted value but a list of some.
        if after.starts_with(',') {
            break;
        }
        if !after.is_empty() && !after.starts_with(['#', ';']) {
            return Err(format!("`{after}` follows the closing {quote}"));
        }
        return Ok(inner.to_owned());
    }
    // A list in brackets holds quoted items; what follows the bracket is a comment.
    let listed = value.strip_prefix('[').is_some_and(|inner| inner.trim_start().starts_with(['"', '\'']));
    if let Some((list, _)) = value.split_once(']').filter(|_| listed) {
        return Ok(format!("{list}]"));
    }
    Ok(value.split(['#', ';']).next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> String {
        let found = read(line).unwrap();
        assert_eq!(found.entries.len(), 1, "{line}");
        found.entries[0].value.clone()
    }

    #[test]
    fn values_in_every_spelling() {
        for (line, expected) in [
            ("key=value", "value"),
            ("  key  =  value  ", "value"),
            ("key=\"a b\"", "a b"),
            ("key='a # b; c'", "a # b; c"),
            ("key = \"v\" # why", "v"),
            ("key=a # why", "a"),
            ("key=a;why", "a"),
            ("key=", ""),
            ("key=a=b,c=d", "a=b,c=d"),
            ("key=[\"http://a:1\", \"http://b:2\"] # two", "[\"http://a:1\", \"http://b:2\"]"),
            ("key=[::1]:2379 # loopback", "[::1]:2379"),
            ("key=\"a\",\"b\"", "\"a\",\"b\""),
            ("key=a,\\\n  b,\\\n  c", "a,b,c"),
            ("key=a\\", "a"),
        ] {
            assert_eq!(value(line), expected, "{line}");
        }
    }

    #[test]
    fn comments_blank_lines_and_sections_hold_no_entries() {
        let found = read("# a=1\n\n ; b=2\nc=3\r\n[other]\nd=4\n").unwrap();
        assert_eq!(found.entries, [Entry { line: 4, key: "c".into(), value: "3".into() }]);
        assert_eq!(found.sections, [(5, "other".to_owned())]);
    }

    #[test]
    fn what_is_no_entry_names_its_line() {
        for (text, line, words) in [
            ("a=1\nnonsense\n", 2, "key=value"),
            ("=1\n", 1, "key=value"),
            ("a=\"open\n", 1, "closing \""),
            ("a='x' y\n", 1, "follows"),
            ("\n[section\n", 2, "closing ]"),
        ] {
            let (at, why) = read(text).unwrap_err();
            assert_eq!(at, line, "{text}");
            assert!(why.contains(words), "{why}");
        }
    }
}
