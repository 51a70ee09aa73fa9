//! `fleetctl journal`

use std::io::Write;

use bytes::Bytes;
use fleet_api::client::JournalQuery;
use fleet_api::v2::{MachineRef, UnitView};
use fleet_api::{ApiError, Client};
use futures::stream::{BoxStream, select_all};
use futures::{Stream, StreamExt, pin_mut, stream};

use super::lookup;
use super::remote::Remote;
use crate::cli::Journal;
use crate::error::CommandError;
use crate::fields;
use crate::output::Output;
use crate::ssh::{Ssh, quoted};

/// Prints a unit's journal from the machine that has it, or from each of those that do.
pub async fn run(arguments: &Journal, ssh: &Ssh, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let name = lookup::one(&arguments.units, "One unit file must be provided.", client).await?;
    let (known, _) =
        lookup::named(client, std::slice::from_ref(&name), &format!("Error retrieving Unit {name}")).await?;
    let unit = known.first().ok_or_else(|| CommandError::message(format!("Unit {name} does not exist.")))?;
    let machines = machines_of(unit, arguments.machine.as_deref())?;
    if client.speaks_v1_only() {
        return by_ssh(arguments, name.as_str(), &machines, ssh, output);
    }
    let doing = || CommandError::doing(format!("Error retrieving the journal of unit {name}"));
    let query = |machine: &MachineRef| JournalQuery {
        lines: arguments.lines,
        follow: arguments.follow,
        output: arguments.output.clone(),
        machine: Some(machine.id.clone()),
    };
    let mut followed = Vec::new();
    for machine in &machines {
        let journal = client.journal(name.as_str(), &query(machine)).await.map_err(doing())?;
        if machines.len() > 1 && arguments.follow {
            followed.push(lines(journal));
            continue;
        }
        say_whose(machine, &machines, output)?;
        print(journal, output).await?.map_err(doing())?;
    }
    // Lines of several machines come as they are written, each in one piece.
    print(select_all(followed), output).await?.map_err(doing())?;
    Ok(0)
}

/// Prints what comes, as it comes.
async fn print(
    journal: impl Stream<Item = Result<Bytes, ApiError>>,
    output: &mut Output,
) -> Result<Result<(), ApiError>, CommandError> {
    pin_mut!(journal);
    while let Some(chunk) = journal.next().await {
        match chunk {
            Ok(chunk) => output.out().write_all(&chunk)?,
            Err(error) => return Ok(Err(error)),
        }
        output.flush()?;
    }
    Ok(Ok(()))
}

/// The same bytes, in whole lines.
fn lines(
    journal: impl Stream<Item = Result<Bytes, ApiError>> + Send + 'static,
) -> BoxStream<'static, Result<Bytes, ApiError>> {
    let begin = (journal.boxed(), Vec::new());
    stream::unfold(begin, |(mut journal, mut rest)| async move {
        loop {
            match journal.next().await {
                Some(Ok(chunk)) => {
                    rest.extend_from_slice(&chunk);
                    if let Some(end) = rest.iter().rposition(|&byte| byte == b'\n') {
                        let next = rest.split_off(end + 1);
                        return Some((Ok(rest.into()), (journal, next)));
                    }
                }
                Some(Err(error)) => return Some((Err(error), (journal, rest))),
                None if rest.is_empty() => return None,
                None => return Some((Ok(std::mem::take(&mut rest).into()), (journal, rest))),
            }
        }
    })
    .boxed()
}

/// Reads it as fleet did, from a fleetd that cannot be asked for it.
fn by_ssh(
    arguments: &Journal,
    name: &str,
    machines: &[MachineRef],
    ssh: &Ssh,
    output: &mut Output,
) -> Result<u8, CommandError> {
    let remote = Remote { ssh, port: arguments.ssh_port };
    let sudo = if arguments.sudo { "sudo " } else { "" };
    let follow = if arguments.follow { " -f" } else { "" };
    let (name, lines, mode) = (quoted(name), arguments.lines, quoted(&arguments.output));
    let command = format!("{sudo}journalctl --unit {name} --no-pager -n {lines} --output {mode}{follow}");
    if let (true, [_, _, ..]) = (arguments.follow, machines) {
        let names: Vec<_> = machines.iter().map(|machine| fields::machine(machine, false)).collect();
        return Err(CommandError::with_hint(
            format!("Unable to follow the journal of global unit {name} by ssh."),
            format!("This fleetd speaks API v1 alone; choose one machine with --machine: {}", names.join(", ")),
        ));
    }
    let mut ended = 0;
    for machine in machines {
        say_whose(machine, machines, output)?;
        let code = remote.run(machine, &command, output)?;
        ended = if ended == 0 { code } else { ended };
    }
    Ok(ended)
}

/// Where there are several, says whose journal comes now.
fn say_whose(machine: &MachineRef, machines: &[MachineRef], output: &mut Output) -> Result<(), CommandError> {
    if machines.len() > 1 {
        writeln!(output.err()?, "-- {} --", fields::machine(machine, false))?;
    }
    Ok(())
}

/// The machines whose journal to read.
fn machines_of(unit: &UnitView, wanted: Option<&str>) -> Result<Vec<MachineRef>, CommandError> {
    let machines = lookup::machines_of(unit, wanted);
    match (machines.is_empty(), wanted) {
        (false, _) => Ok(machines),
        // A unit may have run on a machine that no longer has it.
        (true, Some(wanted)) => Ok(vec![MachineRef { id: wanted.to_owned(), address: String::new() }]),
        (true, None) => Err(CommandError::with_hint(
            format!("Unit {} does not appear to be running.", unit.name),
            "With --machine ID the journal of a machine that had it is shown.",
        )),
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
            scheduled_to: 0,
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
            // A global unit has no machine of its own: each tells.
            (unit(None, &["m1", "m2"]), None, Ok("m1 m2")),
        ];
        for (unit, wanted, expected) in cases {
            let found = machines_of(&unit, wanted).map_err(|error| error.words().unwrap_or_default());
            let found =
                found.map(|machines| machines.into_iter().map(|machine| machine.id).collect::<Vec<_>>().join(" "));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(words), Err(expected)) => assert!(words.starts_with(expected), "{words}"),
                (found, expected) => panic!("{found:?} is not {expected:?}"),
            }
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn lines_of_several_machines_stay_whole() {
        let journal = |chunks: &[&'static str]| {
            let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect();
            stream::iter(chunks)
        };
        let whole: Vec<_> = lines(journal(&["a", "b\nc", "\nd\n", "e"])).map(|line| line.unwrap()).collect().await;
        assert_eq!(whole, ["ab\n", "c\nd\n", "e"]);
    }
}
