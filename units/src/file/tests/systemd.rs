//! How systemd 252 reads peculiar files, as observed through its own tools,
//! and that fleet reads the same or refuses.

use super::*;

/// A file as `Section.name=value` lines, values as systemd reads them.
fn reading(text: &str) -> Vec<String> {
    let show = |option: &UnitOption| format!("{}.{}={}", option.section, option.name, option.joined());
    parse(text).options().iter().map(show).collect()
}

#[test]
fn reads_as_systemd_does() {
    let long = format!("[Unit]\nDescription={}\n", "x".repeat(900_000));
    let long_reading = format!("Unit.Description={}", "x".repeat(900_000));
    let cases: [(&str, &str, &[&str]); 24] = [
        ("repeated key", "[S]\na=1\na=2\n", &["S.a=1", "S.a=2"]),
        ("empty assignment", "[S]\na=1\na=\na=2\n", &["S.a=1", "S.a=", "S.a=2"]),
        ("comments in a continuation", "[S]\na=1 \\\n# x\n  ; y \\\n2\nb=3\n", &["S.a=1  2", "S.b=3"]),
        ("continuation onto a blank line", "[S]\na=1 \\\n\nb=2\n", &["S.a=1", "S.b=2"]),
        ("continuation onto blanks", "[S]\na=1 \\\n  \nb=2\n", &["S.a=1", "S.b=2"]),
        ("comment signs in values", "[S]\na=1 ; 2 # 3\n", &["S.a=1 ; 2 # 3"]),
        ("repeated section", "[S]\na=1\n[T]\nb=2\n[S]\nc=3\n", &["S.a=1", "S.c=3", "T.b=2"]),
        ("CRLF", "[S]\r\na=1 \\\r\n2\r\nb=3\r\n", &["S.a=1  2", "S.b=3"]),
        ("lone CR", "[S]\ra=1 \\\r2\rb=3\r", &["S.a=1  2", "S.b=3"]),
        ("LFCR", "[S]\n\ra=1 \\\n\r2\n\rb=3\n\r", &["S.a=1  2", "S.b=3"]),
        ("continuation onto CRLF", "[S]\na=1\\\n\r\nb=2\n", &["S.a=1", "S.b=2"]),
        ("byte order mark", "\u{feff}[S]\na=1\n", &["S.a=1"]),
        ("before any section", "a=1\nx\n[S]\nb=2\n", &["S.b=2"]),
        ("header taken by a stray continuation", "x \\\n[S]\na=1\n[T]\nb=2\n", &["T.b=2"]),
        ("indentation and spaces", "  [S]\n\ta = 1 \n", &["S.a=1"]),
        ("UTF-8", "[S]\na=grüße ☃\n", &["S.a=grüße ☃"]),
        ("comment that ends in a backslash", "[S]\n# x \\\na=1\n", &["S.a=1"]),
        ("backslash at the end of the file", "[S]\na=1 \\", &["S.a=1"]),
        ("escaped backslash at the end of a line", "[S]\na=1\\\\\nb=2\n", &["S.a=1\\\\", "S.b=2"]),
        ("backslash before a blank", "[S]\na=1 \\ \nb=2\n", &["S.a=1 \\", "S.b=2"]),
        ("case of keys", "[S]\na=1\nA=2\n", &["S.a=1", "S.A=2"]),
        ("quotes and specifiers", "[S]\na=\"1 2\" %i %%\n", &["S.a=\"1 2\" %i %%"]),
        ("equals and colons in values", "[S]\na=b=c:d\n", &["S.a=b=c:d"]),
        ("a long line", &long, &[&long_reading]),
    ];
    for (case, text, expected) in cases {
        assert_eq!(reading(text), expected, "{case}");
    }
}

/// systemd warns about these and goes on without the line. Fleet refuses: a
/// person who submits such a file did not mean it.
#[test]
fn refuses_what_systemd_would_skip() {
    for text in ["[S]\ngarbage\na=1\n", "[S]\nDescription: x\n", "[S]\n=1\n", "[S]\na\\\nb=1\n"] {
        assert_eq!(UnitFile::parse(text).unwrap_err().line, 2, "{text:?}");
    }
}

/// systemd fails to load these.
#[test]
fn refuses_what_systemd_refuses() {
    let long = format!("[S]\na={}\n", "x".repeat(MAX_LINE_BYTES));
    for text in ["[S\na=1\n", "[S] x\na=1\n", &long] {
        UnitFile::parse(text).unwrap_err();
    }
    UnitFile::from_bytes(b"[S]\na=\xff\n").unwrap_err();
    let name = UnitName::parse("a.service").unwrap();
    parse("").validate_for(&name).unwrap_err();
}
