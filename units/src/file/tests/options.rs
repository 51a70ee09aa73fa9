//! Files made of options, as API v1 receives them.

use super::*;

fn option(section: &str, name: &str, value: &str) -> UnitOption {
    UnitOption { section: section.to_owned(), name: name.to_owned(), value: value.to_owned() }
}

#[test]
fn options_make_the_file_they_came_from() {
    let text =
        "[Unit]\nDescription=a\n[Service]\nExecStart=\nExecStart=/bin/sh \\\n -c x\\\n\nType=simple\n[Unit]\nAfter=b\n";
    let file = parse(text);
    let made = UnitFile::from_options(file.options().to_vec()).unwrap();
    assert_eq!(made, file);
    assert_eq!(made.hash(), file.hash());
}

#[test]
fn interleaved_sections_are_merged() {
    let made = UnitFile::from_options(vec![option("A", "x", "1"), option("B", "y", "2"), option("A", "z", " 3 ")]);
    assert_eq!(made.unwrap().canonical(), "[A]\nx=1\nz=3\n\n[B]\ny=2\n");
}

#[test]
fn no_options_make_an_empty_file() {
    let file = UnitFile::from_options(Vec::new()).unwrap();
    assert_eq!(file.canonical(), "");
    let name = UnitName::parse("a.service").unwrap();
    file.validate_for(&name).unwrap_err();
}

#[test]
fn options_that_would_read_differently_are_refused() {
    let innocent = || option("Service", "Type", "simple");
    let cases = [
        option("Service", "ExecStart", "/bin/a\nExecStop=/bin/b"),
        option("Service", "ExecStart", "/bin/a\rExecStop=/bin/b"),
        option("Service", "ExecStart", "\nExecStop=/bin/b"),
        option("Service", "ExecStart", "/bin/a \\"),
        option("Service", "A=b", "c"),
        option("Service", "A=1\nB", "c"),
        option("Service", "#A", "b"),
        option("Service", "[A]", "b"),
        option("Service]\nA=1\n[Unit", "B", "c"),
        option("Ser]vice", "A", "b"),
        option("Service", "", "b"),
        option("Service", "A", "b\0"),
    ];
    for bad in cases {
        let error = UnitFile::from_options(vec![bad.clone(), innocent()]).unwrap_err();
        assert_eq!(error.line, 0, "{bad:?}");
    }
    let swallowed = vec![innocent(), option("Service", "#A", "b")];
    assert_eq!(
        UnitFile::from_options(swallowed).unwrap_err().to_string(),
        r##"option "#A" in section "Service" cannot be written to a unit file as it is"##
    );
}

#[test]
fn json_is_that_of_api_v1() {
    let json = r#"{"section":"Service","name":"ExecStart","value":"/bin/true"}"#;
    let read: UnitOption = serde_json::from_str(json).unwrap();
    assert_eq!(read, option("Service", "ExecStart", "/bin/true"));
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
}
