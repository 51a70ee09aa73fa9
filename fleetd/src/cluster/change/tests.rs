//! Decisions that need no store.

use std::collections::BTreeMap;

use super::*;

const TEXT: &str = "[Service]\nExecStart=/bin/true\n";

fn name(text: &str) -> UnitName {
    UnitName::parse(text).unwrap()
}

#[test]
fn texts_that_no_machine_could_run_are_refused_with_a_reason() {
    for (unit, text, words) in [
        ("a.service", "", ""),
        ("a.service", "garbage", ""),
        ("a.service", "[Service\n", ""),
        ("a.scope", TEXT, "scope"),
        ("a.service", "[Service]\nExecStart=/x\n[X-Fleet]\nGlobal=true\nMachineOf=b.service\n", "cannot be used with"),
        ("a.service", "[Service]\nExecStart=/x\n[X-Fleet]\nMachineOf=nonsense\n", "MachineOf"),
        ("a.service", "[Service]\nExecStart=/x\n[X-Fleet]\nConflicts=[\n", "Conflicts"),
    ] {
        let error = Text::check(&name(unit), text.to_owned(), BTreeMap::new()).expect_err(text).to_string();
        assert!(error.contains(words) && !error.is_empty(), "{text}: {error}");
    }
}

#[test]
fn what_cannot_be_fenced_is_refused_whether_the_text_or_a_drop_in_says_so() {
    let text = "[Service]\nExecStart=/x\n[X-Fleet]\nOnDisconnect=stop\n";
    let drop_in = |name: &str, text: &str| BTreeMap::from([(name.to_owned(), text.to_owned())]);
    for (unit, drop_ins, words) in [
        ("a.socket", BTreeMap::new(), "for services, not for a socket"),
        ("a.service", drop_in("10.conf", "[Service]\nTimeoutStopSec=infinity\n"), "sets none"),
        ("a@.service", drop_in("10.conf", "[Service]\nKillMode=none\n"), "KillMode=none"),
        ("a.service", drop_in(Fence::DROP_IN, "[Service]\nNice=1\n"), "fleet's own"),
    ] {
        let error = Text::check(&name(unit), text.to_owned(), drop_ins).expect_err(words).to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    let fine = drop_in("10.conf", "[Service]\nTimeoutStopSec=5\n");
    Text::check(&name("a@1.service"), text.to_owned(), fine).unwrap();
    let global = format!("{text}Global=true\n");
    Text::check(&name("a.service"), global, BTreeMap::new()).unwrap();
}

#[test]
fn unknown_options_of_x_fleet_are_accepted_with_a_warning() {
    let text = "[Service]\nExecStart=/x\n[X-Fleet]\nColour=red\n".to_owned();
    let text = Text::check(&name("a.service"), text, BTreeMap::new()).unwrap();
    assert_eq!(text.warnings, ["unrecognized requirement in [X-Fleet] section: \"Colour\""]);
}

#[test]
fn what_others_wrote_into_a_record_is_kept() {
    let text = Text::check(&name("a.service"), TEXT.to_owned(), BTreeMap::new()).unwrap();
    let mut value = UnitRecord {
        v: FORMAT,
        content: text.key.clone(),
        hash: text.hash,
        desired: DesiredState::Inactive,
        avoids: None,
        restarts: 3,
        changed: 1,
        changed_by: "uid=0".into(),
        extra: Extra::new(),
    };
    value.extra.insert("colour".into(), "red".into());
    let unit = Versioned { value, create_revision: 1, mod_revision: 2, lease: 0 };
    let change = Change {
        name: name("a.service"),
        text: None,
        desired: Some(DesiredState::Launched),
        replace: false,
        restart: false,
    };
    let Decision::Write { record, text, outcome } = change.decide(Some(&Existing { unit, content: None }), 9, "uid=5")
    else {
        panic!("nothing to write");
    };
    assert_eq!((outcome, text), (Outcome::Changed, false));
    assert_eq!((record.restarts, record.changed, record.changed_by.as_str()), (3, 9, "uid=5"));
    assert_eq!(record.extra["colour"], "red");
}

#[test]
fn drop_ins_and_replace_need_a_text() {
    let change = UnitChange { name: "a.service".into(), replace: true, ..UnitChange::default() };
    assert!(Change::check(change).is_err());
}
