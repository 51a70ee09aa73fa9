//! `fleetctl cordon`

use fleet_api::Client;
use fleet_api::v2::MachineChange;

use super::machines::{self, Words};
use crate::cli::Machines;
use crate::error::CommandError;
use crate::output::Output;

const WORDS: Words = Words {
    doing: "Error cordoning machines",
    changed: "is cordoned: it keeps its units, and is given no more",
    same: "was cordoned already",
};

/// Keeps new units away from machines.
pub async fn run(arguments: &Machines, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let change = MachineChange { cordoned: Some(true), ..MachineChange::default() };
    machines::say_and_print(&arguments.machines, &change, WORDS, client, output).await?;
    Ok(0)
}
