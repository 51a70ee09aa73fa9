//! Which machines meet which demands, and what is no demand.

use super::*;

fn machine(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn parse(values: &[&str]) -> MetadataConstraints {
    MetadataConstraints::parse(values).unwrap_or_else(|error| panic!("{values:?}: {error}"))
}

fn meets(value: &str, pairs: &[(&str, &str)]) -> bool {
    parse(&[value]).matches(&MachineTraits::of(&machine(pairs)))
}

#[test]
fn keys_are_anded_and_values_of_a_key_ored() {
    let wanted = parse(&["a=1", "b=1", "a=2"]);
    let matches = |pairs: &[(&str, &str)]| wanted.matches(&MachineTraits::of(&machine(pairs)));
    assert!(matches(&[("a", "1"), ("b", "1")]));
    assert!(matches(&[("a", "2"), ("b", "1"), ("c", "x")]));
    assert!(!matches(&[("a", "3"), ("b", "1")]));
    assert!(!matches(&[("a", "1")]));
    assert!(!matches(&[]));
}

#[test]
fn asking_nothing_matches_everything() {
    let nothing = MetadataConstraints::default();
    assert!(nothing.is_empty());
    assert!(nothing.matches(&MachineTraits::of(&machine(&[]))));
    assert_eq!(serde_json::to_string(&nothing).unwrap(), "[]");
}

#[test]
fn numbers_compare_as_numbers_and_nothing_else_does() {
    let cases = [
        ("ram>=2048", "2048", true),
        ("ram>=2048", "10000", true),
        ("ram>=2048", "2047.9", false),
        ("ram>2048", "2048", false),
        ("ram>2048", "2048.000000001", true),
        ("ram<=2.5", "2.50", true),
        ("ram<0", "-1", true),
        ("ram<0", "+1", false),
        ("ram >= 2048", "4096", true),
        ("ram>=2048", "4G", false),
        ("ram<2048", "lots", false),
        ("ram<2048", "", false),
        ("ram<2048", "1e3", false),
        ("ram<2048", " 7", false),
        ("ram<2048", "7.", false),
    ];
    for (value, ram, expected) in cases {
        assert_eq!(meets(value, &[("ram", ram)]), expected, "{value} and {ram:?}");
        assert!(!meets(value, &[("disk", "1")]), "{value} and none");
    }
}

#[test]
fn exclusions_hold_for_machines_without_the_key_too() {
    for (value, met, unmet) in [
        ("zone!=a", "b", "a"),
        ("zone != a b", "a", "a b"),
        ("zone not in (a, b)", "c", "b"),
        ("zone not  in(a,b)", "c", "a"),
    ] {
        assert!(meets(value, &[("zone", met)]), "{value}");
        assert!(!meets(value, &[("zone", unmet)]), "{value}");
        assert!(meets(value, &[]), "{value}");
    }
    for value in ["zone in (a,b)", "zone in(a, b)", "zone  in  ( a,b )"] {
        assert!(meets(value, &[("zone", "b")]) && !meets(value, &[("zone", "c")]) && !meets(value, &[]), "{value}");
    }
    // Each is a demand of its own, unlike values by `=`.
    let both = parse(&["zone in (a,b)", "zone in (b,c)", "zone=b", "zone=a"]);
    assert!(both.matches(&MachineTraits::of(&machine(&[("zone", "b")]))));
    assert!(!both.matches(&MachineTraits::of(&machine(&[("zone", "a")]))));
}

#[test]
fn a_key_may_be_named_like_an_operator() {
    assert!(meets("in in (a)", &[("in", "a")]));
    assert!(meets("not!=a", &[("not", "b")]));
    assert!(meets("zone=in (a)", &[("zone", "in (a)")]));
}

#[test]
fn values_of_the_machine_itself_are_compared_on_each() {
    let wanted = parse(&["home=%H", "home=spare", "serial!=%m", "note=100%%"]);
    let of = |home: &str, serial: &str| {
        let metadata = machine(&[("home", home), ("serial", serial), ("note", "100%")]);
        wanted.matches(&MachineTraits { metadata: &metadata, hostname: "node7", id: "aaaa" })
    };
    assert!(of("node7", "bbbb") && of("spare", ""));
    assert!(!of("node8", "bbbb") && !of("node7", "aaaa") && !of("%H", ""));
    assert_eq!(wanted.iter().next().unwrap().any_of(), None, "no index finds a machine by it");
}

#[test]
fn malformed_values_are_named() {
    let problem = |text: &str| MetadataConstraints::parse([text]).expect_err(text).problem;
    for text in
        ["", "a", "=", "a=", "=1", "a=b=c", "a==b", "a =1", "a=1 b=2", "a!=", "a!=b=c", "ain (b)", "a on (b)", "a inb"]
    {
        assert!(matches!(problem(text), MetadataProblem::Malformed(_)), "{text}");
    }
    for text in ["a in b", "a in ()", "a in (b,)", "a not in (b", "a in (b) c", "a in (b=c)"] {
        assert_eq!(problem(text), MetadataProblem::List, "{text}");
    }
    assert_eq!(
        MetadataConstraints::parse(["ram>=2G"]).unwrap_err().to_string(),
        r#"malformed MachineMetadata "ram>=2G": "2G" is not a decimal number, and only numbers compare by >="#
    );
    assert_eq!(
        MetadataConstraints::parse(["a in (b"]).unwrap_err().to_string(),
        r#"malformed MachineMetadata "a in (b": expected values in parentheses with commas between, such as zone in (a,b)"#
    );
}

#[test]
fn two_pairs_on_a_line_get_a_hint() {
    let message = |text: &str| MetadataConstraints::parse([text]).expect_err(text).to_string();
    assert_eq!(
        message("a=1 b=2"),
        r#"malformed MachineMetadata "a=1 b=2": expected key=value (several on one line are each quoted: "a=1" "b=2")"#
    );
    assert_eq!(message("a="), r#"malformed MachineMetadata "a=": expected key=value"#);
}

#[test]
fn what_no_value_meets_is_a_contradiction() {
    let contradict = [
        (["a=1", "a!=1"], ("a=1", "a!=1")),
        (["a in (1,2)", "a not in (1,2,3)"], ("a in (1,2)", "a not in (1,2,3)")),
        (["a in (1,2)", "a=3"], ("a in (1,2)", "a=3")),
        (["a>=5", "a<5"], ("a>=5", "a<5")),
        (["a>5", "a<=4.5"], ("a<=4.5", "a>5")),
        (["a=x", "a>=1"], ("a=x", "a>=1")),
    ];
    for (values, (one, two)) in contradict {
        let found = parse(&values).contradiction().unwrap_or_else(|| panic!("{values:?}"));
        let found = (found.0.as_str(), found.1.as_str());
        assert!(found == (one, two) || found == (two, one), "{values:?}: {found:?}");
    }
    for values in
        [["a=1", "b!=1"], ["a>=5", "a<=5"], ["a>1", "a>=2"], ["a=1", "a=2"], ["a=%H", "a!=1"], ["a!=1", "a!=2"]]
    {
        assert_eq!(parse(&values).contradiction(), None, "{values:?}");
    }
}

#[test]
fn demands_are_shown_as_written_and_read_back() {
    for text in ["a=1", "a!=1", "a in (1,2)", "a not in (1,%H)", "ram>=2048", "ram<0.5", "ram>-1"] {
        let wanted = parse(&[text]);
        assert_eq!(wanted.iter().next().unwrap().to_string(), text);
        let json = serde_json::to_string(&wanted).unwrap();
        assert_eq!(serde_json::from_str::<MetadataConstraints>(&json).unwrap(), wanted, "{json}");
    }
    let complaints = [("a=1", "lacks a=1"), ("a not in (1,2)", "has a=1 or a=2"), ("ram>=2", "lacks ram>=2")];
    for (text, complaint) in complaints {
        assert_eq!(parse(&[text]).iter().next().unwrap().complaint(), complaint);
    }
}
