use fleet_units::UnitName;
use proptest::collection::btree_map;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// One record of each type as it may be stored, with as few fields as an old writer may have given it.
fn samples() -> Vec<(&'static str, Value)> {
    let content = "c".repeat(64);
    let leader = json!({"v": 1, "machine": "m1", "instance": "i", "since": 0});
    vec![
        ("cluster", json!({"v": 1, "id": "c", "created": 0})),
        (
            "unit",
            json!({"v": 1, "content": content, "hash": "86943ac9f3754cb90f8dd38bf6da7b0cad074592",
                "desired": "launched", "changed": 0}),
        ),
        ("content", json!({"v": 1, "text": "[Service]\n", "drop_ins": {"10-a.conf": "[Service]\n"}})),
        ("machine", json!({"v": 1, "id": "m1", "version": "2.0", "boot_id": "b", "instance": "i"})),
        ("machine", json!({"v": 1, "id": "m1", "version": "2.0", "boot_id": "b", "instance": "i", "leaving": true})),
        ("operator", json!({"v": 1, "metadata": {"disk": null, "zone": "a"}})),
        (
            "schedule",
            json!({"v": 1, "generation": 3, "leaving": {"b.service": 2},
                "units": {"a.service": {"uid": 5, "content": content, "target": "launched", "restarts": 0}}}),
        ),
        ("applied", json!({"v": 1, "generation": 3, "boot_id": "b"})),
        ("applied", json!({"v": 1, "generation": 3, "boot_id": "b", "stopping": ["a.service", "b.service"]})),
        (
            "state",
            json!({"v": 1, "uid": 5, "content": content, "load": "loaded", "active": "active", "sub": "running"}),
        ),
        ("note", json!({"v": 1, "uid": 5, "kind": "waiting", "reason": "r", "since": 0})),
        ("leader", leader),
        ("brake", json!({"v": 1, "lost": {"m1": 5}, "present_before": 3, "since": 0})),
    ]
}

/// Reads a value as a record of this type and writes it again.
fn rewrite(kind: &str, value: &Value) -> Result<Value, RecordError> {
    fn through<T: Record + PartialEq + std::fmt::Debug>(value: &Value) -> Result<Value, RecordError> {
        let record = T::decode(value.to_string().as_bytes())?;
        let stored = record.encode();
        assert_eq!(T::decode(&stored).as_ref(), Ok(&record));
        Ok(serde_json::from_slice(&stored).unwrap())
    }
    match kind {
        "cluster" => through::<ClusterRecord>(value),
        "unit" => through::<UnitRecord>(value),
        "content" => through::<ContentRecord>(value),
        "machine" => through::<MachineRecord>(value),
        "operator" => through::<OperatorRecord>(value),
        "schedule" => through::<ScheduleRecord>(value),
        "applied" => through::<AppliedRecord>(value),
        "state" => through::<StateRecord>(value),
        "note" => through::<NoteRecord>(value),
        "leader" => through::<LeaderRecord>(value),
        "brake" => through::<BrakeRecord>(value),
        _ => unreachable!("{kind}"),
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

#[test]
fn what_was_there_is_written_again() {
    for (kind, value) in samples() {
        let written = rewrite(kind, &value).unwrap();
        for (field, content) in object(&value) {
            assert_eq!(written.get(field), Some(content), "{kind}: {field}");
        }
    }
}

#[test]
fn a_newer_format_is_refused() {
    for (kind, mut value) in samples() {
        for v in [FORMAT + 1, FORMAT + 7, u32::MAX] {
            value["v"] = json!(v);
            assert_eq!(rewrite(kind, &value), Err(RecordError::Newer(v)), "{kind}");
        }
    }
}

#[test]
fn a_newer_format_is_told_from_garbage_even_where_its_shape_is_unknown() {
    for (kind, _) in samples() {
        let value = json!({"v": FORMAT + 1, "everything": "is different now"});
        assert_eq!(rewrite(kind, &value), Err(RecordError::Newer(FORMAT + 1)), "{kind}");
    }
}

#[test]
fn a_record_without_a_format_is_refused() {
    for (kind, mut value) in samples() {
        value.as_object_mut().unwrap().remove("v");
        assert!(matches!(rewrite(kind, &value), Err(RecordError::Malformed(_))), "{kind}");
    }
}

#[test]
fn different_files_have_different_keys() {
    let drop_ins = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect::<BTreeMap<_, _>>()
    };
    let keys = [
        ContentKey::of("ab", &drop_ins(&[])),
        ContentKey::of("a", &drop_ins(&[("b", "")])),
        ContentKey::of("a", &drop_ins(&[("", "b")])),
        ContentKey::of("", &drop_ins(&[("a", "b")])),
        ContentKey::of("", &drop_ins(&[("a", ""), ("b", "")])),
    ];
    assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len());
}

#[test]
fn a_unit_is_given_back_by_its_generation_unless_it_is_still_being_stopped() {
    let text = r#"{"v": 1, "generation": 3, "boot_id": "b", "stopping": ["slow.service"]}"#;
    let applied = AppliedRecord::decode(text.as_bytes()).unwrap();
    let [slow, quick] = ["slow.service", "quick.service"].map(|name| UnitName::parse(name).unwrap());
    assert!(applied.gave_back(&quick, 2) && applied.gave_back(&quick, 3));
    assert!(!applied.gave_back(&quick, 4));
    assert!(!applied.gave_back(&slow, 2) && !applied.gave_back(&slow, 3));
    let done = AppliedRecord { stopping: Default::default(), ..applied };
    assert!(done.gave_back(&slow, 3));
    assert!(!String::from_utf8(done.encode().to_vec()).unwrap().contains("stopping"));
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map("[a-z]{1,4}", inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Version N rewrites a record of version N+1 without losing what it does not know.
    #[test]
    fn unknown_fields_survive(unknown in btree_map("new_[a-z]{1,8}", anything(), 0..6)) {
        for (kind, mut value) in samples() {
            value.as_object_mut().unwrap().extend(unknown.clone());
            let written = rewrite(kind, &value).unwrap();
            for (field, content) in object(&value) {
                prop_assert_eq!(written.get(field), Some(content), "{}: {}", kind, field);
            }
        }
    }

    /// Nothing that a store may hold makes reading panic.
    #[test]
    fn garbage_is_an_error(value: Vec<u8>) {
        prop_assert!(UnitRecord::decode(&value).is_err());
        prop_assert!(ScheduleRecord::decode(&value).is_err());
    }
}

/// What this version writes, field by field: a change here is a change of the format, which machines of the last version
/// must be able to read. The samples go through their records, so that every field stands there.
#[test]
fn the_format_is_the_documented_one() {
    let written: Vec<Value> = samples()
        .into_iter()
        .map(|(kind, value)| json!({"record": kind, "stored": rewrite(kind, &value).unwrap()}))
        .collect();
    insta::assert_snapshot!(serde_json::to_string_pretty(&written).unwrap());
}
