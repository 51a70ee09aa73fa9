//! `fleetctl submit`

use fleet_api::Client;
use fleet_units::DesiredState;

use super::change;
use crate::cli::Submit;
use crate::error::CommandError;
use crate::output::Output;

/// Makes units known to the cluster.
pub async fn run(arguments: &Submit, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    if arguments.units.is_empty() {
        return change::none_given(output);
    }
    let mut asked = change::resolve(arguments, &[DesiredState::Inactive], client, output).await?;
    // There is nothing to ask about a unit that stays as it is.
    asked.retain(|unit| unit.change.text.is_some());
    if asked.is_empty() {
        return Ok(0);
    }
    let (_, all_done) = change::ask(&asked, "Error creating units", client, output).await?;
    Ok(u8::from(!all_done))
}
