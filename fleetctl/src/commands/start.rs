//! `fleetctl start`

use fleet_api::Client;
use fleet_units::DesiredState;

use super::change::{self, Action};
use crate::cli::CreateUnits;
use crate::error::CommandError;
use crate::output::Output;
use crate::wait::Goal;

const ACTION: Action =
    Action { verb: "start", doing: "Error starting units", desired: DesiredState::Launched, goal: Goal::Launched };

/// Starts units, and waits until they are active, or have finished well.
pub async fn run(arguments: &CreateUnits, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    if arguments.submit.units.is_empty() {
        return change::none_given(output);
    }
    let replaceable = [DesiredState::Inactive, DesiredState::Loaded, DesiredState::Launched];
    let asked = change::resolve(&arguments.submit, &replaceable, client, output).await?;
    change::refuse_templates(&asked, ACTION.doing)?;
    let done = change::carry_out(ACTION, asked, arguments.blocking, client, output).await?;
    Ok(u8::from(!done))
}
