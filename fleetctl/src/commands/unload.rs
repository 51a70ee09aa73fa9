//! `fleetctl unload`

use fleet_api::Client;
use fleet_units::DesiredState;

use super::change::{self, Action};
use crate::cli::ChangeUnits;
use crate::error::CommandError;
use crate::output::Output;
use crate::wait::Goal;

const ACTION: Action = Action {
    verb: "unload",
    doing: "Error unloading units",
    desired: DesiredState::Inactive,
    goal: Goal::Unloaded,
    waits_for_global: true,
};

/// Stops units and takes them off their machines, and waits until no machine has them.
pub async fn run(arguments: &ChangeUnits, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    if arguments.units.is_empty() {
        return change::none_given(output);
    }
    let (known, _) = change::known(&arguments.units, client, output).await?;
    change::end(ACTION, "unloaded", known, arguments.blocking, client, output).await
}
