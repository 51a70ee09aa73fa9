//! What people are told of units, by whichever machine leads.

use std::time::Duration;

use fleet_engine::Outlook;
use fleet_registry::record::NoteKind;
use fleet_units::DesiredState;

use crate::rig::{Rig, text, unit};

/// After a change of leader nobody would know any more why a unit stopped, and another fleetd never did.
#[test]
fn who_displaced_a_unit_is_known_to_the_next_leader() {
    let mut rig = Rig::empty();
    rig.add("m1", &[("role", "db")], false);
    rig.add("m2", &[], false);
    rig.settle();
    let launched = DesiredState::Launched;
    let with = |options: &str| text(&format!("{options}; MachineMetadata=role=db"));
    rig.submit(&[("low.service", &with("Conflicts=high.service"), launched)]);
    rig.settle();
    rig.submit(&[("high.service", &with("Priority=5; Preempt=yes"), launched)]);
    rig.settle();
    assert_eq!((rig.listed("high.service"), rig.listed("low.service")), (vec!["m1".to_owned()], Vec::new()));
    let words =
        "displaced by high.service, no machine: 1 of 2 lacks role=db, 1 of 2 holds high.service, which conflicts";
    let note = rig.note("low.service").unwrap();
    assert_eq!((note.kind, note.reason.as_str()), (NoteKind::Unplaceable, words));
    assert_eq!(note.displaced_by, Some(unit("high.service")));
    let leader = rig.leader().unwrap();
    rig.resign(&leader);
    rig.run(Duration::from_secs(30));
    assert_ne!(rig.leader().as_deref(), Some(leader.as_str()));
    // The next leader says something new of it, and that as well.
    rig.submit(&[("low.service", &with("Conflicts=high.service; MaxMoves=2"), launched)]);
    rig.settle();
    assert_eq!(rig.note("low.service").unwrap().reason, words);
    let mut outlook = Outlook::load(&rig.view());
    let told = outlook.explain(&unit("low.service")).unwrap();
    assert_eq!(told.reason(), words);
    // Once it runs again, that is over.
    rig.desire("high.service", DesiredState::Inactive);
    rig.settle();
    assert_eq!(rig.listed("low.service"), ["m1"]);
    assert_eq!(rig.note("low.service").and_then(|note| note.displaced_by), None);
}

/// People would wait for a unit to be driven away, and nobody would say why it is not.
#[test]
fn units_that_replace_each_other_say_so() {
    let mut rig = Rig::new(&["m1"]);
    let launched = DesiredState::Launched;
    rig.submit(&[("a.service", &text("Replaces=b.service"), launched)]);
    rig.settle();
    assert_eq!(rig.note("a.service"), None);
    rig.submit(&[("b.service", &text("Replaces=a.service"), launched)]);
    rig.settle();
    let words = "Replaces has no effect among units that replace each other: a.service → b.service → a.service";
    for name in ["a.service", "b.service"] {
        let reason = rig.note(name).unwrap().reason;
        assert!(reason.ends_with(words), "{reason}");
    }
    rig.submit(&[("b.service", &text(""), launched)]);
    rig.settle();
    assert_eq!(rig.note("a.service"), None, "there is nothing to say any more");
}
