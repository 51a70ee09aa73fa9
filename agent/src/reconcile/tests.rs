use proptest::prelude::*;

use super::*;

fn wanted(uid: i64, content: &str, target: Target, restarts: u64) -> Assignment {
    Assignment { uid, content: ContentKey(content.into()), target, restarts, extra: Default::default() }
}

fn held(uid: i64, content: &str, stage: Stage) -> Held {
    let starting = stage == Stage::Launched;
    Held { uid, content: ContentKey(content.into()), restarts: 0, stage, starting, noted: true }
}

/// All actions that follow when each of them succeeds.
fn way(wanted: Option<&Assignment>, mut held: Option<Held>) -> Vec<Action> {
    let mut actions = Vec::new();
    while let Some(action) = next(wanted, held.as_ref()) {
        held = after(action, Outcome::Done, wanted, held);
        actions.push(action);
        assert!(actions.len() < 20, "no end: {actions:?}");
    }
    actions
}

/// What it is about, what is wanted, what is held, what follows.
type Case<'a> = (&'a str, Option<&'a Assignment>, Option<Held>, &'a [Action]);

#[test]
fn each_step_in_its_order() {
    use Action::*;
    let launched = wanted(1, "a", Target::Launched, 0);
    let loaded = wanted(1, "a", Target::Loaded, 0);
    let cases: [Case<'_>; 13] = [
        ("nothing", None, None, &[]),
        ("new, to be started", Some(&launched), None, &[Write, Link, Start, Settle]),
        ("new, to be loaded", Some(&loaded), None, &[Write, Link, Settle]),
        ("as it should be", Some(&launched), Some(held(1, "a", Stage::Launched)), &[]),
        ("as loaded as it should be", Some(&loaded), Some(held(1, "a", Stage::Loaded)), &[]),
        ("loaded, to be started", Some(&launched), Some(held(1, "a", Stage::Loaded)), &[Intend, Start, Settle]),
        ("started, to be stopped", Some(&loaded), Some(held(1, "a", Stage::Launched)), &[Release, Stop, Settle]),
        ("taken away", None, Some(held(1, "a", Stage::Launched)), &[Release, Retire, Settle, Unlink, Remove]),
        ("taken away, only loaded", None, Some(held(1, "a", Stage::Loaded)), &[Retire, Settle, Unlink, Remove]),
        (
            "another unit of that name",
            Some(&launched),
            Some(held(2, "a", Stage::Launched)),
            &[Release, Retire, Settle, Unlink, Remove, Write, Link, Start, Settle],
        ),
        (
            "another text",
            Some(&launched),
            Some(held(1, "b", Stage::Launched)),
            &[Release, Retire, Settle, Unlink, Remove, Write, Link, Start, Settle],
        ),
        ("given back after all", Some(&launched), Some(held(1, "a", Stage::Stopped)), &[Intend, Start, Settle]),
        ("given back, only loaded", Some(&loaded), Some(held(1, "a", Stage::Stopped)), &[Stop, Settle]),
    ];
    for (case, wanted, held, expected) in cases {
        assert_eq!(way(wanted, held), expected, "{case}");
    }
}

#[test]
fn a_restart_happens_once_for_any_number_asked_for() {
    let wanted = wanted(1, "a", Target::Launched, 3);
    assert_eq!(way(Some(&wanted), Some(held(1, "a", Stage::Launched))), [Action::Restart, Action::Settle]);
    // A unit that is not started yet is started once, not restarted after it.
    let expected = [Action::Intend, Action::Start, Action::Settle];
    assert_eq!(way(Some(&wanted), Some(held(1, "a", Stage::Loaded))), expected);
}

#[test]
fn what_a_crash_may_have_left_running_is_stopped_when_it_is_not_to_run() {
    // It was started, and fleetd died before it could note so.
    let crashed = Held { starting: true, ..held(1, "a", Stage::Loaded) };
    let loaded = wanted(1, "a", Target::Loaded, 0);
    assert_eq!(way(Some(&loaded), Some(crashed)), [Action::Stop, Action::Settle]);
}

#[test]
fn what_was_about_to_be_stopped_is_started_again_when_it_is_to_run_after_all() {
    // fleetd died while it stopped the unit, or after it.
    let released = after(Action::Release, Outcome::Done, None, Some(held(1, "a", Stage::Launched)));
    let launched = wanted(1, "a", Target::Launched, 0);
    assert_eq!(way(Some(&launched), released), [Action::Start, Action::Settle]);
}

#[test]
fn what_is_not_noted_yet_is_noted_before_the_next_restart() {
    let wanted = wanted(1, "a", Target::Launched, 2);
    let fresh = Held { noted: false, restarts: 1, ..held(1, "a", Stage::Launched) };
    assert_eq!(way(Some(&wanted), Some(fresh)), [Action::Settle, Action::Restart, Action::Settle]);
}

#[test]
fn reloads_only_when_systemd_holds_something_older() {
    let wanted = wanted(1, "a", Target::Launched, 0);
    let written = Held { starting: true, ..held(1, "a", Stage::Written) };
    let stale = after(Action::Link, Outcome::MustReload, Some(&wanted), Some(written));
    assert_eq!(way(Some(&wanted), stale), [Action::Reload, Action::Start, Action::Settle]);

    let inactive = Some(held(1, "a", Stage::Unlinked(Residue::Inactive)));
    assert_eq!(way(None, inactive), [Action::Remove, Action::Reload]);
    // Something started it between its stop and its unlinking.
    let active = Some(held(1, "a", Stage::Unlinked(Residue::Active)));
    assert_eq!(way(None, active), [Action::Retire, Action::Settle, Action::Unlink, Action::Remove]);
}

fn stages() -> impl Strategy<Value = Stage> {
    prop_oneof![
        Just(Stage::Written),
        Just(Stage::Stale),
        Just(Stage::Loaded),
        Just(Stage::Launched),
        Just(Stage::Stopped),
        Just(Stage::Unlinked(Residue::Gone)),
        Just(Stage::Unlinked(Residue::Inactive)),
        Just(Stage::Unlinked(Residue::Active)),
        Just(Stage::Removed),
    ]
}

fn some_held() -> impl Strategy<Value = Option<Held>> {
    let parts = (1..3_i64, "[ab]", 0..3_u64, stages(), any::<bool>(), any::<bool>());
    let held = parts.prop_map(|(uid, content, restarts, stage, starting, noted)| {
        let starting = starting || stage == Stage::Launched;
        Held { uid, content: ContentKey(content.into()), restarts, stage, starting, noted }
    });
    proptest::option::of(held)
}

fn some_wanted() -> impl Strategy<Value = Option<Assignment>> {
    let target = prop_oneof![Just(Target::Loaded), Just(Target::Launched)];
    let wanted = (1..3_i64, "[ab]", target, 0..3_u64).prop_map(|(uid, content, target, restarts)| Assignment {
        uid,
        content: ContentKey(content.into()),
        target,
        restarts,
        extra: Default::default(),
    });
    proptest::option::of(wanted)
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Done),
        Just(Outcome::MustReload),
        Just(Outcome::Left(Residue::Gone)),
        Just(Outcome::Left(Residue::Inactive)),
    ]
}

proptest! {
    /// From any state, whatever systemd answers on the way, what is wanted is reached within few steps, nothing starts
    /// that is not wanted launched, and nothing is stopped that is wanted as it is.
    #[test]
    fn every_state_leads_to_what_is_wanted(
        wanted in some_wanted(),
        mut held in some_held(),
        answers in proptest::collection::vec(outcomes(), 20),
    ) {
        let right = |held: &Option<Held>| matches!((held, &wanted), (Some(h), Some(w)) if h.is(w));
        let mut steps = 0;
        while let Some(action) = next(wanted.as_ref(), held.as_ref()) {
            if matches!(action, Action::Start | Action::Restart) {
                prop_assert!(right(&held), "{action:?} of {held:?}");
                prop_assert_eq!(wanted.as_ref().map(|w| w.target), Some(Target::Launched));
            }
            if action == Action::Retire {
                prop_assert!(!right(&held), "{action:?} of {held:?}, which is wanted");
            }
            if action == Action::Stop {
                prop_assert_eq!(wanted.as_ref().map(|w| w.target), Some(Target::Loaded));
            }
            held = after(action, answers[steps], wanted.as_ref(), held);
            steps += 1;
            prop_assert!(steps < 15);
        }
        match &wanted {
            None => prop_assert_eq!(held, None),
            Some(w) => {
                let held = held.unwrap();
                prop_assert!(held.is(w) && held.noted);
                prop_assert_eq!(held.reached(), Some(w.target));
                prop_assert!(w.target == Target::Loaded || held.restarts >= w.restarts);
            }
        }
    }

    /// The schedule may change its mind after each step.
    #[test]
    fn a_schedule_that_changes_half_way_needs_no_special_case(
        changes in proptest::collection::vec(some_wanted(), 1..8),
        mut held in some_held(),
    ) {
        for wanted in &changes {
            if let Some(action) = next(wanted.as_ref(), held.as_ref()) {
                held = after(action, Outcome::Done, wanted.as_ref(), held);
            }
        }
        let last = changes.last().and_then(Option::as_ref);
        way(last, held);
    }
}
