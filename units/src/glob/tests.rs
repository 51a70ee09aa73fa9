//! Patterns against names, as Go's `path.Match` decides.

use super::*;

#[test]
fn well_formed_patterns() {
    let cases = [
        ("", "", true),
        ("", "a", false),
        ("a.service", "a.service", true),
        ("a.service", "b.service", false),
        ("foo@*.service", "foo@.service", true),
        ("foo@*.service", "foo@12.service", true),
        ("foo@?.service", "foo@1.service", true),
        ("foo@?.service", "foo@12.service", false),
        ("*", "", true),
        ("*", "anything.service", true),
        ("*", "a/b", false),
        ("a*b*c", "abcbc", true),
        ("a*b*c", "abcb", false),
        ("*.service", "a.service.service", true),
        ("**a", "ba", true),
        ("a*", "a/b", false),
        ("a*/b", "ax/b", true),
        ("a?b", "a/b", false),
        ("[abc].service", "b.service", true),
        ("[a-c]", "d", false),
        ("[^a-c]", "d", true),
        ("[^a-c]", "b", false),
        ("[!a]", "!", true),
        ("[!a]", "b", false),
        (r"[\-x]", "-", true),
        (r"[\]]", "]", true),
        (r"[\\-x]", r"\", true),
        ("[z-a]", "m", false),
        (r"\*", "*", true),
        (r"\*", "a", false),
        (r"\a", "a", true),
        ("é?", "éü", true),
        ("[à-é]", "é", true),
        ("]", "]", true),
        ("a-b", "a-b", true),
    ];
    for (pattern, name, expected) in cases {
        let glob = Glob::new(pattern);
        assert!(glob.is_valid(), "{pattern:?}");
        assert_eq!(glob.matches(name), expected, "{pattern:?} on {name:?}");
    }
}

#[test]
fn malformed_patterns_match_nothing() {
    for pattern in [
        "[", "a[", "[]", "[]a]", "[^]", "[^]a]", "[a", "[a-", "[a-]", "[-a]", "[a-b-c]", "\\", "a\\", "[\\", "[a\\",
        "*[",
    ] {
        let glob = Glob::new(pattern);
        assert!(!glob.is_valid(), "{pattern:?}");
        assert_eq!(glob.literal_prefix(), "", "{pattern:?}");
        for name in [pattern, "", "a", "-", "]"] {
            assert!(!glob.matches(name), "{pattern:?} on {name:?}");
        }
    }
}

#[test]
fn prefixes_serve_indexes() {
    let cases = [
        ("a.service", "a.service", true),
        ("web@*.service", "web@", false),
        ("*", "", false),
        (r"a\*b?", "a*b", false),
        (r"a\*b", "a*b", true),
        ("", "", true),
    ];
    for (pattern, prefix, literal) in cases {
        let glob = Glob::new(pattern);
        assert_eq!(glob.literal_prefix(), prefix, "{pattern:?}");
        assert_eq!(glob.is_literal(), literal, "{pattern:?}");
    }
}

#[test]
fn stars_do_not_blow_up() {
    // Exponential for a matcher that backtracks over every star.
    let glob = Glob::new(&format!("{}b", "a*".repeat(100)));
    assert!(!glob.matches(&"a".repeat(10_000)));
}

#[test]
fn json_is_the_pattern() {
    for pattern in ["web@*.service", "["] {
        let json = serde_json::to_string(&Glob::new(pattern)).unwrap();
        assert_eq!(json, serde_json::to_string(pattern).unwrap());
        let read: Glob = serde_json::from_str(&json).unwrap();
        assert_eq!(read, Glob::new(pattern));
    }
}
