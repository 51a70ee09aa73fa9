//! `fleetctl ssh`

use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::{MachineRef, MachineView, UnitView};
use fleet_units::UnitName;

use super::remote::Remote;
use crate::cli::SshTo;
use crate::error::CommandError;
use crate::fields;
use crate::output::Output;
use crate::ssh::{Session, Ssh};

/// How fleet began what it said of a machine that it did not find.
const UNABLE: &str = "Unable to proceed";

/// Opens a shell on a machine, or runs a command there; on each machine of a global unit.
pub async fn run(arguments: &SshTo, ssh: &Ssh, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let mut words = arguments.arguments.iter();
    let machines = match (&arguments.machine, &arguments.unit) {
        (Some(_), Some(_)) => {
            return Err(CommandError::message("Both machine and unit flags provided, please specify only one."));
        }
        (Some(machine), None) => {
            vec![by_machine(client, machine).await?.ok_or_else(|| unable("machine does not exist"))?]
        }
        (None, Some(unit)) => machines_of(&by_unit(client, unit).await?.ok_or_else(|| unable("unit does not exist"))?)?,
        (None, None) => {
            let target = words.next().ok_or_else(|| unable("one machine or unit must be provided"))?;
            match (by_machine(client, target).await?, by_unit(client, target).await?) {
                (Some(_), Some(_)) => {
                    let text = format!("ambiguous argument, both machine and unit found for {target:?}");
                    return Err(CommandError::with_hint(text, "Say which is meant: --machine or --unit."));
                }
                (Some(machine), None) => vec![machine],
                (None, Some(unit)) => machines_of(&unit)?,
                (None, None) => return Err(unable("could not find matching unit or machine")),
            }
        }
    };
    let command = words.cloned().collect::<Vec<_>>().join(" ");
    let command = Some(command).filter(|command| !command.is_empty());
    let session = Session { command, forward_agent: arguments.forward_agent };
    let remote = Remote { ssh, port: arguments.ssh_port };
    let mut code = 0;
    match machines.as_slice() {
        [machine] => code = remote.become_session(machine, &session, output)?,
        several if session.command.is_none() => {
            let names: Vec<String> = several.iter().map(|machine| fields::machine(machine, false)).collect();
            return Err(CommandError::with_hint(
                format!("{UNABLE}: the unit is on several machines, and a shell is on one"),
                format!("Choose one with --machine: {}", names.join(", ")),
            ));
        }
        several => {
            for machine in several {
                writeln!(output.err()?, "-- {} --", fields::machine(machine, false))?;
                let ended = remote.session(machine, &session, output)?;
                code = if code == 0 { ended } else { code };
            }
        }
    }
    Ok(code)
}

fn unable(why: &str) -> CommandError {
    CommandError::message(format!("{UNABLE}: {why}"))
}

/// The machine that is meant, if any.
async fn by_machine(client: &Client, name: &str) -> Result<Option<MachineRef>, CommandError> {
    let doing = "Error retrieving list of active machines from fleet API";
    let machines = client.machines().await.map_err(CommandError::doing(doing))?;
    pick(&machines.machines, name)
}

/// The machine of this id, of the only id that begins so, or of this hostname.
pub fn pick(machines: &[MachineView], name: &str) -> Result<Option<MachineRef>, CommandError> {
    let beginning = name.trim_end_matches("...");
    let is_meant = |machine: &&MachineView| {
        !beginning.is_empty() && machine.id.starts_with(beginning) || !name.is_empty() && machine.hostname == name
    };
    let found: Vec<&MachineView> = machines.iter().filter(is_meant).collect();
    match found.as_slice() {
        [] => Ok(None),
        [machine] => Ok(Some(MachineRef { id: machine.id.clone(), address: machine.address.clone() })),
        several => {
            let ids: Vec<&str> = several.iter().map(|machine| machine.id.as_str()).collect();
            let hint = format!("{name:?} may be any of {}.", ids.join(", "));
            Err(CommandError::with_hint(format!("{UNABLE}: found more than one machine"), hint))
        }
    }
}

/// The unit that is meant, if any. What is no name of a unit is none.
async fn by_unit(client: &Client, name: &str) -> Result<Option<UnitView>, CommandError> {
    let Ok(name) = UnitName::parse(&UnitName::mangle(name)) else { return Ok(None) };
    let (known, _) = super::lookup::named(client, &[name], "Error retrieving units from Registry").await?;
    Ok(known.into_iter().next())
}

/// The machines that have the unit and are present.
fn machines_of(unit: &UnitView) -> Result<Vec<MachineRef>, CommandError> {
    let machines = super::lookup::machines_of(unit, None);
    match machines.is_empty() {
        false => Ok(machines),
        true => Err(CommandError::message(format!("{UNABLE}: unit {} is on no machine", unit.name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_named_by_the_beginning_of_its_id_or_its_hostname() {
        let machine = |id: &str, hostname: &str| MachineView {
            id: id.into(),
            hostname: hostname.into(),
            ..MachineView::default()
        };
        let machines = [machine("4c2c1ae0", "web-1"), machine("4c9e8d7c", "web-2")];
        let picked = |name: &str| {
            let found = pick(&machines, name).map(|found| found.map(|machine| machine.id));
            found.map_err(|error| error.words().unwrap_or_default())
        };
        assert_eq!(picked("4c2"), Ok(Some("4c2c1ae0".into())));
        assert_eq!(picked("4c2c1ae0..."), Ok(Some("4c2c1ae0".into())));
        assert_eq!(picked("web-2"), Ok(Some("4c9e8d7c".into())));
        assert_eq!(picked("web"), Ok(None));
        assert_eq!(picked(""), Ok(None));
        let words = picked("4c").unwrap_err();
        assert!(words.starts_with("Unable to proceed: found more than one machine\n"), "{words}");
    }
}
