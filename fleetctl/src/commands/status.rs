//! `fleetctl status`

use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::UnitView;

use crate::cli::Status;
use crate::error::CommandError;
use crate::fields;
use crate::output::Output;

/// Prints what `systemctl status` says of each unit, and ends as it does. Stops at the first unit that is not well.
pub async fn run(arguments: &Status, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let names = super::lookup::names(&arguments.units)?;
    if names.is_empty() {
        writeln!(output.err()?, "No units given")?;
        return Ok(0);
    }
    let (known, _) = super::lookup::named(client, &names, "Error retrieving units from Registry").await?;
    let mut first = true;
    for name in &names {
        let unit = known
            .iter()
            .find(|unit| unit.name == name.as_str())
            .ok_or_else(|| CommandError::message(format!("Unit {name} does not exist.")))?;
        for machine in machines_of(unit, arguments.machine.as_deref())? {
            let status = client
                .unit_status(&unit.name, Some(&machine))
                .await
                .map_err(CommandError::doing(format!("Error retrieving the status of unit {name}")))?;
            if !std::mem::take(&mut first) {
                writeln!(output.out())?;
            }
            output.out().write_all(status.output.as_bytes())?;
            output.flush()?;
            for note in notes(unit, &machine) {
                writeln!(output.err()?, "{note}")?;
            }
            if status.exit_code != 0 {
                return Ok(u8::try_from(status.exit_code).unwrap_or(1));
            }
        }
    }
    Ok(0)
}

/// What systemd on that machine cannot know: how long its stop may take, and what the cluster does with the unit.
pub fn notes(unit: &UnitView, machine: &str) -> Vec<String> {
    let mut states = unit.states.iter().filter(|state| state.machine.id == machine && !state.stale);
    let stopping = states.find_map(fields::stopping).map(|words| format!("NOTE: {} is {words}", unit.name));
    let note = unit.note.as_ref().map(|note| format!("NOTE: {}: {}", unit.name, note.reason));
    stopping.into_iter().chain(note).collect()
}

/// The ids of the machines to ask: all that have it, if it is global.
fn machines_of(unit: &UnitView, wanted: Option<&str>) -> Result<Vec<String>, CommandError> {
    let mut machines: Vec<String> = match &unit.machine {
        Some(machine) => vec![machine.id.clone()],
        None => unit.states.iter().filter(|state| !state.stale).map(|state| state.machine.id.clone()).collect(),
    };
    if let Some(wanted) = wanted {
        machines.retain(|id| id.starts_with(wanted));
    }
    match machines.is_empty() {
        false => Ok(machines),
        true => {
            let text = format!("Unit {} does not appear to be loaded.", unit.name);
            Err(match &unit.note {
                Some(note) => CommandError::with_hint(text, format!("It waits: {}", note.reason)),
                None => CommandError::message(text),
            })
        }
    }
}
