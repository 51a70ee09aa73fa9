//! Asking fleetd for units.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::{MachineRef, UnitList, UnitView};
use fleet_units::UnitName;

use crate::error::CommandError;
use crate::output::Output;
use crate::resolve::pattern;

/// What fleet said when it could not list units.
const LISTING: &str = "Error retrieving list of units from repository";

/// All units.
pub(super) async fn all(client: &Client, output: &mut Output) -> Result<UnitList, CommandError> {
    let list = client.units::<&str>(&[]).await.map_err(CommandError::doing(LISTING))?;
    warn_if_stale(list.stale, output)?;
    Ok(list)
}

/// Those of the named units that the cluster knows, in the order of the names, and the names of the others.
/// `doing` is what fleet said when it could not find out.
pub(super) async fn named(
    client: &Client,
    names: &[UnitName],
    doing: &str,
) -> Result<(Vec<UnitView>, Vec<UnitName>), CommandError> {
    let list = client.units(names).await.map_err(CommandError::doing(doing))?;
    let views = list.units.into_iter().filter(|unit| unit.desired_state.is_some());
    let mut views: BTreeMap<String, UnitView> = views.map(|view| (view.name.clone(), view)).collect();
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for name in names {
        match views.remove(name.as_str()) {
            Some(view) => known.push(view),
            None => unknown.push(name.clone()),
        }
    }
    Ok((known, unknown))
}

/// The units that were named on the command line, each once: by name, or by a pattern of names that the cluster knows. A
/// pattern that matches nothing stands for itself, as a name that nobody knows.
pub(super) async fn expand(arguments: &[String], client: &Client) -> Result<Vec<UnitName>, CommandError> {
    let units = match arguments.iter().any(|argument| pattern::is_pattern(argument)) {
        false => Vec::new(),
        true => client.units::<&str>(&[]).await.map_err(CommandError::doing(LISTING))?.units,
    };
    let (mut names, mut seen) = (Vec::new(), BTreeSet::new());
    for argument in arguments {
        let found = match pattern::is_pattern(argument) {
            true => pattern::matches(argument, &units)?,
            false => vec![name(argument)?],
        };
        names.extend(found.into_iter().filter(|name| seen.insert(name.clone())));
    }
    Ok(names)
}

/// The one unit that was named. `words` is what fleet said where it was none, or several.
pub(super) async fn one(arguments: &[String], words: &str, client: &Client) -> Result<UnitName, CommandError> {
    let [argument] = arguments else { return Err(CommandError::message(words)) };
    let found: Vec<UnitName> = expand(std::slice::from_ref(argument), client).await?;
    found.try_into().map(|[name]: [UnitName; 1]| name).map_err(|found: Vec<UnitName>| match found.is_empty() {
        true => CommandError::message(format!("No unit matches {argument:?}.")),
        false => {
            let names: Vec<&str> = found.iter().map(UnitName::as_str).collect();
            CommandError::with_hint(words, format!("{argument:?} matches {}.", names.join(", ")))
        }
    })
}

/// What was typed as a name.
pub(super) fn name(argument: &str) -> Result<UnitName, CommandError> {
    UnitName::parse(&UnitName::mangle(argument))
        .map_err(|error| CommandError::message(format!("invalid unit name {argument:?}: {error}")))
}

/// The machines that have a unit and are present: its own, or all of a global one. `wanted` is the beginning of an id.
pub(super) fn machines_of(unit: &UnitView, wanted: Option<&str>) -> Vec<MachineRef> {
    let mut machines: Vec<MachineRef> = match &unit.machine {
        Some(machine) if wanted.is_none() => vec![machine.clone()],
        machine => {
            let live = unit.states.iter().filter(|state| !state.stale).map(|state| state.machine.clone());
            machine.iter().cloned().chain(live).collect()
        }
    };
    if let Some(wanted) = wanted {
        machines.retain(|machine| machine.id.starts_with(wanted.trim_end_matches("...")));
    }
    let mut seen = BTreeSet::new();
    machines.retain(|machine| seen.insert(machine.id.clone()));
    machines
}

/// Says so when fleetd is cut off from the registry: what it knows may be old.
pub(super) fn warn_if_stale(stale: bool, output: &mut Output) -> Result<(), CommandError> {
    if stale {
        writeln!(
            output.err()?,
            "WARNING: fleetd has lost touch with the registry; this is what it last knew, and may be out of date."
        )?;
    }
    Ok(())
}
