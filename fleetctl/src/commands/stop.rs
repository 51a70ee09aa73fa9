//! `fleetctl stop`

use fleet_api::Client;
use fleet_api::v2::UnitView;
use fleet_units::{DesiredState, UnitName};

use super::change::{self, Action};
use crate::cli::ChangeUnits;
use crate::error::CommandError;
use crate::output::Output;
use crate::wait::Goal;

const ACTION: Action = Action {
    verb: "stop",
    doing: "Error stopping units",
    desired: DesiredState::Loaded,
    goal: Goal::Stopped,
    waits_for_global: true,
};

/// Stops units, and waits until no process of theirs runs. They stay on their machines.
pub async fn run(arguments: &ChangeUnits, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    if arguments.units.is_empty() {
        return change::none_given(output);
    }
    let (mut known, _) = change::known(&arguments.units, client, output).await?;
    // Fleet looked at the current state, and so could not stop a unit that waited for a machine.
    let is_inactive = |unit: &UnitView| unit.desired_state == Some(DesiredState::Inactive);
    let is_named = |unit: &UnitView| arguments.units.iter().any(|argument| UnitName::mangle(argument) == unit.name);
    if let Some(unit) = known.iter().find(|unit| is_inactive(unit) && is_named(unit)) {
        return Err(CommandError::message(format!("Unable to stop unit {} in state inactive", unit.name)));
    }
    // A pattern means those that can be stopped.
    known.retain(|unit| !is_inactive(unit));
    change::end(ACTION, "stopped", known, arguments.blocking, client, output).await
}
