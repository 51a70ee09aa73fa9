//! Asking fleetd for units.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::{UnitList, UnitView};
use fleet_units::UnitName;

use crate::error::CommandError;
use crate::output::Output;

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

/// The units that were named on the command line, each once.
pub(super) fn names(arguments: &[String]) -> Result<Vec<UnitName>, CommandError> {
    let (mut names, mut seen) = (Vec::new(), BTreeSet::new());
    for argument in arguments {
        let mangled = UnitName::mangle(argument);
        let name = UnitName::parse(&mangled)
            .map_err(|error| CommandError::message(format!("invalid unit name {argument:?}: {error}")))?;
        if seen.insert(name.clone()) {
            names.push(name);
        }
    }
    Ok(names)
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
