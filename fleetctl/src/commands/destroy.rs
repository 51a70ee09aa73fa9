//! `fleetctl destroy`

use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::{DestroyOutcome, DestroyRequest};

use super::change;
use crate::cli::ChangeUnits;
use crate::error::CommandError;
use crate::output::Output;
use crate::wait::{Goal, Target};

/// Removes units from the cluster, and waits until they are stopped everywhere, with all that their files say is to be
/// done then.
pub async fn run(arguments: &ChangeUnits, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    if arguments.units.is_empty() {
        return change::none_given(output);
    }
    let (known, _) = change::known(&arguments.units, client, output).await?;
    if known.is_empty() {
        return Ok(0);
    }
    let request = DestroyRequest { names: known.iter().map(|unit| unit.name.clone()).collect() };
    let answer = client.destroy(&request).await.map_err(CommandError::doing("Error destroying units"))?;
    let mut targets = Vec::new();
    for (unit, outcome) in known.into_iter().zip(answer.units) {
        // Somebody else was faster, or nobody wants to wait.
        if outcome.outcome == DestroyOutcome::Absent || arguments.blocking.no_block {
            writeln!(output.out(), "Destroyed {}", unit.name)?;
        } else {
            targets.push(Target { name: unit.name.clone(), uid: unit.uid, before: Some(unit) });
        }
    }
    let all_gone = super::waiting::wait(Goal::Gone, targets, arguments.blocking, client, output).await?;
    Ok(u8::from(!all_gone))
}
