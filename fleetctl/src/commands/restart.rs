//! `fleetctl restart`

use std::io::Write;

use fleet_api::Client;
use fleet_units::DesiredState;

use super::change::{self, Action};
use crate::cli::ChangeUnits;
use crate::error::CommandError;
use crate::output::Output;
use crate::wait::Goal;

const ACTION: Action = Action {
    verb: "restart",
    doing: "Error restarting units",
    desired: DesiredState::Launched,
    goal: Goal::Launched,
    waits_for_global: true,
};

/// Restarts units where they are, and waits until they are active again. One that is only loaded is started.
pub async fn run(arguments: &ChangeUnits, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    if arguments.units.is_empty() {
        return change::none_given(output);
    }
    let (known, all_known) = change::known(&arguments.units, client, output).await?;
    let mut asked = Vec::new();
    for unit in known {
        match unit.desired_state {
            None | Some(DesiredState::Inactive) => {
                writeln!(output.err()?, "Unable to restart unit {} in state inactive", unit.name)?;
            }
            Some(state) => {
                let mut unit = change::of_known(unit);
                unit.change.restart = state == DesiredState::Launched;
                asked.push(unit);
            }
        }
    }
    let done = change::carry_out(ACTION, asked, arguments.blocking, client, output).await?;
    // Nothing was restarted of what is not there.
    Ok(u8::from(!(done && all_known)))
}
