//! `fleetctl unload`

use std::io::Write;

use fleet_api::Client;
use fleet_units::DesiredState;

use super::change::{self, Action};
use crate::cli::ChangeUnits;
use crate::error::CommandError;
use crate::output::Output;
use crate::wait::Goal;

const ACTION: Action =
    Action { verb: "unload", doing: "Error unloading units", desired: DesiredState::Inactive, goal: Goal::Unloaded };

/// Stops units and takes them off their machines, and waits until no machine has them.
pub async fn run(arguments: &ChangeUnits, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    if arguments.units.is_empty() {
        return change::none_given(output);
    }
    let (known, all_known) = change::known(&arguments.units, client, output).await?;
    if known.is_empty() {
        return Ok(u8::from(!all_known));
    }
    let names = known.iter().map(|unit| unit.name.clone()).collect::<Vec<_>>().join(" ");
    let asked = known.into_iter().map(change::of_known).collect();
    let done = change::carry_out(ACTION, asked, arguments.blocking, client, output).await?;
    match done {
        true => writeln!(output.err()?, "Successfully unloaded units [{names}].")?,
        false => writeln!(output.err()?, "Failed to unload units [{names}].")?,
    }
    Ok(u8::from(!(done && all_known)))
}
