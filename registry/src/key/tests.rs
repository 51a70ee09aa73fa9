use proptest::prelude::*;

use super::*;

fn machine() -> impl Strategy<Value = MachineId> {
    "[a-zA-Z0-9_-]{1,40}".prop_map(|id| id.parse().unwrap())
}

fn unit() -> impl Strategy<Value = UnitName> {
    let stem = r"[a-zA-Z0-9:_.\\-][a-zA-Z0-9:_.\\@-]{0,60}";
    (stem, prop_oneof!["service", "socket", "timer", "target", "path"])
        .prop_map(|(stem, suffix)| format!("{stem}.{suffix}").parse().unwrap())
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        Just(Key::Cluster),
        unit().prop_map(Key::Unit),
        "[0-9a-f]{64}".prop_map(|digest| Key::Content(ContentKey(digest.into()))),
        machine().prop_map(Key::Machine),
        machine().prop_map(Key::Operator),
        machine().prop_map(Key::Schedule),
        machine().prop_map(Key::Applied),
        (machine(), unit()).prop_map(|(m, u)| Key::State(m, u)),
        unit().prop_map(Key::Note),
        Just(Key::Leader),
        any::<u32>().prop_map(Key::Standby),
        Just(Key::Brake),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(key in key(), prefix in "(/[a-z_.]{1,12}){0,3}/?") {
        let layout = Layout::new(&prefix);
        let stored = layout.encode(&key);
        prop_assert!(stored.starts_with(layout.root().as_bytes()));
        prop_assert_eq!(layout.decode(&stored), Some(key));
    }

    /// What is decoded is stored under that very key: no two keys of the store mean one record.
    #[test]
    fn what_is_decoded_is_encoded(
        tail in prop_oneof![
            "(units|contents|machines|operator|schedule|applied|states|notes|engine)/.{0,20}",
            "engine/standby/[+0-9]{0,12}",
            "states/[a-z0-9/]{0,8}/?[a-z@.]{0,8}.service",
        ],
    ) {
        let layout = Layout::default();
        let stored = format!("{}{tail}", layout.root());
        if let Some(key) = layout.decode(stored.as_bytes()) {
            prop_assert_eq!(layout.encode(&key), stored);
        }
    }

    #[test]
    fn any_bytes_are_a_key_or_none(key: Vec<u8>) {
        prop_assert_eq!(Layout::default().decode(&key), None);
    }
}

#[test]
fn the_layout_is_the_documented_one() {
    let layout = Layout::default();
    let (m, u) = (MachineId::parse("m1").unwrap(), UnitName::parse("a.service").unwrap());
    let rows = [
        (Key::Cluster, "cluster"),
        (Key::Unit(u.clone()), "units/a.service"),
        (Key::Content(ContentKey("00ff".into())), "contents/00ff"),
        (Key::Machine(m.clone()), "machines/m1"),
        (Key::Operator(m.clone()), "operator/m1"),
        (Key::Schedule(m.clone()), "schedule/m1"),
        (Key::Applied(m.clone()), "applied/m1"),
        (Key::State(m.clone(), u.clone()), "states/m1/a.service"),
        (Key::Note(u), "notes/a.service"),
        (Key::Leader, "engine/leader"),
        (Key::Standby(1), "engine/standby/1"),
        (Key::Brake, "engine/brake"),
    ];
    for (key, tail) in rows {
        assert_eq!(layout.encode(&key), format!("/_coreos.com/fleet/v3/{tail}"));
    }
    assert_eq!(layout.states_of(&m), "/_coreos.com/fleet/v3/states/m1/");
}

#[test]
fn a_prefix_needs_no_slash_at_its_end() {
    assert_eq!(Layout::new("/a/b"), Layout::new("/a/b/"));
    assert_eq!(Layout::new("").root(), "/v3/");
}
