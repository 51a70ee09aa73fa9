//! What is said of a unit, for every state that it can be seen in, and what a wait makes of a watch.

use fleet_api::v2::{NoteKind, NoteView, Reached, StateView};
use fleet_units::{DesiredState, UnitHash};

use super::*;

const SINCE: u64 = 1_000;

fn machine(id: &str) -> MachineRef {
    MachineRef { id: id.to_owned(), address: "192.0.2.2".to_owned() }
}

/// A unit that is wanted like this, on machine m1.
fn unit(desired: DesiredState) -> UnitView {
    UnitView {
        name: "a.service".into(),
        uid: 7,
        hash: Some(UnitHash::of("new")),
        desired_state: Some(desired),
        current_state: None,
        global: false,
        description: String::new(),
        machine: Some(machine("m1")),
        states: Vec::new(),
        note: None,
        scheduled_to: 0,
        restarts: 0,
    }
}

/// What m1 says of it: `active/sub/result`.
fn state(reached: Reached, words: &str) -> StateView {
    let mut words = words.split('/').map(str::to_owned);
    StateView {
        machine: machine("m1"),
        uid: 7,
        load: "loaded".into(),
        active: words.next().unwrap_or_default(),
        sub: words.next().unwrap_or_default(),
        result: words.next().unwrap_or_default(),
        since: SINCE,
        reached: Some(reached),
        hash: Some(UnitHash::of("new")),
        ..StateView::default()
    }
}

fn launched(words: &str) -> UnitView {
    UnitView { states: vec![state(Reached::Launched, words)], ..unit(DesiredState::Launched) }
}

fn loaded(words: &str) -> UnitView {
    UnitView { states: vec![state(Reached::Loaded, words)], ..unit(DesiredState::Loaded) }
}

fn target(before: Option<UnitView>) -> Target {
    Target { name: "a.service".into(), uid: 7, before }
}

/// A verdict in a line.
fn words(verdict: Verdict) -> String {
    match verdict {
        Verdict::Pending(at) => format!("pending: {at}"),
        Verdict::Reached { machine, remark } => {
            let machine = machine.map_or_else(String::new, |machine| format!(" on {}", machine.id));
            format!("reached{machine}{}", remark.map_or_else(String::new, |remark| format!("; {remark}")))
        }
        Verdict::Failed { reason, machine } => {
            format!("failed{}: {reason}", machine.map_or_else(String::new, |machine| format!(" on {}", machine.id)))
        }
    }
}

fn judged(goal: Goal, before: Option<UnitView>, view: Option<&UnitView>) -> String {
    words(judge(goal, &target(before), view, false))
}

#[test]
fn a_start_ends_as_systemd_says() {
    let cases = [
        ("active/running/success", "reached on m1"),
        ("active/exited/success", "reached on m1"),
        ("reloading/reload/success", "reached on m1"),
        ("inactive/dead/success", "reached on m1"),
        ("inactive/dead/", "reached on m1"),
        ("inactive/dead/exec-condition", "reached on m1"),
        ("inactive/dead/timeout", "failed on m1: it failed with result \"timeout\""),
        ("failed/failed/exit-code", "failed on m1: it failed with result \"exit-code\""),
        ("activating/start/success", "pending: activating on m1/192.0.2.2 (start)"),
        ("deactivating/stop-sigterm/success", "pending: deactivating on m1/192.0.2.2 (stop-sigterm)"),
        (
            "activating/auto-restart/exit-code",
            "pending: activating on m1/192.0.2.2: systemd restarts it after result \"exit-code\"",
        ),
    ];
    for (state, expected) in cases {
        assert_eq!(judged(Goal::Launched, None, Some(&launched(state))), expected, "{state}");
    }
}

#[test]
fn a_start_waits_for_what_comes_before() {
    let note =
        |kind| Some(NoteView { kind, reason: "no machine has disk=ssd".into(), since: 0, moves: 0, not_before: None });
    let nowhere = UnitView { machine: None, ..unit(DesiredState::Launched) };
    let mut other_text = launched("active/running/success");
    other_text.states[0].hash = Some(UnitHash::of("old"));
    let mut other_uid = launched("active/running/success");
    other_uid.states[0].uid = 6;
    let mut other_machine = launched("active/running/success");
    other_machine.states[0].machine = machine("m2");
    let mut lost = launched("active/running/success");
    lost.states[0].stale = true;
    let restarting = UnitView { restarts: 1, ..launched("active/running/success") };
    let mut not_started = launched("inactive/dead/success");
    not_started.states[0].reached = Some(Reached::Loaded);
    let mut never_ran = launched("inactive/dead/success");
    never_ran.states[0].since = 0;
    let cases = [
        (nowhere.clone(), "pending: unscheduled"),
        (
            UnitView { note: note(NoteKind::Unplaceable), ..nowhere.clone() },
            "pending: unscheduled: no machine has disk=ssd",
        ),
        (
            UnitView { note: note(NoteKind::Waiting), ..nowhere.clone() },
            "pending: unscheduled: no machine has disk=ssd",
        ),
        (UnitView { note: note(NoteKind::Invalid), ..nowhere }, "failed: it cannot be placed: no machine has disk=ssd"),
        (unit(DesiredState::Launched), "pending: loading on m1/192.0.2.2"),
        (other_text, "pending: m1/192.0.2.2 still has the former text"),
        (other_uid, "pending: loading on m1/192.0.2.2"),
        (other_machine, "pending: loading on m1/192.0.2.2"),
        (lost, "pending: m1/192.0.2.2 is lost, and it has no other machine yet"),
        (restarting, "pending: restarting on m1/192.0.2.2"),
        (
            UnitView { note: note(NoteKind::Waiting), ..not_started.clone() },
            "pending: loaded on m1/192.0.2.2: no machine has disk=ssd",
        ),
        (not_started, "pending: starting on m1/192.0.2.2"),
        (never_ran, "pending: starting on m1/192.0.2.2"),
    ];
    for (view, expected) in cases {
        assert_eq!(judged(Goal::Launched, None, Some(&view)), expected, "{view:?}");
    }
}

#[test]
fn what_was_there_before_is_not_the_result() {
    let mut refused = loaded("inactive/dead/success");
    refused.states[0].error = Some("bad setting".into());
    let mut refused_again = refused.clone();
    refused_again.desired_state = Some(DesiredState::Launched);
    let cases = [
        (loaded("failed/failed/exit-code"), launched("failed/failed/exit-code"), "it failed with result \"exit-code\""),
        (refused, refused_again, "bad setting"),
    ];
    for (before, view, why) in cases {
        let target = target(Some(before));
        assert_eq!(words(judge(Goal::Launched, &target, Some(&view), false)), "pending: starting on m1/192.0.2.2");
        assert_eq!(words(judge(Goal::Launched, &target, Some(&view), true)), format!("failed on m1: {why}"));
        let mut later = view.clone();
        later.states[0].since = SINCE + 1;
        assert_eq!(words(judge(Goal::Launched, &target, Some(&later), false)), format!("failed on m1: {why}"));
    }
    // A oneshot that ran before, and runs again.
    let before = Some(loaded("inactive/dead/success"));
    let mut view = launched("inactive/dead/success");
    assert_eq!(judged(Goal::Launched, before.clone(), Some(&view)), "pending: starting on m1/192.0.2.2");
    view.states[0].since = SINCE + 1;
    assert_eq!(judged(Goal::Launched, before, Some(&view)), "reached on m1");
}

#[test]
fn what_others_ask_for_ends_the_wait() {
    let destroyed = UnitView { desired_state: None, ..launched("active/running/success") };
    let again = UnitView { uid: 8, ..launched("active/running/success") };
    let stopped = loaded("active/running/success");
    let cases = [
        (Goal::Launched, Some(&destroyed), "failed: it was destroyed meanwhile"),
        (Goal::Launched, None, "failed: it was destroyed meanwhile"),
        (Goal::Launched, Some(&again), "failed: it was destroyed and submitted again meanwhile"),
        (Goal::Launched, Some(&stopped), "failed: it was asked to be loaded meanwhile"),
        (Goal::Stopped, None, "reached"),
        (Goal::Unloaded, Some(&stopped), "failed: it was asked to be loaded meanwhile"),
        (Goal::Gone, Some(&again), "reached"),
        (Goal::Gone, None, "reached"),
    ];
    for (goal, view, expected) in cases {
        assert_eq!(judged(goal, None, view), expected, "{goal:?} {view:?}");
    }
    let started = launched("active/running/success");
    assert_eq!(judged(Goal::Stopped, None, Some(&started)), "failed: it was asked to be launched meanwhile");
    assert_eq!(judged(Goal::Loaded, None, Some(&started)), "reached on m1");
}

#[test]
fn loading_ends_once_systemd_has_it() {
    let mut fresh = loaded("inactive/dead/success");
    fresh.states[0].reached = None;
    let mut refused = loaded("inactive/dead/success");
    refused.states[0].load = "bad-setting".into();
    let mut unwritable = loaded("inactive/dead/success");
    unwritable.states[0].error = Some("no space left on device".into());
    let cases = [
        (loaded("inactive/dead/success"), "reached on m1"),
        (fresh, "pending: loading on m1/192.0.2.2"),
        (refused, "failed on m1: systemd could not load it (bad-setting)"),
        (unwritable, "failed on m1: no space left on device"),
    ];
    for (view, expected) in cases {
        assert_eq!(judged(Goal::Loaded, None, Some(&view)), expected);
    }
}

#[test]
fn a_stop_ends_once_nothing_runs() {
    let mut stopping = loaded("deactivating/stop-sigterm/success");
    stopping.states[0].reached = Some(Reached::Launched);
    let mut elsewhere = loaded("inactive/dead/success");
    elsewhere.states.push(StateView { machine: machine("m2"), ..state(Reached::Launched, "active/running/success") });
    let mut stuck = loaded("active/running/success");
    stuck.states[0].error = Some("stop job timed out".into());
    let nowhere = UnitView { machine: None, ..unit(DesiredState::Loaded) };
    let cases = [
        (loaded("inactive/dead/success"), "reached on m1"),
        (loaded("failed/failed/signal"), "reached on m1"),
        (loaded("active/running/success"), "pending: stopping on m1/192.0.2.2"),
        (stopping, "pending: stopping on m1/192.0.2.2 (stop-sigterm) since 00:00:01 UTC"),
        (elsewhere, "pending: stopping on m2/192.0.2.2"),
        (stuck, "failed on m1: stop job timed out"),
        (nowhere, "reached"),
        (unit(DesiredState::Loaded), "pending: loading on m1/192.0.2.2"),
    ];
    for (view, expected) in cases {
        assert_eq!(judged(Goal::Stopped, None, Some(&view)), expected, "{view:?}");
    }
}

#[test]
fn unloading_and_destroying_end_once_no_machine_has_it() {
    let held = loaded("inactive/dead/success");
    let running = loaded("active/running/success");
    let mut lost = UnitView { machine: None, ..loaded("active/running/success") };
    lost.states[0].stale = true;
    let scheduled = unit(DesiredState::Inactive);
    let nowhere = UnitView { machine: None, ..unit(DesiredState::Inactive) };
    let cases = [
        (held, "pending: unloading on m1/192.0.2.2"),
        (running, "pending: stopping on m1/192.0.2.2"),
        (scheduled, "pending: unloading on m1/192.0.2.2"),
        (lost, "pending: m1/192.0.2.2 is not present"),
        (nowhere, "reached"),
    ];
    for (mut view, expected) in cases {
        view.desired_state = Some(DesiredState::Inactive);
        assert_eq!(judged(Goal::Unloaded, None, Some(&view)), expected, "{view:?}");
        assert_eq!(judged(Goal::Gone, None, Some(&view)), "pending: not destroyed yet");
        view.desired_state = None;
        let seen = match expected {
            // Whatever is left of it, fleetd says when it is gone.
            "reached" | "pending: m1/192.0.2.2 is not present" => "pending: waiting for its machine",
            held => held,
        };
        assert_eq!(judged(Goal::Gone, None, Some(&view)), seen, "{view:?}");
    }
}

#[test]
fn a_lost_machine_does_not_hold_up_an_unload() {
    let mut view = UnitView { machine: None, ..loaded("active/running/success") };
    view.desired_state = Some(DesiredState::Inactive);
    view.states[0].stale = true;
    assert_eq!(
        words(judge(Goal::Unloaded, &target(None), Some(&view), true)),
        "reached; m1/192.0.2.2 is lost: a.service may still run there"
    );
    // While fleetd is cut off from the registry, every machine looks lost.
    let mut wait = Wait::new(Goal::Unloaded, vec![target(None)]);
    assert!(wait.observe(WatchLine::Snapshot { revision: 1, units: vec![view.clone()] }).is_empty());
    assert!(wait.observe(WatchLine::Stale { why: "no answer".into() }).is_empty());
    assert!(wait.settle().is_empty());
    assert!(wait.observe(WatchLine::Snapshot { revision: 2, units: vec![view] }).is_empty());
    assert_eq!(wait.settle().len(), 1);
}

#[test]
fn a_global_unit_is_waited_for_on_every_machine() {
    let on = |id: &str, restarts, words: &str| StateView {
        machine: machine(id),
        restarts,
        ..state(Reached::Launched, words)
    };
    let global = |states: Vec<StateView>| UnitView {
        global: true,
        machine: None,
        scheduled_to: 2,
        restarts: 1,
        states,
        ..unit(DesiredState::Launched)
    };
    let running = "active/running/success";
    let cases = [
        (global(vec![on("m1", 1, running), on("m2", 1, running)]), "reached"),
        (global(vec![on("m1", 1, running), on("m2", 0, running)]), "pending: restarting on m2/192.0.2.2"),
        (global(vec![on("m1", 1, running)]), "pending: on 1 of 2 machines"),
        (
            global(vec![on("m1", 0, running), on("m2", 1, "failed/failed/exit-code")]),
            "failed on m2: it failed with result \"exit-code\"",
        ),
    ];
    for (view, expected) in cases {
        assert_eq!(judged(Goal::Launched, None, Some(&view)), expected);
    }
    // It is on no machine of its own when it is stopped.
    let stopping = UnitView { desired_state: Some(DesiredState::Loaded), ..global(vec![on("m1", 1, running)]) };
    assert_eq!(judged(Goal::Stopped, None, Some(&stopping)), "pending: stopping on m1/192.0.2.2");
    let dead = StateView { reached: Some(Reached::Loaded), ..on("m1", 1, "inactive/dead/success") };
    let stopped = UnitView { desired_state: Some(DesiredState::Loaded), ..global(vec![dead]) };
    assert_eq!(judged(Goal::Stopped, None, Some(&stopped)), "reached");
    assert_eq!(judged(Goal::Loaded, None, Some(&stopped)), "reached", "its loading is not waited for");
}

/// What a wait for `a.service` and `b.service` gives after each line.
#[test]
fn a_wait_follows_a_watch() {
    let named = |name: &str, view: UnitView| UnitView { name: name.into(), ..view };
    let a = |view| named("a.service", view);
    let b = |view| named("b.service", view);
    let targets = ["a.service", "b.service"].map(|name| Target { name: name.into(), ..target(None) });
    let mut wait = Wait::new(Goal::Launched, targets.into());
    let names = |finished: Vec<Finished>| finished.into_iter().map(|unit| unit.name).collect::<Vec<_>>();
    let pending = |wait: &Wait| wait.pending().map(|(name, at)| format!("{name}: {at}")).collect::<Vec<_>>();

    let starting = launched("activating/start/success");
    let line = WatchLine::Snapshot { revision: 1, units: vec![a(starting.clone()), b(unit(DesiredState::Launched))] };
    assert!(wait.observe(line).is_empty());
    assert_eq!(pending(&wait), ["a.service: activating on m1/192.0.2.2 (start)", "b.service: loading on m1/192.0.2.2"]);

    let unit = |view| WatchLine::Unit { revision: 2, unit: Box::new(view) };
    assert_eq!(names(wait.observe(unit(a(launched("active/running/success"))))), ["a.service"]);
    // Nothing more is said of a unit that is done.
    assert!(wait.observe(unit(a(launched("failed/failed/exit-code")))).is_empty());

    assert!(wait.observe(WatchLine::Stale { why: "no answer".into() }).is_empty());
    assert_eq!(pending(&wait), ["b.service: fleetd has lost touch with the registry: no answer"]);
    assert!(wait.observe(unit(b(starting))).is_empty());
    assert!(wait.settle().is_empty());
    assert!(!wait.is_over());

    let gone = WatchLine::Gone { revision: 3, name: "b.service".into() };
    let finished = wait.observe(gone);
    assert_eq!(words(finished[0].verdict.clone()), "failed: it was destroyed meanwhile");
    assert!(wait.is_over());
}

#[test]
fn settling_says_nothing_of_a_unit_that_was_not_seen() {
    let mut wait = Wait::new(Goal::Gone, vec![target(None)]);
    assert!(wait.settle().is_empty());
    assert_eq!(wait.observe(WatchLine::Snapshot { revision: 1, units: Vec::new() }).len(), 1);
}

#[test]
fn an_orphan_in_the_way_ends_the_wait_with_its_reason() {
    let orphan =
        StateView { uid: 3, orphan: true, error: Some("an orphan".into()), ..state(Reached::Launched, "active") };
    let view = UnitView { states: vec![orphan.clone()], ..unit(DesiredState::Launched) };
    assert_eq!(judged(Goal::Launched, None, Some(&view)), "failed: an orphan");
    let elsewhere = UnitView { states: vec![StateView { machine: machine("m2"), ..orphan.clone() }], ..view.clone() };
    assert_eq!(judged(Goal::Launched, None, Some(&elsewhere)), "pending: loading on m1/192.0.2.2");
    let taken_over = UnitView { states: vec![orphan, state(Reached::Launched, "active/running")], ..view };
    assert_eq!(judged(Goal::Launched, None, Some(&taken_over)), "reached on m1");
}

/// However long it takes: why a unit did not start is no reason why it would not stop.
#[test]
fn what_systemd_cannot_load_can_be_stopped_and_destroyed() {
    let mut view = launched("inactive/dead/");
    view.states[0].load = "bad-setting".into();
    view.states[0].error = Some("systemd does not load it: bad-setting".into());
    for (goal, desired) in [
        (Goal::Stopped, Some(DesiredState::Loaded)),
        (Goal::Unloaded, Some(DesiredState::Inactive)),
        (Goal::Gone, None),
    ] {
        let view = UnitView { desired_state: desired, ..view.clone() };
        let verdict = judge(goal, &target(Some(view.clone())), Some(&view), true);
        assert_eq!(words(verdict), "pending: stopping on m1/192.0.2.2", "{goal:?}");
    }
}
