//! What the store may hold.

use fleet_registry::mirror::KvChange;
use fleet_registry::record::{
    AppliedRecord, BrakeRecord, ClusterRecord, ContentRecord, LeaderRecord, MachineRecord, NoteRecord, OperatorRecord,
    Record, ScheduleRecord, StateRecord, UnitRecord,
};
use fleet_registry::store::KeyValue;
use fleet_registry::{Change, Contents, Layout, View};
use serde_json::Value;

/// A value that can be read as a record keeps everything when it is written again; and a view takes any value under any
/// key, names what it cannot read, and forgets it when it is gone.
pub(crate) fn records(data: &[u8]) {
    rewritten::<ClusterRecord>(data);
    rewritten::<UnitRecord>(data);
    rewritten::<ContentRecord>(data);
    rewritten::<MachineRecord>(data);
    rewritten::<OperatorRecord>(data);
    rewritten::<ScheduleRecord>(data);
    rewritten::<AppliedRecord>(data);
    rewritten::<StateRecord>(data);
    rewritten::<NoteRecord>(data);
    rewritten::<LeaderRecord>(data);
    rewritten::<BrakeRecord>(data);
    let layout = Layout::default();
    for tail in [
        "cluster",
        "units/a.service",
        "contents/c",
        "machines/m1",
        "operator/m1",
        "schedule/m1",
        "applied/m1",
        "states/m1/a.service",
        "notes/a.service",
        "engine/leader",
        "engine/standby/0",
        "engine/brake",
    ] {
        let mut view = View::new(layout.clone(), Contents::Keep);
        let key = format!("{}{tail}", layout.root());
        let (name, value) = (bytes(key.as_bytes()), bytes(data));
        let new = KeyValue { key: name.clone(), value, create_revision: 3, mod_revision: 4, version: 2, lease: 0 };
        let change = view.apply(&KvChange { key: name.clone(), new: Some(new) }).expect("the key is known");
        let unreadable = matches!(change, Change::Unreadable { .. });
        assert_eq!(view.unreadable.len(), usize::from(unreadable), "{tail}");
        assert!(view.apply(&KvChange { key: name, new: None }).is_some());
        assert_eq!(view, View::new(layout.clone(), Contents::Keep));
    }
}

fn bytes(data: &[u8]) -> <KeyValue as Parts>::Bytes {
    data.to_vec().into()
}

/// The type of keys and values, without naming the crate that it comes from.
trait Parts {
    type Bytes;
}

impl Parts for KeyValue {
    type Bytes = prost::bytes::Bytes;
}

/// Read and written, a record has every field that it had, nested ones too.
fn rewritten<R: Record + PartialEq + std::fmt::Debug>(data: &[u8]) {
    let Ok(record) = R::decode(data) else { return };
    let stored = record.encode();
    assert_eq!(R::decode(&stored).as_ref(), Ok(&record));
    let before: Value = serde_json::from_slice(data).expect("it was read");
    let after: Value = serde_json::from_slice(&stored).expect("it was written");
    if before.is_object() {
        assert!(keeps(&before, &after), "{before}\n{after}");
    }
}

/// Whether all fields are still there. Values may be written another way (a set without its doubles), and what says
/// nothing (`null`, `false`, `""`, an empty collection) may be left out.
fn keeps(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before.iter().all(|(field, value)| match after.get(field) {
            Some(kept) => keeps(value, kept),
            None => says_nothing(value),
        }),
        (Value::Array(_), Value::Array(_)) => true,
        _ => true,
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::String(value) => value.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(_) => false,
    }
}

/// A key that is read is written the same, and what stands outside the layout is no key.
pub(crate) fn keys(data: &[u8]) {
    let layout = Layout::default();
    let inside = [layout.root().as_bytes(), data].concat();
    for stored in [data, &inside] {
        if let Some(key) = layout.decode(stored) {
            assert!(stored.starts_with(layout.root().as_bytes()));
            assert_eq!(layout.encode(&key), stored);
            assert_eq!(layout.decode(&layout.encode(&key)), Some(key));
        }
    }
}
