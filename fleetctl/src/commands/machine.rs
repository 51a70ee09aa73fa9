//! `fleetctl machine`

use std::collections::BTreeMap;
use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::MachineChange;

use super::machines;
use crate::cli::{Machine, MachineAction};
use crate::error::CommandError;
use crate::fields;
use crate::output::Output;

/// Changes a machine's metadata, or shows it where no change is given.
pub async fn run(arguments: &Machine, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let MachineAction::Metadata { machine, changes } = &arguments.action;
    let metadata = changes.iter().map(|change| parse(change)).collect::<Result<BTreeMap<_, _>, _>>()?;
    let cluster = machines::cluster(client, output).await?;
    let machine = machines::find(&cluster, machine)?;
    if metadata.is_empty() {
        let shown = cluster.machines.iter().find(|shown| shown.id == machine.id);
        for (key, value) in shown.into_iter().flat_map(|shown| &shown.metadata) {
            writeln!(output.out(), "{key}={value}")?;
        }
        return Ok(0);
    }
    let change = MachineChange { metadata, ..MachineChange::default() };
    let changed =
        machines::say(std::slice::from_ref(&machine), &change, "Error changing a machine's metadata", client).await?;
    let words = if changed.contains(&true) { "has other metadata now" } else { "had this metadata already" };
    writeln!(output.out(), "Machine {} {words}", fields::machine(&machine, false))?;
    Ok(0)
}

/// `key=value` sets, `key-` removes.
pub fn parse(change: &str) -> Result<(String, Option<String>), CommandError> {
    let (key, value) = match (change.split_once('='), change.strip_suffix('-')) {
        (Some((key, value)), _) if !value.is_empty() => (key, Some(value.to_owned())),
        (None, Some(key)) => (key, None),
        _ => ("", None),
    };
    match key {
        "" => Err(CommandError::with_hint(
            format!("{change:?} is no change of metadata."),
            "key=value sets a key, and key- removes one.",
        )),
        key => Ok((key.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_set_and_remove() {
        let cases = [
            ("zone=a", Some(("zone", Some("a")))),
            ("zone=a=b-", Some(("zone", Some("a=b-")))),
            ("zone-", Some(("zone", None))),
            ("a-zone-", Some(("a-zone", None))),
            ("zone=", None),
            ("zone", None),
            ("=a", None),
            ("-", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let found = parse(text).ok();
            let found = found.as_ref().map(|(key, value)| (key.as_str(), value.as_deref()));
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
