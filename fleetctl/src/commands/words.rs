//! What is said of a change of units: fleet's words where fleet had some.

use fleet_api::v2::{MachineRef, Outcome, UnitOutcome};

use crate::fields;
use crate::wait::Goal;

/// A unit got where it was to go.
pub(super) fn reached(goal: Goal, name: &str, machine: Option<&MachineRef>) -> String {
    match goal {
        Goal::Gone => format!("Destroyed {name}"),
        _ => format!("Unit {name} {}{}", goal.word(), on(machine)),
    }
}

/// A unit will not get there by itself.
pub(super) fn failed(goal: Goal, name: &str, machine: Option<&MachineRef>, reason: &str) -> String {
    format!("Error waiting for units: unit {name} is not {}{}: {reason}", goal.word(), on(machine))
}

/// Where to learn more about it.
pub(super) fn see_also(name: &str) -> String {
    format!("See \"fleetctl status {name}\" and \"fleetctl journal {name}\" for more.")
}

/// A unit did not get there in the time that it was given.
pub(super) fn timed_out(goal: Goal, name: &str, at: &str) -> String {
    format!(
        "Error waiting for units: timed out waiting for unit {name} to report state {}; it is at: {at}",
        goal.word()
    )
}

/// The person does not want to wait any longer.
pub(super) fn interrupted(names: &[&str], shown: usize) -> String {
    let rest = names.len().saturating_sub(shown);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let names = names[..names.len() - rest].join(" ");
    format!(
        "Interrupted while waiting for {names}{more}. What was asked for stays asked for; see \"fleetctl list-unit-files\"."
    )
}

/// What is waited for.
pub(super) fn waiting(name: &str, at: &str) -> String {
    format!("Waiting for unit {name}: {at}")
}

/// The change was asked for, and nobody waits.
pub(super) fn triggered(name: &str, verb: &str, is_global: bool) -> String {
    match is_global {
        true => format!("Triggered global unit {name} {verb}"),
        false => format!("Triggered unit {name} {verb}"),
    }
}

/// What fleetd made of a change: a line for stdout, or for stderr.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Out(String),
    Err(String),
}

/// What fleetd made of a change, where a person should hear of it.
pub(super) fn outcome(unit: &UnitOutcome, doing: &str) -> Option<Line> {
    let name = &unit.name;
    match unit.outcome {
        Outcome::Refused => {
            let why = unit.message.as_deref().unwrap_or("fleetd refused, and did not say why");
            Some(Line::Err(format!("{doing}: {name}: {why}")))
        }
        Outcome::Created => Some(Line::Out(format!("Unit {name} inactive"))),
        Outcome::Differs => Some(Line::Err(format!(
            "WARNING: Unit {name} in registry differs from the one given. Add --replace to override."
        ))),
        Outcome::Changed | Outcome::Unchanged | Outcome::Replaced => None,
    }
}

fn on(machine: Option<&MachineRef>) -> String {
    machine.map(|machine| format!(" on {}", fields::machine(machine, false))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> MachineRef {
        MachineRef { id: "4c2c1ae0b51f4d2e8f0e4d1c2b3a4f5e".into(), address: "192.0.2.2".into() }
    }

    #[test]
    fn units_that_got_there() {
        let cases = [
            (Goal::Launched, Some(machine()), "Unit a.service launched on 4c2c1ae0.../192.0.2.2"),
            (Goal::Launched, None, "Unit a.service launched"),
            (Goal::Loaded, Some(machine()), "Unit a.service loaded on 4c2c1ae0.../192.0.2.2"),
            (Goal::Stopped, Some(machine()), "Unit a.service loaded on 4c2c1ae0.../192.0.2.2"),
            (Goal::Unloaded, None, "Unit a.service inactive"),
            (Goal::Gone, None, "Destroyed a.service"),
        ];
        for (goal, machine, expected) in cases {
            assert_eq!(reached(goal, "a.service", machine.as_ref()), expected);
        }
    }

    #[test]
    fn units_that_did_not() {
        insta::assert_snapshot!(failed(Goal::Launched, "a.service", Some(&machine()), "it failed with result \"exit-code\""), @r#"Error waiting for units: unit a.service is not launched on 4c2c1ae0.../192.0.2.2: it failed with result "exit-code""#);
        insta::assert_snapshot!(timed_out(Goal::Stopped, "a.service", "stopping on m1"), @"Error waiting for units: timed out waiting for unit a.service to report state loaded; it is at: stopping on m1");
        insta::assert_snapshot!(interrupted(&["a", "b", "c"], 2), @r#"Interrupted while waiting for a b and 1 more. What was asked for stays asked for; see "fleetctl list-unit-files"."#);
    }

    #[test]
    fn nobody_waits() {
        assert_eq!(triggered("a.service", "start", false), "Triggered unit a.service start");
        assert_eq!(triggered("a.service", "stop", true), "Triggered global unit a.service stop");
    }

    #[test]
    fn what_fleetd_made_of_it() {
        let told = |result, message: Option<&str>| {
            let message = message.map(str::to_owned);
            let unit =
                UnitOutcome { name: "a.service".into(), outcome: result, uid: None, desired_state: None, message };
            outcome(&unit, "Error starting units")
        };
        assert_eq!(told(Outcome::Created, None), Some(Line::Out("Unit a.service inactive".into())));
        assert_eq!(
            told(Outcome::Refused, Some("unit does not exist")),
            Some(Line::Err("Error starting units: a.service: unit does not exist".into()))
        );
        assert_eq!(told(Outcome::Unchanged, None), None);
    }
}
