//! `fleetctl status`

use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::{MachineRef, UnitView};

use super::lookup;
use super::remote::Remote;
use crate::cli::Status;
use crate::error::CommandError;
use crate::fields;
use crate::output::Output;
use crate::ssh::{Ssh, quoted};

/// Prints what `systemctl status` says of each unit, and ends as it does. Stops at the first unit that is not well; of a
/// global unit all machines are shown before.
pub async fn run(arguments: &Status, ssh: &Ssh, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    if arguments.units.is_empty() {
        writeln!(output.err()?, "No units given")?;
        return Ok(0);
    }
    let names = lookup::expand(&arguments.units, client).await?;
    let (known, _) = lookup::named(client, &names, "Error retrieving units from Registry").await?;
    let remote = Remote { ssh, port: arguments.ssh_port };
    let mut first = true;
    for name in &names {
        let unit = known
            .iter()
            .find(|unit| unit.name == name.as_str())
            .ok_or_else(|| CommandError::message(format!("Unit {name} does not exist.")))?;
        let mut ended = 0;
        for machine in machines_of(unit, arguments.machine.as_deref())? {
            if !std::mem::take(&mut first) {
                writeln!(output.out())?;
            }
            let code = show(unit, &machine, remote, client, output).await?;
            ended = if ended == 0 { code } else { ended };
        }
        if ended != 0 {
            return Ok(ended);
        }
    }
    Ok(0)
}

/// Prints what one machine says. What systemctl ended with is what this gives.
async fn show(
    unit: &UnitView,
    machine: &MachineRef,
    remote: Remote<'_>,
    client: &Client,
    output: &mut Output,
) -> Result<u8, CommandError> {
    if client.speaks_v1_only() {
        return remote.run(machine, &format!("systemctl status -l {}", quoted(&unit.name)), output);
    }
    let status = client
        .unit_status(&unit.name, Some(&machine.id))
        .await
        .map_err(CommandError::doing(format!("Error retrieving the status of unit {}", unit.name)))?;
    output.out().write_all(status.output.as_bytes())?;
    output.flush()?;
    for note in notes(unit, &machine.id) {
        writeln!(output.err()?, "{note}")?;
    }
    Ok(u8::try_from(status.exit_code).unwrap_or(1))
}

/// What systemd on that machine cannot know: how long its stop may take, and what the cluster does with the unit.
pub fn notes(unit: &UnitView, machine: &str) -> Vec<String> {
    let mut states = unit.states.iter().filter(|state| state.machine.id == machine && !state.stale);
    let stopping = states.find_map(fields::stopping).map(|words| format!("NOTE: {} is {words}", unit.name));
    let note = unit.note.as_ref().map(|note| format!("NOTE: {}: {}", unit.name, note.reason));
    stopping.into_iter().chain(note).collect()
}

/// The machines to ask: all that have it, if it is global.
fn machines_of(unit: &UnitView, wanted: Option<&str>) -> Result<Vec<MachineRef>, CommandError> {
    let machines = lookup::machines_of(unit, wanted);
    if !machines.is_empty() {
        return Ok(machines);
    }
    let text = format!("Unit {} does not appear to be loaded.", unit.name);
    Err(match &unit.note {
        Some(note) => CommandError::with_hint(text, format!("It waits: {}", note.reason)),
        None => CommandError::message(text),
    })
}
