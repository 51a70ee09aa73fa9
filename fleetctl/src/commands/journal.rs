//! `fleetctl journal`

use std::io::Write;

use fleet_api::Client;
use fleet_api::client::JournalQuery;
use fleet_api::v2::UnitView;
use futures::{StreamExt, pin_mut};

use crate::cli::Journal;
use crate::error::CommandError;
use crate::fields;
use crate::output::Output;

/// Prints a unit's journal from the machine that has it.
pub async fn run(arguments: &Journal, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let [name] = super::lookup::names(&arguments.units)?
        .try_into()
        .map_err(|_| CommandError::message("One unit file must be provided."))?;
    let (known, _) =
        super::lookup::named(client, std::slice::from_ref(&name), &format!("Error retrieving Unit {name}")).await?;
    let unit = known.first().ok_or_else(|| CommandError::message(format!("Unit {name} does not exist.")))?;
    let query = JournalQuery {
        lines: arguments.lines,
        follow: arguments.follow,
        output: arguments.output.clone(),
        machine: Some(machine_of(unit, arguments.machine.as_deref())?),
    };
    let doing = || CommandError::doing(format!("Error retrieving the journal of unit {name}"));
    let journal = client.journal(name.as_str(), &query).await.map_err(doing())?;
    pin_mut!(journal);
    while let Some(chunk) = journal.next().await {
        output.out().write_all(&chunk.map_err(doing())?)?;
        // Lines are read as they come.
        output.flush()?;
    }
    Ok(0)
}

/// The id of the machine whose journal to read.
fn machine_of(unit: &UnitView, wanted: Option<&str>) -> Result<String, CommandError> {
    let name = &unit.name;
    let mut machines = unit.machine.iter().chain(unit.states.iter().map(|state| &state.machine));
    if let Some(wanted) = wanted {
        // A unit may have run on a machine that no longer has it.
        let id = machines.find(|machine| machine.id.starts_with(wanted)).map(|machine| &machine.id);
        return Ok(id.map_or_else(|| wanted.to_owned(), Clone::clone));
    }
    match (&unit.machine, unit.states.as_slice()) {
        (Some(machine), _) => Ok(machine.id.clone()),
        (None, [state]) => Ok(state.machine.id.clone()),
        (None, []) => Err(CommandError::with_hint(
            format!("Unit {name} does not appear to be running."),
            "With --machine ID the journal of a machine that had it is shown.",
        )),
        (None, states) => {
            let machines: Vec<_> = states.iter().map(|state| fields::machine(&state.machine, false)).collect();
            Err(CommandError::with_hint(
                format!("Unable to retrieve journal of global unit {name}."),
                format!("It is on several machines; choose one with --machine: {}", machines.join(", ")),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use fleet_api::v2::{MachineRef, StateView};
    use fleet_units::DesiredState;

    use super::*;

    fn unit(machine: Option<&str>, states: &[&str]) -> UnitView {
        let reference = |id: &str| MachineRef { id: id.into(), address: String::new() };
        UnitView {
            name: "a.service".into(),
            uid: 1,
            hash: None,
            desired_state: Some(DesiredState::Launched),
            current_state: None,
            global: machine.is_none(),
            description: String::new(),
            machine: machine.map(reference),
            states: states.iter().map(|id| StateView { machine: reference(id), ..StateView::default() }).collect(),
            note: None,
            restarts: 0,
        }
    }

    #[test]
    fn the_machine_is_the_one_that_has_it() {
        let cases = [
            (unit(Some("m1"), &["m1", "m2"]), None, Ok("m1")),
            (unit(None, &["m2"]), None, Ok("m2")),
            (unit(None, &["m1111111", "m2222222"]), Some("m2"), Ok("m2222222")),
            (unit(None, &[]), Some("m3"), Ok("m3")),
            (unit(None, &[]), None, Err("Unit a.service does not appear to be running.")),
            (unit(None, &["m1", "m2"]), None, Err("Unable to retrieve journal of global unit a.service.")),
        ];
        for (unit, wanted, expected) in cases {
            let found = machine_of(&unit, wanted).map_err(|error| error.words().unwrap_or_default());
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(words), Err(expected)) => assert!(words.starts_with(expected), "{words}"),
                (found, expected) => panic!("{found:?} is not {expected:?}"),
            }
        }
    }
}
