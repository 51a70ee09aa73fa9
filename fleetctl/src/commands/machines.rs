//! Finding the machines that were named on the command line, and saying something of them.

use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::{ClusterStatus, MachineChange, MachineRef, OperateRequest};

use super::lookup;
use crate::error::CommandError;
use crate::fields;
use crate::output::Output;

/// The cluster, for looking up machines.
pub(super) async fn cluster(client: &Client, output: &mut Output) -> Result<ClusterStatus, CommandError> {
    let cluster = client.cluster().await.map_err(CommandError::doing("Error retrieving the cluster's machines"))?;
    lookup::warn_if_stale(cluster.stale, output)?;
    Ok(cluster)
}

/// The named machines, each once, in the order of the names.
pub(super) fn find_all(cluster: &ClusterStatus, names: &[String]) -> Result<Vec<MachineRef>, CommandError> {
    if names.is_empty() {
        return Err(CommandError::with_hint(
            "No machine given.",
            "Name machines by id, by the beginning of one, or by hostname; \"fleetctl list-machines\" shows them.",
        ));
    }
    let mut found: Vec<MachineRef> = Vec::new();
    for name in names {
        let machine = find(cluster, name)?;
        if !found.contains(&machine) {
            found.push(machine);
        }
    }
    Ok(found)
}

/// The machine of this id, of the only id that begins so, or of this hostname, whether it is present or lost.
pub(super) fn find(cluster: &ClusterStatus, name: &str) -> Result<MachineRef, CommandError> {
    // As lists show it: `4c2c1ae0...`.
    let beginning = name.trim_end_matches("...");
    let present = cluster.machines.iter().map(|machine| {
        (machine.hostname.as_str(), MachineRef { id: machine.id.clone(), address: machine.address.clone() })
    });
    let lost = cluster.lost.iter().map(|machine| ("", MachineRef { id: machine.id.clone(), address: String::new() }));
    let known: Vec<(&str, MachineRef)> = present.chain(lost).collect();
    if let Some((_, machine)) = known.iter().find(|(_, machine)| machine.id == name) {
        return Ok(machine.clone());
    }
    let meant = |(hostname, machine): &&(&str, MachineRef)| {
        !beginning.is_empty() && (machine.id.starts_with(beginning) || *hostname == name)
    };
    let candidates: Vec<&(&str, MachineRef)> = known.iter().filter(meant).collect();
    match candidates.as_slice() {
        [(_, machine)] => Ok(machine.clone()),
        [] => Err(CommandError::with_hint(
            format!("There is no machine {name:?}."),
            "\"fleetctl list-machines\" shows those that are present, \"fleetctl cluster status\" those that are lost.",
        )),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|(hostname, machine)| match *hostname {
                    "" => machine.id.clone(),
                    hostname => format!("{} ({hostname})", machine.id),
                })
                .collect();
            Err(CommandError::with_hint(
                format!("{name:?} may be any of {} machines.", several.len()),
                format!("Name one of {}.", names.join(", ")),
            ))
        }
    }
}

/// Says the same of every machine. Tells of each whether that was news.
pub(super) async fn say(
    machines: &[MachineRef],
    change: &MachineChange,
    doing: &str,
    client: &Client,
) -> Result<Vec<bool>, CommandError> {
    let one = |machine: &MachineRef| MachineChange { id: machine.id.clone(), ..change.clone() };
    let request = OperateRequest { machines: machines.iter().map(one).collect() };
    let answer = client.operate(&request).await.map_err(CommandError::doing(doing))?;
    Ok(answer.machines.iter().map(|machine| machine.changed).collect())
}

/// Says the same of every machine that is named, and prints a line for each: `changed` where it was news, else `same`.
pub(super) async fn say_and_print(
    names: &[String],
    change: &MachineChange,
    words: Words,
    client: &Client,
    output: &mut Output,
) -> Result<(ClusterStatus, Vec<MachineRef>), CommandError> {
    let cluster = cluster(client, output).await?;
    let machines = find_all(&cluster, names)?;
    let changed = say(&machines, change, words.doing, client).await?;
    for (machine, changed) in machines.iter().zip(changed) {
        let words = if changed { words.changed } else { words.same };
        writeln!(output.out(), "Machine {} {words}", fields::machine(machine, false))?;
    }
    output.flush()?;
    Ok((cluster, machines))
}

/// What is said of a machine once something was said of it.
#[derive(Clone, Copy)]
pub(super) struct Words {
    /// What could not be done.
    pub doing: &'static str,
    /// It was news.
    pub changed: &'static str,
    /// It was so already.
    pub same: &'static str,
}

#[cfg(test)]
mod tests {
    use fleet_api::v2::{LostMachine, MachineView};

    use super::*;

    fn cluster() -> ClusterStatus {
        let machine =
            |id: &str, hostname: &str| MachineView { id: id.into(), hostname: hostname.into(), ..Default::default() };
        ClusterStatus {
            machines: vec![machine("4c2c1ae0b5", "web-1"), machine("4c9d7c6b5a", "web-2"), machine("aa", "twin")],
            lost: vec![LostMachine { id: "aab1".into(), ..Default::default() }],
            ..Default::default()
        }
    }

    #[test]
    fn machines_are_found_by_id_by_its_beginning_and_by_hostname() {
        let cases = [
            ("4c2c1ae0b5", "4c2c1ae0b5"),
            ("4c2", "4c2c1ae0b5"),
            ("4c2c1ae0...", "4c2c1ae0b5"),
            ("web-2", "4c9d7c6b5a"),
            ("aa", "aa"),
            ("aab", "aab1"),
        ];
        for (name, id) in cases {
            assert_eq!(find(&cluster(), name).unwrap().id, id, "{name}");
        }
    }

    #[test]
    fn what_is_nobody_or_several_is_refused() {
        let words = |name: &str| find(&cluster(), name).unwrap_err().words().unwrap_or_default();
        insta::assert_snapshot!(words("4c"), @r#"
        "4c" may be any of 2 machines.
        Name one of 4c2c1ae0b5 (web-1), 4c9d7c6b5a (web-2).
        "#);
        for name in ["web", "", "...", "5a"] {
            assert!(words(name).starts_with(&format!("There is no machine {name:?}.")), "{name:?}");
        }
    }

    #[test]
    fn each_machine_counts_once() {
        let names = ["web-1", "aab", "4c2"].map(str::to_owned);
        let ids: Vec<String> = find_all(&cluster(), &names).unwrap().into_iter().map(|machine| machine.id).collect();
        assert_eq!(ids, ["4c2c1ae0b5", "aab1"]);
        assert!(find_all(&cluster(), &[]).is_err());
    }
}
