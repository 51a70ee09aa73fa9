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
    requirements.machine_of.iter().map(Peer::as_str).collect()
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
fn resources_are_in_the_units_of_systemd() {
    assert_eq!((parse("").memory, parse("").cpu_millis), (None, None));
    let wanted = parse("Memory=1G\nMemory=1.5G\nCPU=250%");
    assert_eq!((wanted.memory, wanted.cpu_millis), (Some(1536 << 20), Some(2500)));
    assert!(!parse("Memory=1G\nMemory=").asks_resources());
    assert!(parse("CPU=0.5%").asks_resources());
    // What depends on the instance is not judged in a template.
    assert_eq!(parse_as("web@.service", "Memory=%i").unwrap().memory, None);
    assert_eq!(parse("Memory=%iG").memory, Some(1 << 30));
}

#[test]
fn a_group_is_a_template_unless_it_is_named() {
    let group = |name: &str, section: &str| {
        let wanted = parse_as(name, section).unwrap();
        wanted.group(&UnitName::parse(name).unwrap())
    };
    assert_eq!(group("web@1.service", ""), None);
    assert_eq!(group("web@1.service", "SpreadBy=zone").as_deref(), Some("web@.service"));
    assert_eq!(group("web@1.service", "MaxPerMachine=1").as_deref(), Some("web@.service"));
    assert_eq!(group("web.service", "SpreadBy=zone").as_deref(), Some("web.service"));
    assert_eq!(group("web.service", "SpreadGroup=front").as_deref(), Some("front"));
    assert_eq!(group("web@1.service", "MaxPerMachine=1\nSpreadGroup=%p").as_deref(), Some("web"));
    let wanted = parse("SpreadBy=rack\nSpreadBy=zone\nMaxPerMachine=3");
    assert_eq!((wanted.spread_by.as_deref(), wanted.max_per_machine), (Some("zone"), Some(3)));
}

#[test]
fn preferences_and_operators_are_read_alike() {
    let wanted =
        parse("MachineMetadata=ram>=2048\nMachineMetadata=zone in (a,b)\nPreferMetadata=\"disk=ssd\" \"zone!=%i\"");
    let shown = |constraints: &MetadataConstraints| constraints.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(&wanted.metadata), ["ram>=2048", "zone in (a,b)"]);
    assert_eq!(shown(&wanted.prefer), ["disk=ssd", "zone!=1"]);
    let of_machine = parse("MachineMetadata=home=%H\nMachineMetadata=note=%%H");
    let metadata = std::collections::BTreeMap::from([("home".into(), "n1".into()), ("note".into(), "%H".into())]);
    let on = |hostname| crate::MachineTraits { metadata: &metadata, hostname, id: "" };
    assert!(of_machine.metadata.matches(&on("n1")) && !of_machine.metadata.matches(&on("n2")));
}

#[test]
fn new_options_say_what_is_wrong_with_them() {
    let cases = [
        ("Memory=lots", r#"invalid Memory "lots": expected bytes, or a number with K, M, G or T, such as 512M"#),
        ("Memory=0", r#"invalid Memory "0": expected bytes, or a number with K, M, G or T, such as 512M"#),
        ("CPU=2", r#"invalid CPU "2": expected per cent of one core, such as 50% or 200%"#),
        ("CPU=0%", r#"invalid CPU "0%": expected per cent of one core, such as 50% or 200%"#),
        ("SpreadBy=zone=a", r#"invalid SpreadBy "zone=a": expected one key of the machines' metadata, such as zone"#),
        (
            "SpreadBy=zone rack",
            r#"invalid SpreadBy "zone rack": expected one key of the machines' metadata, such as zone"#,
        ),
        ("MaxPerMachine=0", r#"invalid MaxPerMachine "0": expected a number from 1 to 10000"#),
        ("MaxPerMachine=two", r#"invalid MaxPerMachine "two": expected a number from 1 to 10000"#),
        ("PreferMetadata=disk", r#"malformed PreferMetadata "disk": expected key=value"#),
        (
            "MachineMetadata=ram>=2G",
            r#"malformed MachineMetadata "ram>=2G": "2G" is not a decimal number, and only numbers compare by >="#,
        ),
    ];
    for (section, message) in cases {
        let error = parse_as("web@1.service", section).unwrap_err();
        assert_eq!(error.to_string(), message, "{section:?}");
    }
}

#[test]
fn new_options_that_contradict_are_refused() {
    let of_machine = "which differs by machine: only values of MachineMetadata and PreferMetadata can";
    let cases = [
        ("Global=true\nPreferMetadata=a=b", "PreferMetadata cannot be used with Global".to_owned()),
        ("MachineID=a\nSpreadBy=zone", "SpreadBy cannot be used with MachineID".to_owned()),
        ("Global=true\nMaxPerMachine=1", "MaxPerMachine cannot be used with Global".to_owned()),
        (
            "MachineMetadata=a=1\nMachineMetadata=a!=1",
            "unresolvable requirements: no machine meets both MachineMetadata a=1 and a!=1".to_owned(),
        ),
        ("Conflicts=a-%H.service", format!(r#"Conflicts "a-%H.service" cannot use %H, {of_machine}"#)),
        ("MachineID=%m", format!(r#"MachineID "%m" cannot use %m, {of_machine}"#)),
    ];
    for (section, message) in cases {
        let error = parse(section).validate().unwrap_err();
        assert_eq!(error.to_string(), message, "{section:?}");
    }
    for section in [
        "Memory=1G\nGlobal=true",
        "Memory=1G\nMachineID=a",
        "SpreadBy=zone\nMaxPerMachine=1\nConflicts=b\nMachineMetadata=zone!=a\nPreferMetadata=zone=b",
        "MachineOf=a.service\nSpreadBy=zone\nMemory=1G",
        "PreferMetadata=zone=a\nPreferMetadata=zone!=a",
    ] {
        assert_eq!(parse(section).validate(), Ok(()), "{section:?}");
    }
}

#[test]
fn on_disconnect_is_keep_or_stop() {
    assert_eq!(parse("").on_disconnect, OnDisconnect::Keep);
    assert_eq!(parse("OnDisconnect=stop").on_disconnect, OnDisconnect::Stop);
    assert_eq!(parse("OnDisconnect=stop\nOnDisconnect=Keep").on_disconnect, OnDisconnect::Keep);
    let error = parse_as("a.service", "OnDisconnect=halt").unwrap_err();
    assert_eq!(error.to_string(), "invalid OnDisconnect \"halt\": expected keep or stop");
}

#[test]
fn priority_is_a_number_and_preempt_yes_or_no() {
    let cases = [("", 0, false), ("Priority=100\nPreempt=yes", 100, true), ("Priority=-5\nPreempt=no", -5, false)];
    for (section, priority, preempt) in cases {
        let wanted = parse(section);
        assert_eq!((wanted.priority, wanted.preempt), (priority, preempt), "{section:?}");
    }
    assert_eq!(parse("Priority=1\nPriority=2").priority, 2);
    assert_eq!(parse("Priority=1%i").priority, 11);
    let cases = [
        ("Priority=high", "invalid Priority \"high\": expected a whole number from -1000000 to 1000000"),
        ("Priority=1000001", "invalid Priority \"1000001\": expected a whole number from -1000000 to 1000000"),
        ("Priority=1.5", "invalid Priority \"1.5\": expected a whole number from -1000000 to 1000000"),
        ("Preempt=maybe", "invalid Preempt \"maybe\": expected yes or no"),
    ];
    for (section, message) in cases {
        assert_eq!(parse_as("a.service", section).unwrap_err().to_string(), message, "{section:?}");
    }
    let error = parse("Global=true\nPreempt=yes").validate().unwrap_err();
    assert_eq!(error.to_string(), "Global cannot be used with Preempt");
    assert_eq!(parse("Global=true\nPriority=5").validate(), Ok(()));
}

#[test]
fn peers_are_names_or_patterns() {
    let wanted = parse("MachineOf=db@*.service\nAfter=net@%i.service log@[0-9].service\nRequires=db.service");
    assert_eq!(machine_of(&wanted), ["db@*.service"]);
    assert_eq!(wanted.after.iter().map(Peer::as_str).collect::<Vec<_>>(), ["net@1.service", "log@[0-9].service"]);
    assert!(wanted.after[1].matches(&UnitName::parse("log@7.service").unwrap()));
    assert!(!wanted.after[1].matches(&UnitName::parse("log@77.service").unwrap()));
    assert_eq!(wanted.requires[0].unit().map(UnitName::as_str), Some("db.service"));
    // What is a name is no pattern: its backslashes are its own.
    let escaped = parse("MachineOf=a\\x2db.service").machine_of;
    assert!(escaped[0].matches(&UnitName::parse("a\\x2db.service").unwrap()));
    let cases = [
        ("After=db", r#"invalid After "db": unit name must contain ".""#),
        ("Requires=a[.service", r#"invalid Requires "a[.service": invalid character '[' in unit name"#),
    ];
    for (section, message) in cases {
        assert_eq!(parse_as("a.service", section).unwrap_err().to_string(), message, "{section:?}");
    }
}

#[test]
fn a_unit_does_not_name_itself() {
    let name = UnitName::parse("web@1.service").unwrap();
    for (option, value) in [("MachineOf", "web@1.service"), ("After", "%n"), ("Requires", "web@%i.service")] {
        let error = parse(&format!("{option}={value}")).validate_for(&name).unwrap_err();
        assert_eq!(error.to_string(), format!("web@1.service cannot name itself in {option}"));
    }
    // A pattern that matches it means the others.
    for section in ["MachineOf=web@*.service", "After=db.service", ""] {
        assert_eq!(parse(section).validate_for(&name), Ok(()), "{section:?}");
    }
    parse("MachineID=a\nGlobal=true").validate_for(&name).unwrap_err();
}
