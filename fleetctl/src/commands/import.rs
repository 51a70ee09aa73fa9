//! `fleetctl import`

pub mod tree;

use std::collections::BTreeSet;
use std::io::Write;

use fleet_api::v2::{MachineChange, OperateRequest, Outcome, UnitChange, UnitOutcome, UnitsRequest};
use fleet_api::{ApiError, Client};
use fleet_units::DesiredState;

use crate::cli::Import;
use crate::error::CommandError;
use crate::etcd2::{Etcd2, Etcd2Error, Node};
use crate::output::Output;
use crate::settings::Settings;
use tree::{OldCluster, OldUnit};

/// Units that one request asks for.
const BATCH: usize = 100;

/// Takes over what a CoreOS fleet's tree says: units, what is wanted of them, and machines' metadata.
pub async fn run(
    arguments: &Import,
    settings: &Settings,
    client: &Client,
    output: &mut Output,
) -> Result<u8, CommandError> {
    let etcd = Etcd2::new(&arguments.etcd2, || settings.etcd.tls().map_err(|error| error.words().unwrap_or_default()))
        .map_err(failed)?;
    let prefix = settings.etcd.key_prefix.trim_matches('/').to_owned();
    let old = read(&etcd, &prefix).await?;
    let mut whole = true;
    for trouble in &old.trouble {
        whole = false;
        writeln!(output.err()?, "WARNING: {trouble}")?;
    }
    if arguments.dry_run {
        for unit in &old.units {
            writeln!(output.out(), "{} would be {}", unit.name, unit.desired)?;
        }
        return Ok(u8::from(!whole));
    }
    let here = client.machines().await.map_err(CommandError::doing("Error retrieving list of active machines"))?;
    let here: BTreeSet<&str> = here.machines.iter().map(|machine| machine.id.as_str()).collect();
    let (mut changes, mut held) = (Vec::new(), Vec::new());
    for unit in &old.units {
        let is_held = runs_elsewhere(unit, &old, &here) && !arguments.force;
        if is_held {
            held.push(unit);
        }
        changes.push(change(unit, is_held));
    }
    let outcomes = ask(&changes, client).await?;
    whole &= say(&outcomes, output)?;
    take_metadata(&old, client).await?;
    for unit in &held {
        let machine = unit.machine.as_deref().unwrap_or_default();
        let address = old.alive.get(machine).map(String::as_str).unwrap_or_default();
        writeln!(
            output.err()?,
            "WARNING: {} is inactive here, since CoreOS fleet runs it on {machine} ({address}), which is not in this cluster: \
             install this fleet there and import again, or stop it there and \"fleetctl start\" it here",
            unit.name
        )?;
    }
    for (machine, address) in old.alive.iter().filter(|(machine, _)| here.contains(machine.as_str())) {
        writeln!(
            output.err()?,
            "WARNING: CoreOS fleet is still alive on {machine} ({address}), and would go on managing the same units: \
             end it with SIGKILL, which leaves them running (SIGTERM would stop them all)"
        )?;
    }
    Ok(u8::from(!whole || !held.is_empty()))
}

async fn read(etcd: &Etcd2, prefix: &str) -> Result<OldCluster, CommandError> {
    let mut trees = Vec::new();
    for directory in ["job", "unit", "machines"] {
        trees.push(etcd.tree(&format!("{prefix}/{directory}")).await.map_err(failed)?);
    }
    let [job, unit, machines] = trees.as_slice() else { return Ok(OldCluster::default()) };
    if trees.iter().all(Option::is_none) {
        return Err(CommandError::with_hint(
            format!("There is no CoreOS fleet below /{prefix} in etcd at {}.", etcd.address()),
            "Where its fleet.conf set etcd_key_prefix, give the same with --etcd-key-prefix.",
        ));
    }
    let none = Node::default();
    let or_none = |tree: &Option<Node>| tree.clone().unwrap_or_else(|| none.clone());
    Ok(tree::read(&or_none(job), &or_none(unit), &or_none(machines)))
}

fn failed(error: Etcd2Error) -> CommandError {
    CommandError::message(format!("Error reading CoreOS fleet's units: {error}"))
}

/// Whether a CoreOS fleet that is alive runs it where this cluster has no say.
fn runs_elsewhere(unit: &OldUnit, old: &OldCluster, here: &BTreeSet<&str>) -> bool {
    let elsewhere = |machine: &str| old.alive.contains_key(machine) && !here.contains(machine);
    unit.desired != DesiredState::Inactive && unit.machine.as_deref().is_some_and(elsewhere)
}

fn change(unit: &OldUnit, is_held: bool) -> UnitChange {
    UnitChange {
        name: unit.name.clone(),
        text: Some(unit.text.clone()),
        desired_state: Some(if is_held { DesiredState::Inactive } else { unit.desired }),
        ..UnitChange::default()
    }
}

/// Asks for all of them; where a request is refused as a whole, one by one, so that one bad unit holds back no other.
async fn ask(changes: &[UnitChange], client: &Client) -> Result<Vec<UnitOutcome>, CommandError> {
    let doing = || CommandError::doing("Error creating units");
    let mut outcomes = Vec::new();
    for batch in changes.chunks(BATCH) {
        match client.change_units(&UnitsRequest { units: batch.to_vec() }).await {
            Ok(answer) => outcomes.extend(answer.units),
            Err(error) if error.status() != Some(400) => return Err(doing()(error)),
            Err(_) => {
                for change in batch {
                    match client.change_units(&UnitsRequest { units: vec![change.clone()] }).await {
                        Ok(answer) => outcomes.extend(answer.units),
                        Err(ApiError::Refused { status: 400, message }) => outcomes.push(UnitOutcome {
                            name: change.name.clone(),
                            outcome: Outcome::Refused,
                            uid: None,
                            desired_state: None,
                            message: Some(message),
                        }),
                        Err(error) => return Err(doing()(error)),
                    }
                }
            }
        }
    }
    Ok(outcomes)
}

/// Says what became of each; false when something is left to do.
fn say(outcomes: &[UnitOutcome], output: &mut Output) -> Result<bool, CommandError> {
    let mut whole = true;
    for unit in outcomes {
        let name = &unit.name;
        let desired = unit.desired_state.map(|desired| desired.to_string()).unwrap_or_default();
        match unit.outcome {
            Outcome::Created | Outcome::Replaced => writeln!(output.out(), "Unit {name} imported ({desired})")?,
            Outcome::Changed => writeln!(output.out(), "Unit {name} was here, and is {desired} now")?,
            Outcome::Unchanged => writeln!(output.out(), "Unit {name} was here ({desired})")?,
            Outcome::Differs => {
                whole = false;
                writeln!(output.err()?, "WARNING: {name} is here with another text, which is left as it is")?;
            }
            Outcome::Refused => {
                whole = false;
                let why = unit.message.as_deref().unwrap_or("no reason was given");
                writeln!(output.err()?, "WARNING: {name} was refused: {why}")?;
            }
        }
    }
    Ok(whole)
}

async fn take_metadata(old: &OldCluster, client: &Client) -> Result<(), CommandError> {
    let said = old.metadata.iter();
    let machines: Vec<MachineChange> = said
        .map(|(id, metadata)| MachineChange { id: id.clone(), metadata: metadata.clone(), ..MachineChange::default() })
        .collect();
    if !machines.is_empty() {
        let asked = client.operate(&OperateRequest { machines }).await;
        asked.map_err(CommandError::doing("Error changing machines' metadata"))?;
    }
    Ok(())
}
