use fleet_units::{DesiredState, UnitFile};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::record::FORMAT;

fn unit(name: &str) -> UnitName {
    name.parse().unwrap()
}

fn machine(id: &str) -> MachineId {
    id.parse().unwrap()
}

fn view() -> View {
    View::new(Layout::default(), Contents::Keep)
}

fn put(key: &Key, value: impl Into<bytes::Bytes>, revision: i64) -> KvChange {
    let key = Layout::default().encode(key);
    let new = KeyValue {
        key: key.clone(),
        value: value.into(),
        create_revision: 2,
        mod_revision: revision,
        version: 1,
        lease: 0,
    };
    KvChange { key, new: Some(new) }
}

fn delete(key: &Key) -> KvChange {
    KvChange { key: Layout::default().encode(key), new: None }
}

fn unit_record(restarts: u64) -> UnitRecord {
    let content = content("[Service]\nExecStart=/bin/true\n");
    UnitRecord {
        v: FORMAT,
        hash: UnitFile::parse(&content.text).unwrap().hash(),
        content: content.key(),
        desired: DesiredState::Launched,
        avoids: None,
        restarts,
        changed: 0,
        changed_by: String::new(),
        extra: BTreeMap::new(),
    }
}

fn content(text: &str) -> ContentRecord {
    ContentRecord { v: FORMAT, text: text.to_owned(), drop_ins: BTreeMap::new(), extra: BTreeMap::new() }
}

#[test]
fn a_unit_comes_changes_and_goes() {
    let mut view = view();
    let name = unit("a.service");
    let key = Key::Unit(name.clone());
    let first = put(&key, unit_record(0).encode(), 5);
    assert_eq!(view.apply(&first), Some(Change::Unit { name: name.clone(), old: None }));
    let old = Versioned::clone(&view.units[&name]);
    assert_eq!((old.create_revision, old.mod_revision, old.value.restarts), (2, 5, 0));
    let second = put(&key, unit_record(1).encode(), 6);
    assert_eq!(view.apply(&second), Some(Change::Unit { name: name.clone(), old: Some(old) }));
    let old = Versioned::clone(&view.units[&name]);
    assert_eq!(old.value.restarts, 1);
    assert_eq!(view.apply(&delete(&key)), Some(Change::Unit { name, old: Some(old) }));
    assert_eq!(view.apply(&delete(&key)), None);
    assert_eq!(view, super::tests::view());
}

#[test]
fn an_unreadable_record_is_named_and_leaves_what_was_read_before() {
    let key = Key::Unit(unit("a.service"));
    let newer = json!({"v": FORMAT + 1, "content": "c", "hash": "86943ac9f3754cb90f8dd38bf6da7b0cad074592",
        "desired": "launched", "changed": 0});
    let rows = [
        (b"garbage".to_vec(), "cannot be read"),
        (b"".to_vec(), "cannot be read"),
        (b"\xff\xfe".to_vec(), "cannot be read"),
        (b"{\"v\":1}".to_vec(), "missing field"),
        (newer.to_string().into_bytes(), "upgrade this machine"),
    ];
    for (value, why) in rows {
        let mut view = view();
        view.apply(&put(&key, unit_record(0).encode(), 5));
        let before = view.clone();
        assert_eq!(view.apply(&put(&key, value.clone(), 6)), Some(Change::Unreadable { key: key.clone() }));
        let found = view.unreadable[&key].clone();
        assert!(found.why.contains(why), "{found:?}");
        assert_eq!((found.create_revision, found.mod_revision), (2, 6));
        assert_eq!(view.name_of(&key), "/_coreos.com/fleet/v3/units/a.service");
        assert_eq!(view.units, before.units);
        // A good one mends it.
        assert!(matches!(view.apply(&put(&key, unit_record(0).encode(), 5)), Some(Change::Unit { .. })));
        assert_eq!(view, before);
        // So does its deletion, with what was kept.
        view.apply(&put(&key, value.clone(), 6));
        assert!(matches!(view.apply(&delete(&key)), Some(Change::Unit { old: Some(_), .. })));
        assert_eq!(view, super::tests::view());
        // One that never could be read.
        view.apply(&put(&key, value, 6));
        assert_eq!(view.apply(&delete(&key)), Some(Change::Unreadable { key: key.clone() }));
        assert_eq!(view, super::tests::view());
    }
}

#[test]
fn a_key_of_another_version_is_none_of_its_business() {
    let mut view = view();
    for key in ["/_coreos.com/fleet/v3/dreams/a", "/_coreos.com/fleet/job/a.service", "/elsewhere"] {
        let kv = KeyValue { key: key.into(), value: "x".into(), ..KeyValue::default() };
        assert_eq!(view.apply(&KvChange { key: key.into(), new: Some(kv) }), None);
    }
    assert_eq!(view, super::tests::view());
}

#[test]
fn contents_are_kept_or_handed_over() {
    let record = content("[Service]\n");
    let key = record.key();
    for (keep, kept) in [(Contents::Keep, true), (Contents::Digest, false)] {
        let mut view = View::new(Layout::default(), keep);
        let change = view.apply(&put(&Key::Content(key.clone()), record.encode(), 5));
        assert_eq!(change, Some(Change::Content { key: key.clone(), record: Some(Arc::new(record.clone())) }));
        assert_eq!(view.contents[&key].value.is_some(), kept);
        assert_eq!(view.contents[&key].mod_revision, 5);
        let change = view.apply(&delete(&Key::Content(key.clone())));
        assert_eq!(change, Some(Change::Content { key: key.clone(), record: None }));
        assert!(view.contents.is_empty());
    }
}

#[test]
fn a_record_that_speaks_of_another_key_is_unreadable() {
    let mut view = view();
    let other = put(&Key::Content(content("this").key()), content("that").encode(), 5);
    assert!(matches!(view.apply(&other), Some(Change::Unreadable { .. })));
    let record = json!({"v": 1, "id": "m2", "version": "2", "boot_id": "b", "instance": "i"});
    let other = put(&Key::Machine(machine("m1")), record.to_string(), 5);
    assert!(matches!(view.apply(&other), Some(Change::Unreadable { .. })));
    assert!(view.contents.is_empty() && view.machines.is_empty());
    assert_eq!(view.unreadable.len(), 2);
}

#[test]
fn states_are_found_by_unit_and_leave_nothing_empty() {
    let mut view = view();
    let (m1, m2, name) = (machine("m1"), machine("m2"), unit("a.service"));
    let state = json!({"v": 1, "uid": 2, "content": "c", "load": "loaded", "active": "active", "sub": "running"});
    for id in [&m1, &m2] {
        view.apply(&put(&Key::State(id.clone(), name.clone()), state.to_string(), 5));
    }
    assert_eq!(view.states[&name].len(), 2);
    assert!(view.state(&m1, &name).is_some());
    view.apply(&delete(&Key::State(m1.clone(), name.clone())));
    assert_eq!((view.state(&m1, &name), view.states[&name].len()), (None, 1));
    view.apply(&delete(&Key::State(m2, name.clone())));
    assert!(view.states.is_empty());
}

/// A key of each family, and some values for it, readable ones first.
fn samples() -> Vec<(Key, Vec<String>)> {
    let (m, u) = (machine("m1"), unit("a.service"));
    let text = content("[Service]\n");
    let readable = [
        (Key::Cluster, json!({"v": 1, "id": "c", "created": 0})),
        (Key::Unit(u.clone()), serde_json::to_value(unit_record(0)).unwrap()),
        (Key::Unit(unit("b@1.service")), serde_json::to_value(unit_record(0)).unwrap()),
        (Key::Content(text.key()), serde_json::to_value(&text).unwrap()),
        (Key::Machine(m.clone()), json!({"v": 1, "id": "m1", "version": "2", "boot_id": "b", "instance": "i"})),
        (Key::Operator(m.clone()), json!({"v": 1, "cordoned": true})),
        (Key::Schedule(m.clone()), json!({"v": 1, "generation": 3, "units": {}})),
        (Key::Applied(m.clone()), json!({"v": 1, "generation": 3, "boot_id": "b"})),
        (
            Key::State(m.clone(), u.clone()),
            json!({"v": 1, "uid": 2, "content": "c", "load": "loaded", "active": "active", "sub": "running"}),
        ),
        (Key::Note(u), json!({"v": 1, "uid": 2, "kind": "waiting", "reason": "r", "since": 0})),
        (Key::Leader, json!({"v": 1, "machine": "m1", "instance": "i", "since": 0})),
        (Key::Standby(1), json!({"v": 1, "machine": "m1", "instance": "i", "since": 0})),
        (Key::Brake, json!({"v": 1, "lost": {"m1": 5}, "present_before": 3, "since": 0})),
    ];
    let variants = |value: serde_json::Value| {
        let mut changed = value.clone();
        changed["from_the_future"] = json!(1);
        let mut newer = value.clone();
        newer["v"] = json!(FORMAT + 1);
        vec![value.to_string(), changed.to_string(), newer.to_string(), "{".to_owned()]
    };
    readable.into_iter().map(|(key, value)| (key, variants(value))).collect()
}

/// Which sample, which of its values or none for its deletion.
fn story() -> impl Strategy<Value = Vec<(usize, Option<usize>)>> {
    vec((0..samples().len(), proptest::option::weighted(0.7, 0_usize..4)), 0..120)
}

/// What a key last held as far as it could be read, and whether it now holds something that can't.
#[derive(Default, Clone)]
struct Last {
    good: Option<KvChange>,
    unreadable: Option<KvChange>,
}

proptest! {
    /// Any sequence of changes leads to the same view as loading what each key held last.
    #[test]
    fn is_what_the_keys_hold(story in story(), digest: bool) {
        let samples = samples();
        let new = || View::new(Layout::default(), if digest { Contents::Digest } else { Contents::Keep });
        let mut view = new();
        let mut last = vec![Last::default(); samples.len()];
        for (revision, (sample, value)) in (3..).zip(story) {
            let (key, values) = &samples[sample];
            let change = match value {
                Some(value) => put(key, values[value].clone(), revision),
                None => delete(key),
            };
            let before = view.clone();
            let said = view.apply(&change);
            // It is silent only where nothing changed.
            prop_assert_eq!(said.is_none(), view == before && change.new.is_none());
            match value {
                Some(0 | 1) => last[sample] = Last { good: Some(change), unreadable: None },
                Some(_) => last[sample].unreadable = Some(change),
                None => last[sample] = Last::default(),
            }
        }
        let mut loaded = new();
        for change in last.iter().flat_map(|last| [&last.good, &last.unreadable]).flatten() {
            loaded.apply(change);
        }
        prop_assert_eq!(view, loaded);
    }
}
