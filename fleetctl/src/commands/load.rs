//! `fleetctl load`

use std::io::Write;

use fleet_api::Client;
use fleet_units::DesiredState;

use super::change::{self, Action};
use crate::cli::CreateUnits;
use crate::error::CommandError;
use crate::output::Output;
use crate::wait::Goal;

const ACTION: Action = Action {
    verb: "load",
    doing: "Error loading units",
    desired: DesiredState::Loaded,
    goal: Goal::Loaded,
    waits_for_global: false,
};

/// Puts units on machines.
pub async fn run(arguments: &CreateUnits, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    if arguments.submit.units.is_empty() {
        return change::none_given(output);
    }
    let replaceable = [DesiredState::Inactive, DesiredState::Loaded];
    let mut asked = change::resolve(&arguments.submit, &replaceable, client, output).await?;
    change::refuse_templates(&asked, ACTION.doing)?;
    // What is launched is loaded. To ask for less would stop it, which nobody wants who says load.
    for unit in asked.extract_if(.., |unit| {
        unit.before.as_ref().is_some_and(|view| view.desired_state == Some(DesiredState::Launched))
    }) {
        let name = unit.change.name;
        writeln!(output.err()?, "Unit {name} is launched already; to stop it, use \"fleetctl stop {name}\".")?;
    }
    let done = change::carry_out(ACTION, asked, arguments.blocking, client, output).await?;
    Ok(u8::from(!done))
}
