//! Bad files: the line and the reason.

use super::*;

#[test]
fn bad_files_give_the_line_and_the_reason() {
    let quoted = format!("[S]\n{}\n", "x".repeat(50));
    let cases = [
        ("[Service] x\nA=b\n", r#"line 1: found garbage after section name Service: "x""#),
        ("[Unit]\nA=b\n[Service\nA=b\n", r#"line 3: unable to find end of section: "[Service" has no "]""#),
        ("[Service]\n\nfoo\n", r#"line 3: unexpected newline encountered while parsing option name: "foo" has no "=""#),
        (
            "[Service]\nA=b \\\n c\n# d\nfoo",
            r#"line 5: unexpected newline encountered while parsing option name: "foo" has no "=""#,
        ),
        (
            "[Service]\r\nA=b\r\nfoo\r\n",
            r#"line 3: unexpected newline encountered while parsing option name: "foo" has no "=""#,
        ),
        ("[Service]\n = b\n", r#"line 2: option name missing before "= b""#),
        ("[Service]\nA=é\0\n", "line 2: NUL byte at column 4: this is not a text file"),
        (
            &quoted,
            r#"line 2: unexpected newline encountered while parsing option name: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…" has no "=""#,
        ),
    ];
    for (text, message) in cases {
        let error = UnitFile::parse(text).unwrap_err();
        assert_eq!(error.to_string(), message, "{text:?}");
    }
}

#[test]
fn lines_may_be_as_long_as_those_of_systemd() {
    let line = |length: usize| format!("a={}", "x".repeat(length - 2));
    let file = |length: usize| UnitFile::parse(&format!("[S]\n{}\nb=1\n", line(length)));
    assert_eq!(file(MAX_LINE_BYTES - 1).unwrap().options().len(), 2);
    let error = file(MAX_LINE_BYTES).unwrap_err();
    assert_eq!(error.to_string(), "line 2: line too long (max 1048576 bytes)");
    let halves = format!("[S]\n{half}\\\n{half}\n", half = line(MAX_LINE_BYTES / 2));
    assert_eq!(UnitFile::parse(&halves).unwrap_err(), ParseError::new(2, ParseErrorKind::LineTooLong));
}

#[test]
fn bytes_that_are_no_text_give_their_place() {
    let error = UnitFile::from_bytes(b"[Service]\nA=\xc3\xa9\nB=\xff\n").unwrap_err();
    assert_eq!(error.to_string(), "line 3: byte 0xff at offset 17 is not valid UTF-8: unit files are UTF-8 text");
    let truncated = UnitFile::from_bytes(b"[S]\na=\xc3").unwrap_err();
    let kind = ParseErrorKind::NotUtf8 { offset: 6, byte: 0xc3 };
    assert_eq!(truncated, ParseError::new(2, kind));
    assert_eq!(UnitFile::from_bytes(b"\xef\xbb\xbf[S]\na=1\n"), UnitFile::parse("[S]\na=1\n"));
}

#[test]
fn what_is_no_unit_is_refused_with_its_reason() {
    let cases = [
        ("", "line 1: file is empty: systemd would take the unit for masked"),
        ("# only this\n", "file has no options: there is nothing in it to run"),
        ("x=1\n[Unit]\n", "file has no options: there is nothing in it to run"),
        (
            "\n{\"a\": 1}\n",
            r#"line 2: file is not a unit: it has no section such as [Service] (it starts with "{\"a\": 1}")"#,
        ),
    ];
    let name = UnitName::parse("a.service").unwrap();
    for (text, message) in cases {
        let error = parse(text).validate_for(&name).unwrap_err();
        assert_eq!(error.to_string(), message, "{text:?}");
    }
    parse("[Service]\nExecStart=/bin/true\n").validate_for(&name).unwrap();
}

#[test]
fn types_without_files_are_refused() {
    let file = parse("[Unit]\nDescription=x\n");
    for (name, loadable) in [
        ("a.target", true),
        ("a.slice", true),
        ("a.swap", true),
        ("a.scope", false),
        ("a.snapshot", false),
        ("a.busname", false),
    ] {
        let name = UnitName::parse(name).unwrap();
        assert_eq!(file.validate_for(&name).is_ok(), loadable, "{name}");
    }
    let scope = UnitName::parse("a.scope").unwrap();
    assert_eq!(
        file.validate_for(&scope).unwrap_err().to_string(),
        r#"systemd cannot load a.scope from a file: units of type "scope" have none"#
    );
}
