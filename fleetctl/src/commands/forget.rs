//! `fleetctl forget`

use std::io::Write;

use fleet_api::Client;

use super::machines;
use crate::cli::Machines;
use crate::error::CommandError;
use crate::fields;
use crate::output::Output;

/// Deletes what is left of machines that will not come back. One that is present is refused, and one that may still be
/// stopping what must not run twice.
pub async fn run(arguments: &Machines, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let cluster = machines::cluster(client, output).await?;
    let mut all_forgotten = true;
    for machine in machines::find_all(&cluster, &arguments.machines)? {
        let shown = fields::machine(&machine, false);
        match client.forget(&machine.id).await {
            Ok(_) => writeln!(output.out(), "Machine {shown} is forgotten")?,
            Err(error) if error.status() == Some(409) => {
                all_forgotten = false;
                writeln!(output.err()?, "Machine {shown} is not forgotten: {error}.")?;
            }
            Err(error) => return Err(CommandError::doing(format!("Error forgetting machine {shown}"))(error)),
        }
    }
    Ok(u8::from(!all_forgotten))
}
