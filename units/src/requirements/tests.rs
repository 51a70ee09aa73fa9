//! `[X-Fleet]` sections: what they mean and what is refused.

use super::*;

fn parse_as(name: &str, section: &str) -> Result<Requirements, RequirementError> {
    let file = UnitFile::parse(&format!("[X-Fleet]\n{section}\n")).expect("a readable file");
    Requirements::parse(&file, &UnitName::parse(name).expect("a valid name"))
}

fn parse(section: &str) -> Requirements {
    parse_as("web@1.service", section).unwrap_or_else(|error| panic!("{section:?}: {error}"))
}

fn machine_of(requirements: &Requirements) -> Vec<&str> {
    requirements.machine_of.iter().map(UnitName::as_str).collect()
}

fn patterns(globs: &[Glob]) -> Vec<&str> {
    globs.iter().map(Glob::as_str).collect()
}

#[test]
fn nothing_asked_is_the_default() {
    let file = UnitFile::parse("[Service]\nMachineID=x\n[x-fleet]\nGlobal=true\n").unwrap();
    let name = UnitName::parse("a.service").unwrap();
    assert_eq!(Requirements::parse(&file, &name), Ok(Requirements::default()));
}

#[test]
fn the_first_machine_id_counts() {
    let cases = [
        ("MachineID=a\nMachineID=b", Some("a")),
        ("X-ConditionMachineID=a\nMachineID=b", Some("b")),
        ("X-ConditionMachineBootID=a\nX-ConditionMachineID=b", Some("b")),
        ("X-ConditionMachineBootID=a", Some("a")),
        ("MachineID=\"a\"", Some("a")),
        ("MachineID=m%i", Some("m1")),
        ("MachineID=", None),
    ];
    for (section, expected) in cases {
        assert_eq!(parse(section).machine_id.as_deref(), expected, "{section:?}");
    }
}

#[test]
fn spellings_of_old_are_merged() {
    let wanted = parse(
        "MachineOf=b.service\nX-ConditionMachineOf=a.service\nConflicts=d\nX-Conflicts=c\n\
         MachineMetadata=k=2\nX-ConditionMachineMetadata=k=1",
    );
    assert_eq!(machine_of(&wanted), ["a.service", "b.service"]);
    assert_eq!(patterns(&wanted.conflicts), ["c", "d"]);
    let metadata = MetadataConstraints::parse(["k=1", "k=2"]).unwrap();
    assert_eq!(wanted.metadata, metadata);
    assert!(wanted.unknown.is_empty());
}

#[test]
fn one_line_may_hold_several_values() {
    let cases: [(&str, &[&str]); 5] = [
        ("Conflicts=a b\tc", &["a", "b", "c"]),
        ("Conflicts=\"a\" \"b\"", &["a", "b"]),
        ("Conflicts=a\nConflicts=b", &["a", "b"]),
        ("Conflicts=a \\\n  b", &["a", "b"]),
        ("Conflicts=a\nConflicts=\nConflicts=b", &["b"]),
    ];
    for (section, expected) in cases {
        assert_eq!(patterns(&parse(section).conflicts), expected, "{section:?}");
    }
    let metadata = parse("MachineMetadata=\"zone=a\" \"zone=b\" \"disk=big ssd\"").metadata;
    let expected = MetadataConstraints::parse(["zone=a", "zone=b", "disk=big ssd"]).unwrap();
    assert_eq!(metadata, expected);
    let peers = parse("MachineOf=a.service b.service");
    assert_eq!(machine_of(&peers), ["a.service", "b.service"]);
}

#[test]
fn quotes_toggle_and_nothing_is_unescaped() {
    let cases: [(&str, &[&str]); 8] = [
        ("a b", &["a b"]),
        ("\"a\" \"b\"", &["a", "b"]),
        ("\"a b\"", &["a b"]),
        (r#""foo\"bar""#, &["foo\\bar"]),
        ("\"bar\" \"", &["bar", ""]),
        ("\"a\"\t\"b\"", &["a\tb"]),
        ("\"a\" b", &["\"a\" b"]),
        ("\"", &[""]),
    ];
    for (line, expected) in cases {
        assert_eq!(options::split_quoted(line), expected, "{line:?}");
    }
}

#[test]
fn global_is_true_in_many_words() {
    for text in ["true", "True", "yes", "1", "on", "T"] {
        assert!(parse(&format!("Global={text}")).global, "{text}");
    }
    for text in ["false", "NO", "0", "off", "f", ""] {
        assert!(!parse(&format!("Global={text}")).global, "{text}");
    }
    assert!(!parse("Global=true\nGlobal=false").global);
    assert!(parse("Global=false\nGlobal=true").global);
}

#[test]
fn specifiers_are_replaced_in_every_value() {
    let wanted = parse("MachineOf=%p-db@%i.service\nConflicts=%p@*.service\nReplaces=%N-%n");
    assert_eq!(machine_of(&wanted), ["web-db@1.service"]);
    assert_eq!(patterns(&wanted.conflicts), ["web@*.service"]);
    assert_eq!(patterns(&wanted.replaces), ["web@1-web@1.service"]);
}

#[test]
fn what_is_malformed_is_named() {
    let cases = [
        ("MachineOf=foo", r#"invalid MachineOf "foo": unit name must contain ".""#),
        ("MachineOf=%i.foo", r#"invalid MachineOf "1.foo": invalid unit type: "foo""#),
        ("MachineMetadata=a=b=c", r#"malformed MachineMetadata "a=b=c": expected key=value"#),
        ("MachineMetadata=\"a=b\" \"c\"", r#"malformed MachineMetadata "c": expected key=value"#),
        ("X-Conflicts=a[", r#"malformed pattern "a[" in Conflicts: check its brackets and backslashes"#),
        ("Replaces=a\\ b", r#"malformed pattern "a\\" in Replaces: check its brackets and backslashes"#),
        ("Global=ture", r#"invalid Global "ture": expected true or false"#),
    ];
    for (section, message) in cases {
        let error = parse_as("web@1.service", section).unwrap_err();
        assert_eq!(error.to_string(), message, "{section:?}");
    }
}

#[test]
fn a_template_is_not_judged_by_the_instance_it_lacks() {
    let section = "MachineOf=%i a.service\nMachineMetadata=zone=%i\nConflicts=[%i] b";
    let wanted = parse_as("web@.service", section).unwrap();
    assert_eq!(machine_of(&wanted), ["a.service"]);
    assert_eq!(patterns(&wanted.conflicts), ["b"]);
    assert!(wanted.metadata.is_empty());
    parse_as("web@.service", "MachineOf=bad").unwrap_err();

    let pinned = parse_as("web@.service", "MachineID=%i\nGlobal=true").unwrap();
    assert_eq!(pinned.machine_id.as_deref(), Some("%i"));
    pinned.validate().unwrap_err();
}

#[test]
fn contradictions_are_in_the_words_of_fleet() {
    let cases = [
        (
            "MachineOf=a.service\nConflicts=x a.*",
            r#"unresolvable requirements: peer "a.service" matches conflict "a.*""#,
        ),
        (
            "MachineOf=a.service\nReplaces=a.service",
            r#"unresolvable requirements: peer "a.service" matches replace "a.service""#,
        ),
        ("MachineID=a\nMachineOf=a.service", "MachineID cannot be used with Peers"),
        ("MachineID=a\nConflicts=b", "MachineID cannot be used with Conflicts"),
        ("MachineID=a\nGlobal=true", "MachineID cannot be used with Global"),
        ("MachineID=a\nReplaces=b", "MachineID cannot be used with Replaces"),
        ("Global=true\nMachineOf=a.service", "Global cannot be used with Peers"),
        ("Global=true\nReplaces=b", "Global cannot be used with Replaces"),
        ("Conflicts=a\nReplaces=b", "Conflicts cannot be used with Replaces"),
        ("MachineID=a\nGlobal=true\nMachineOf=a.service", "MachineID cannot be used with Peers"),
        ("MachineID=a\nOnFailure=move", "OnFailure=move cannot be used with MachineID"),
        ("Global=true\nOnFailure=move", "OnFailure=move cannot be used with Global"),
        ("MachineOf=a.service\nOnFailure=move", "OnFailure=move cannot be used with MachineOf"),
    ];
    for (section, message) in cases {
        let error = parse(section).validate().unwrap_err();
        assert_eq!(error.to_string(), message, "{section:?}");
    }
}

#[test]
fn what_goes_together_is_allowed() {
    for section in [
        "MachineID=a\nMachineMetadata=k=v",
        "Global=true\nMachineMetadata=k=v\nConflicts=a",
        "MachineOf=a.service\nMachineMetadata=k=v\nConflicts=b",
        "MachineOf=a.service\nReplaces=b",
        "MachineMetadata=k=v\nConflicts=a\nOnFailure=move\nMaxMoves=2",
        "MachineID=a\nOnFailure=stay",
    ] {
        assert_eq!(parse(section).validate(), Ok(()), "{section:?}");
    }
}

#[test]
fn what_fails_stays_unless_it_says_otherwise() {
    let cases = [
        ("", OnFailure::Stay, 0),
        ("OnFailure=stay", OnFailure::Stay, 0),
        ("OnFailure=move", OnFailure::Move, Requirements::DEFAULT_MOVES),
        ("OnFailure=move\nMaxMoves=2", OnFailure::Move, 2),
        ("OnFailure=move\nMaxMoves=2\nMaxMoves=", OnFailure::Move, Requirements::DEFAULT_MOVES),
        ("OnFailure=move\nOnFailure=stay", OnFailure::Stay, 0),
        // Contradictions are refused when they are submitted; what is in the registry all the same stays.
        ("OnFailure=move\nGlobal=true", OnFailure::Move, 0),
        ("OnFailure=move\nMachineID=a", OnFailure::Move, 0),
        ("OnFailure=move\nMachineOf=a.service", OnFailure::Move, 0),
    ];
    for (section, on_failure, moves) in cases {
        let wanted = parse(section);
        assert_eq!((wanted.on_failure, wanted.moves_for_failing()), (on_failure, moves), "{section:?}");
        assert_eq!(wanted.warnings().count(), 0, "{section:?}");
    }
    for section in ["OnFailure=restart", "OnFailure=Move", "MaxMoves=0", "MaxMoves=-1", "MaxMoves=1001", "MaxMoves=x"] {
        parse_as("web@1.service", section).unwrap_err();
    }
    let idle = parse("MaxMoves=3").warnings().collect::<Vec<_>>();
    assert_eq!(idle, ["MaxMoves does nothing without OnFailure=move"]);
}

#[test]
fn unknown_options_are_warned_about_once() {
    let wanted = parse("MachineId=a\nfoo=1\nMachineId=b\nX-Global=true");
    assert_eq!(wanted.unknown, ["MachineId", "foo", "X-Global"]);
    assert_eq!(
        wanted.warnings().next().as_deref(),
        Some(r#"unrecognized requirement in [X-Fleet] section: "MachineId""#)
    );
}

#[test]
fn json_comes_back_the_same() {
    let wanted = parse("MachineOf=a.service\nMachineMetadata=k=v\nConflicts=b*\nfoo=1");
    let json = serde_json::to_string(&wanted).unwrap();
    assert_eq!(serde_json::from_str::<Requirements>(&json).unwrap(), wanted);
    let nothing: Requirements = serde_json::from_str("{}").unwrap();
    assert_eq!(nothing, Requirements::default());
}

#[test]
fn on_disconnect_is_keep_or_stop() {
    assert_eq!(parse("").on_disconnect, OnDisconnect::Keep);
    assert_eq!(parse("OnDisconnect=stop").on_disconnect, OnDisconnect::Stop);
    assert_eq!(parse("OnDisconnect=stop\nOnDisconnect=Keep").on_disconnect, OnDisconnect::Keep);
    let error = parse_as("a.service", "OnDisconnect=halt").unwrap_err();
    assert_eq!(error.to_string(), "invalid OnDisconnect \"halt\": expected keep or stop");
}
