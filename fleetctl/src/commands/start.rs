//! `fleetctl start`

use fleet_api::Client;
use fleet_api::v2::UnitView;
use fleet_units::DesiredState;

use super::change::{self, Action};
use crate::cli::CreateUnits;
use crate::error::CommandError;
use crate::output::Output;
use crate::wait::Goal;

const ACTION: Action = Action {
    verb: "start",
    doing: "Error starting units",
    desired: DesiredState::Launched,
    goal: Goal::Launched,
    waits_for_global: false,
};

/// Starts units, and waits until they are active, or have finished well.
pub async fn run(arguments: &CreateUnits, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    if arguments.submit.units.is_empty() {
        return change::none_given(output);
    }
    let replaceable = [DesiredState::Inactive, DesiredState::Loaded, DesiredState::Launched];
    let mut asked = change::resolve(&arguments.submit, &replaceable, client, output).await?;
    change::refuse_templates(&asked, ACTION.doing)?;
    for unit in &mut asked {
        unit.change.restart = unit.before.as_ref().is_some_and(has_failed);
    }
    let done = change::carry_out(ACTION, asked, arguments.blocking, client, output).await?;
    Ok(u8::from(!done))
}

/// Whether the unit was launched, and failed. Wanting it launched once more would change nothing then, where a person
/// who says start wants it started; so it gets another try. One that finished well is left alone.
fn has_failed(unit: &UnitView) -> bool {
    let Some(machine) = unit.machine.as_ref().filter(|_| unit.desired_state == Some(DesiredState::Launched)) else {
        return false;
    };
    let mut states = unit.states.iter().filter(|state| state.machine.id == machine.id && state.uid == unit.uid);
    states.any(|state| !state.stale && state.reached.is_some() && state.active == "failed")
}

#[cfg(test)]
mod tests {
    use fleet_api::v2::{MachineRef, Reached, StateView};

    use super::*;

    #[test]
    fn only_what_has_failed_gets_another_try() {
        let machine = MachineRef { id: "m1".into(), address: String::new() };
        let unit = |desired, active: &str, stale| UnitView {
            name: "a.service".into(),
            uid: 7,
            hash: None,
            desired_state: Some(desired),
            current_state: None,
            global: false,
            description: String::new(),
            machine: Some(machine.clone()),
            states: vec![StateView {
                machine: machine.clone(),
                uid: 7,
                active: active.into(),
                reached: Some(Reached::Launched),
                stale,
                ..StateView::default()
            }],
            note: None,
            scheduled_to: 0,
            restarts: 0,
        };
        let cases = [
            (unit(DesiredState::Launched, "failed", false), true),
            (unit(DesiredState::Launched, "failed", true), false),
            (unit(DesiredState::Loaded, "failed", false), false),
            (unit(DesiredState::Launched, "active", false), false),
            (unit(DesiredState::Launched, "inactive", false), false),
            (unit(DesiredState::Launched, "activating", false), false),
            (UnitView { uid: 8, ..unit(DesiredState::Launched, "failed", false) }, false),
            (UnitView { machine: None, ..unit(DesiredState::Launched, "failed", false) }, false),
        ];
        for (unit, expected) in cases {
            assert_eq!(has_failed(&unit), expected, "{unit:?}");
        }
    }
}
