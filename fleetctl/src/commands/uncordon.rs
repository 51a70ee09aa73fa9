//! `fleetctl uncordon`

use fleet_api::Client;
use fleet_api::v2::MachineChange;

use super::machines::{self, Words};
use crate::cli::Machines;
use crate::error::CommandError;
use crate::output::Output;

const WORDS: Words = Words {
    doing: "Error uncordoning machines",
    changed: "is given units again",
    same: "was neither cordoned nor draining",
};

/// Ends a cordon, and a drain. Nothing is moved back for its sake.
pub async fn run(arguments: &Machines, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let change = MachineChange { cordoned: Some(false), draining: Some(false), ..MachineChange::default() };
    machines::say_and_print(&arguments.machines, &change, WORDS, client, output).await?;
    Ok(0)
}
