//! `fleetctl plan`

mod kept;
mod offline;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::{ClusterStatus, FateKind, MachineRef, PlanAnswer, PlanRequest, SupposedMachine, UnitChange};
use fleet_units::DesiredState;

use super::change::{self, Asked};
use super::{lookup, machine, machines, start};
use crate::cli::{Format, Plan};
use crate::error::CommandError;
use crate::fields;
use crate::output::Output;
use crate::settings::Settings;
use crate::table;

pub(super) use kept::Kept;

/// Machines that are named in a cell; the others are counted.
const SHOWN: usize = 3;

/// Says what would come of a change. Ends with 1 where a unit would be refused, or be left without a machine.
pub async fn run(
    arguments: &Plan,
    settings: &Settings,
    client: &Client,
    output: &mut Output,
) -> Result<u8, CommandError> {
    let asks_nothing = arguments.submit.units.is_empty()
        && arguments.lose.is_empty()
        && arguments.drain.is_empty()
        && arguments.metadata.is_empty();
    if asks_nothing {
        return Err(CommandError::with_hint(
            "Nothing to plan.",
            "Name units to start, or machines with --lose, --drain, or --metadata.",
        ));
    }
    if arguments.output.is_some() {
        output.is_for_programs();
    }
    let (answer, startable) = match &arguments.snapshot {
        Some(file) => (offline::plan(arguments, file, output)?, None),
        None => {
            let asked = units(arguments, client, output).await?;
            let machines = match names_machines(arguments) {
                true => supposed(arguments, &machines::cluster(client, output).await?)?,
                false => Vec::new(),
            };
            let request = PlanRequest { units: changes(&asked), machines };
            let answer = client.plan(&request).await.map_err(CommandError::doing("Error planning"))?;
            lookup::warn_if_stale(answer.stale, output)?;
            (answer, Some(asked))
        }
    };
    let kept = keep(&answer, startable.as_deref(), settings, output)?;
    match arguments.output {
        None => output.out().write_all(render(&answer, kept).as_bytes())?,
        Some(Format::Json) => writeln!(output.out(), "{}", serde_json::json!(answer))?,
    }
    Ok(u8::from(leaves_out(&answer)))
}

/// Keeps a plan that can be started, so that its token is all that is needed. That it cannot be kept is no failure: the
/// units are named again then.
fn keep(
    answer: &PlanAnswer,
    asked: Option<&[Asked]>,
    settings: &Settings,
    output: &mut Output,
) -> Result<bool, CommandError> {
    let (Some(token), Some(asked), Some(folder)) = (&answer.token, asked, &settings.plans) else { return Ok(false) };
    match kept::write(folder, token, asked) {
        Ok(()) => Ok(true),
        Err(error) => {
            writeln!(output.err()?, "WARNING: the plan cannot be kept in {}: {error}", folder.display())?;
            Ok(false)
        }
    }
}

/// What would come of starting units now, and whether that was kept: said where it is not what was planned.
pub(super) async fn again(
    asked: &[Asked],
    settings: &Settings,
    client: &Client,
    output: &mut Output,
) -> Result<(), CommandError> {
    let request = PlanRequest { units: changes(asked), machines: Vec::new() };
    let answer = client.plan(&request).await.map_err(CommandError::doing("Error planning"))?;
    let kept = keep(&answer, Some(asked), settings, output)?;
    writeln!(output.out(), "By now it would come to this:")?;
    output.out().write_all(render(&answer, kept).as_bytes())?;
    Ok(output.flush()?)
}

/// The units to start, as `fleetctl start` would ask for them.
async fn units(arguments: &Plan, client: &Client, output: &mut Output) -> Result<Vec<Asked>, CommandError> {
    match arguments.submit.units.is_empty() {
        true => Ok(Vec::new()),
        false => start::resolve(&arguments.submit, client, output).await,
    }
}

fn changes(asked: &[Asked]) -> Vec<UnitChange> {
    let launched = |unit: &Asked| UnitChange { desired_state: Some(DesiredState::Launched), ..unit.change.clone() };
    asked.iter().map(launched).collect()
}

fn names_machines(arguments: &Plan) -> bool {
    !(arguments.lose.is_empty() && arguments.drain.is_empty() && arguments.metadata.is_empty())
}

/// What happens to the machines that were named.
fn supposed(arguments: &Plan, cluster: &ClusterStatus) -> Result<Vec<SupposedMachine>, CommandError> {
    let mut found: BTreeMap<String, SupposedMachine> = BTreeMap::new();
    let mut of = |name: &str, change: &mut dyn FnMut(&mut SupposedMachine)| {
        let id = machines::find(cluster, name)?.id;
        let machine = found.entry(id.clone()).or_insert_with(|| SupposedMachine { id, ..Default::default() });
        change(machine);
        Ok::<(), CommandError>(())
    };
    for name in &arguments.lose {
        of(name, &mut |machine| machine.lost = true)?;
    }
    for name in &arguments.drain {
        of(name, &mut |machine| machine.draining = true)?;
    }
    for (name, changes) in metadata(&arguments.metadata)? {
        of(name, &mut |machine| machine.metadata.extend(changes.iter().cloned()))?;
    }
    Ok(found.into_values().collect())
}

/// A machine as it was named, and how its metadata changes.
type Changed<'a> = (&'a str, Vec<(String, Option<String>)>);

/// `MACHINE CHANGE… MACHINE CHANGE…`. A word that is neither is told of: it may be a unit that would not be planned.
fn metadata(words: &[String]) -> Result<Vec<Changed<'_>>, CommandError> {
    let wrong = |what: String| {
        CommandError::with_hint(
            what,
            "--metadata takes a machine and what changes of it: key=value sets a key, and key- removes one.",
        )
    };
    let mut machines: Vec<Changed<'_>> = Vec::new();
    for word in words {
        match (machine::parse(word), machines.last_mut()) {
            (Ok(change), Some((_, changes))) => changes.push(change),
            (Err(error), _) if word.contains('=') => return Err(error),
            (Ok(_), None) if word.contains('=') => return Err(wrong(format!("{word} is a change of no machine."))),
            _ => machines.push((word, Vec::new())),
        }
    }
    match machines.iter().find(|(_, changes)| changes.is_empty()) {
        Some((name, _)) => Err(wrong(format!("Nothing is said to change of {name}."))),
        None => Ok(machines),
    }
}

/// Whether a unit would be refused, or have no machine.
fn leaves_out(answer: &PlanAnswer) -> bool {
    let is_out = |fate: FateKind| matches!(fate, FateKind::Displaced | FateKind::Unplaced);
    !answer.refused.is_empty() || answer.units.iter().any(|unit| is_out(unit.fate))
}

/// What is printed: a line for each unit, how many there are of each kind, and how to do it. `kept` is whether the token
/// is all that is needed for that.
pub fn render(answer: &PlanAnswer, kept: bool) -> String {
    let mut text = String::new();
    let mut line = |words: &str| _ = writeln!(text, "{words}");
    if answer.brake {
        line(
            "So many machines lost at once put the brake on: nothing of this happens before \"fleetctl brake release\".",
        );
    }
    for unit in &answer.refused {
        line(&format!("Unit {} would be refused: {}", unit.name, unit.message));
    }
    if answer.units.is_empty() {
        line("No unit would move.");
        return text;
    }
    let mut rows = vec![["UNIT", "FATE", "FROM", "TO", "WHY"].map(str::to_owned)];
    rows.extend(answer.units.iter().map(|unit| {
        let cell = |machines: &[MachineRef]| match machines {
            [] => "-".to_owned(),
            machines => few(machines),
        };
        [unit.name.clone(), word(unit.fate).to_owned(), cell(&unit.from), cell(&unit.to), unit.reason.clone()]
    }));
    text.push_str(&table::render(&rows));
    let mut counts: BTreeMap<FateKind, usize> = BTreeMap::new();
    answer.units.iter().for_each(|unit| *counts.entry(unit.fate).or_default() += 1);
    let counts: Vec<String> = counts.into_iter().map(|(fate, count)| format!("{count} {}", word(fate))).collect();
    _ = writeln!(text, "{}. Nothing has been changed.", counts.join(", "));
    if let Some(token) = &answer.token {
        let units = if kept { "" } else { " and the same units" };
        _ = writeln!(text, "\"fleetctl start --plan {token}\"{units} starts them, if it still comes to this then.");
    }
    text
}

/// What would become of a unit, as lists say it.
fn word(fate: FateKind) -> &'static str {
    match fate {
        FateKind::Placed => "placed",
        FateKind::Moved => "moved",
        FateKind::Spread => "global",
        FateKind::Displaced => "left-without",
        FateKind::Unplaced => "nowhere",
        FateKind::Stays => "stays",
        FateKind::Withdrawn => "withdrawn",
        FateKind::Other => "other",
    }
}

/// The first of several machines, and how many more there are.
fn few(machines: &[MachineRef]) -> String {
    let shown: Vec<String> = machines.iter().take(SHOWN).map(|machine| fields::machine(machine, false)).collect();
    match machines.len().saturating_sub(SHOWN) {
        0 => shown.join(","),
        more => format!("{} +{more}", shown.join(",")),
    }
}
