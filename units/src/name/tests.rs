//! Vectors from CoreOS fleet for the parts of names, and its messages.

use std::collections::BTreeMap;

use super::*;

fn name(text: &str) -> UnitName {
    UnitName::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn parts_agree_with_fleet() {
    // Full name, %N, %p, template, %i.
    let vectors = [
        ("foo.service", "foo", "foo", None, None),
        ("foo@.service", "foo@", "foo", Some("foo@.service"), Some("")),
        ("foo@1.service", "foo@1", "foo", Some("foo@.service"), Some("1")),
        ("foo@a@b.service", "foo@a@b", "foo", Some("foo@.service"), Some("a@b")),
        ("a.b@c.d.timer", "a.b@c.d", "a.b", Some("a.b@.timer"), Some("c.d")),
    ];
    for (full, stem, prefix, template, instance) in vectors {
        let name = name(full);
        assert_eq!(name.as_str(), full);
        assert_eq!(name.stem(), stem, "{full}");
        assert_eq!(name.prefix(), prefix, "{full}");
        assert_eq!(name.template().as_ref().map(UnitName::as_str), template, "{full}");
        assert_eq!(name.instance(), instance, "{full}");
    }
    assert_eq!(UnitName::parse("foo"), Err(NameError::NoDot));
}

#[test]
fn templates_and_instances_are_told_apart() {
    assert!(name("foo@.service").is_template());
    assert!(!name("foo@.service").is_instance());
    assert!(name("foo@1.service").is_instance());
    assert!(!name("foo@1.service").is_template());
    assert!(!name("foo.service").is_template());
    assert!(!name("foo.service").is_instance());
    assert_eq!(name("a.b@c.d.timer").unit_type(), "timer");
}

#[test]
fn refusals_are_in_the_words_and_the_order_of_fleet() {
    let long = format!("{}.service", "a".repeat(249));
    let cases = [
        ("", "unit name cannot be empty"),
        (&long, "unit name exceeds maximum length (256)"),
        ("foo", r#"unit name must contain ".""#),
        ("foo@1", r#"unit name must contain ".""#),
        ("foo.", r#"unit name cannot end in ".""#),
        ("foo.bar", r#"invalid unit type: "bar""#),
        ("fo/o.bar", r#"invalid unit type: "bar""#),
        ("foo.Service", r#"invalid unit type: "Service""#),
        ("foo.service ", r#"invalid unit type: "service ""#),
        ("foo@1.mount", r#"invalid unit type for template: "mount""#),
        ("f/o@.slice", r#"invalid unit type for template: "slice""#),
        ("a/b.service", "invalid character '/' in unit name"),
        ("a b.service", "invalid character ' ' in unit name"),
        ("é.service", "invalid character 'é' in unit name"),
        ("@a*.service", "invalid character '*' in unit name"),
        ("@.service", r#"unit name cannot start in "@""#),
        ("@1.service", r#"unit name cannot start in "@""#),
    ];
    for (text, message) in cases {
        let error = UnitName::parse(text).unwrap_err();
        assert_eq!(error.to_string(), message, "{text:?}");
    }
}

#[test]
fn everything_else_is_accepted() {
    let longest = format!("{}.service", "a".repeat(248));
    assert_eq!(longest.len(), 256);
    let names = [
        &longest,
        "A-z_0:9.x.service",
        r"home-a\x2db.mount",
        "foo.target",
        "foo.slice",
        "foo@1.path",
        "foo@1.socket",
        "foo@1.target",
    ];
    for text in names {
        assert_eq!(name(text).to_string(), text);
    }
}

#[test]
fn arguments_become_names() {
    let cases = [
        ("hello", "hello.service"),
        ("hello.service", "hello.service"),
        ("./units/hello", "hello.service"),
        ("/a/b/hello.timer", "hello.timer"),
        ("hello@1", "hello@1.service"),
        ("app.v2", "app.v2.service"),
        ("hello.target", "hello.target"),
        ("hello.slice", "hello.slice"),
        ("hello.swap", "hello.swap"),
        ("dir/", "dir.service"),
        ("hello.", "hello..service"),
        (".service", ".service"),
        ("", ""),
        ("/", ""),
    ];
    for (argument, expected) in cases {
        assert_eq!(UnitName::mangle(argument), expected, "{argument:?}");
    }
}

#[test]
fn json_is_a_checked_string() {
    let read: UnitName = serde_json::from_str(r#""foo@1.service""#).unwrap();
    assert_eq!(read, name("foo@1.service"));
    assert_eq!(serde_json::to_string(&read).unwrap(), r#""foo@1.service""#);
    let error = serde_json::from_str::<UnitName>(r#""foo""#).unwrap_err();
    assert!(error.to_string().contains(r#"unit name must contain ".""#));
}

#[test]
fn maps_by_name_are_asked_with_text() {
    let map = BTreeMap::from([(name("b.service"), 2), (name("a.service"), 1)]);
    assert_eq!(map.get("a.service"), Some(&1));
    assert_eq!(map.values().copied().collect::<Vec<_>>(), [1, 2]);
}
