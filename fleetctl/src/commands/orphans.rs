//! `fleetctl orphans`

use std::io::Write;
use std::time::Duration;

use fleet_api::Client;
use fleet_api::v2::{ClusterStatus, MachineRef, Orphan, OrphanRequest};
use tokio::time::{Instant, sleep};

use super::{cluster, machines};
use crate::cli::{Orphans, OrphansAction};
use crate::error::CommandError;
use crate::fields;
use crate::output::Output;
use crate::table;

/// How long an orphan may be stopping before one is told that it still is.
const LIMIT: Duration = Duration::from_secs(120);
/// How often it is looked whether it has stopped.
const LOOK: Duration = Duration::from_millis(200);

/// Lists orphans, or stops them.
pub async fn run(arguments: &Orphans, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let status = machines::cluster(client, output).await?;
    match &arguments.action {
        None | Some(OrphansAction::List) => {
            output.out().write_all(render(&status).as_bytes())?;
            Ok(0)
        }
        Some(OrphansAction::Stop { machine, units }) => {
            let machine = machine.as_deref().map(|name| machines::find(&status, name)).transpose()?;
            let chosen = choose(&status, units, machine.as_ref())?;
            stop(&chosen, client, output).await
        }
    }
}

/// The list.
pub fn render(status: &ClusterStatus) -> String {
    let mut rows = vec![["UNIT", "MACHINE", "ACTIVE", "SINCE"].map(str::to_owned)];
    rows.extend(status.orphans.iter().map(|orphan| {
        let since = if orphan.since == 0 { "-".to_owned() } else { cluster::age(status.now, orphan.since) };
        let active = if orphan.active.is_empty() { "-".to_owned() } else { orphan.active.clone() };
        [orphan.unit.clone(), fields::machine(&orphan.machine, false), active, since]
    }));
    table::render(&rows)
}

/// The orphans that were named, each once. Whether all are meant is not guessed.
pub fn choose(
    status: &ClusterStatus,
    units: &[String],
    machine: Option<&MachineRef>,
) -> Result<Vec<Orphan>, CommandError> {
    if units.is_empty() {
        return Err(CommandError::with_hint("No orphan given.", "\"fleetctl orphans\" lists them."));
    }
    let mut chosen: Vec<Orphan> = Vec::new();
    for unit in units {
        let meant = |orphan: &&Orphan| {
            let there = machine.is_none_or(|machine| machine.id == orphan.machine.id);
            there && (orphan.unit == *unit || orphan.unit == format!("{unit}.service"))
        };
        let found: Vec<&Orphan> = status.orphans.iter().filter(meant).collect();
        match found.as_slice() {
            [] => {
                return Err(CommandError::with_hint(
                    format!("There is no orphan {unit:?}."),
                    "\"fleetctl orphans\" lists them; \"fleetctl stop\" stops units of the cluster.",
                ));
            }
            [orphan] => {
                if !chosen.contains(orphan) {
                    chosen.push((*orphan).clone());
                }
            }
            several => {
                let machines = several.iter().map(|orphan| fields::machine(&orphan.machine, false));
                return Err(CommandError::with_hint(
                    format!("There are {} orphans {unit:?}.", several.len()),
                    format!("Choose with --machine: {}.", machines.collect::<Vec<_>>().join(", ")),
                ));
            }
        }
    }
    Ok(chosen)
}

async fn stop(orphans: &[Orphan], client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let doing = |orphan: &Orphan| CommandError::doing(format!("Error stopping the orphan {}", orphan.unit));
    for orphan in orphans {
        let request = OrphanRequest { unit: orphan.unit.clone(), machine: orphan.machine.id.clone() };
        client.stop_orphan(&request).await.map_err(doing(orphan))?;
    }
    let begin = Instant::now();
    for orphan in orphans {
        let shown = fields::machine(&orphan.machine, false);
        let is_it = |other: &Orphan| (&other.unit, &other.machine.id) == (&orphan.unit, &orphan.machine.id);
        while client.cluster().await.map_err(doing(orphan))?.orphans.iter().any(is_it) {
            if begin.elapsed() > LIMIT {
                return Err(CommandError::with_hint(
                    format!("The orphan {} on {shown} is still stopping.", orphan.unit),
                    "It goes on; \"fleetctl orphans\" shows whether it has.",
                ));
            }
            sleep(LOOK).await;
        }
        writeln!(output.out(), "The orphan {} on {shown} is stopped and removed", orphan.unit)?;
    }
    Ok(0)
}
