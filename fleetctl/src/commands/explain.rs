//! `fleetctl explain`

use std::fmt::Write as _;
use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::{DecisionKind, Explanation, MachineRef, StateView};

use super::{cluster, lookup};
use crate::cli::{Explain, Format};
use crate::error::CommandError;
use crate::fields;
use crate::output::Output;

/// Machines of one kind that are named; the others are counted.
const SHOWN: usize = 5;

/// Says where a unit is and why, or why it is nowhere.
pub async fn run(arguments: &Explain, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let name = lookup::one(&arguments.units, "One unit must be provided", client).await?;
    let found = client.explain(name.as_str()).await.map_err(|error| match error.is_not_found() {
        true => CommandError::message(format!("Unit {name} not found")),
        false => CommandError::doing(format!("Error explaining unit {name}"))(error),
    })?;
    lookup::warn_if_stale(found.stale, output)?;
    match arguments.output {
        None => output.out().write_all(render(&found).as_bytes())?,
        Some(Format::Json) => writeln!(output.out(), "{}", serde_json::json!(found))?,
    }
    Ok(0)
}

/// What is printed: where the unit is, why, and what the other machines answer.
pub fn render(found: &Explanation) -> String {
    let mut text = String::new();
    let mut line = |words: String| _ = writeln!(text, "{words}");
    line(format!("{}: {}", found.unit.name, headline(found)));
    for place in &found.places {
        line(format!("  on {}{}", fields::machine(place, false), since(found, place)));
    }
    if let Some(anew) = &found.placed_anew {
        let same = found.places.contains(&anew.machine);
        line(match same {
            true => format!("  placed anew it would be there again: {}", anew.reason),
            false => format!(
                "  placed anew it would be on {}: {}; it is not moved for that",
                fields::machine(&anew.machine, false),
                anew.reason
            ),
        });
    }
    if let Some(note) = found.unit.note.as_ref().filter(|note| note.reason != found.reason) {
        line(format!("  the leader says, since {}: {}", cluster::age(found.now, note.since), note.reason));
    }
    if !found.able.is_empty() {
        let able = found.able.iter().map(|able| format!("{} ({})", fields::machine(&able.machine, false), able.units));
        line(format!("{} could take it (has units): {}", machines(found.able.len()), few(able)));
    }
    for rejection in &found.rejections {
        let which = few(rejection.machines.iter().map(|machine| fields::machine(machine, false)));
        line(format!("{} {}: {which}", machines(rejection.count), rejection.reason));
    }
    if let Some(change) = &found.smallest_change {
        let machine = fields::machine(&change.machine, false);
        line(format!("smallest change: {}; it would be placed on {machine} then", change.steps.join(" and ")));
    }
    text
}

/// What is decided, in a line.
fn headline(found: &Explanation) -> String {
    match found.decision {
        DecisionKind::Unwanted if found.places.is_empty() => "nobody wants it to have a machine".to_owned(),
        DecisionKind::Unwanted => "it is to leave its machine: nobody wants it to have one".to_owned(),
        _ => found.reason.clone(),
    }
}

/// What a machine says of it, and for how long that has been so.
fn since(found: &Explanation, place: &MachineRef) -> String {
    let Some(state) = found.unit.states.iter().find(|state| state.machine.id == place.id) else {
        return String::new();
    };
    let StateView { active, sub, since, stale, .. } = state;
    match since {
        _ if *stale => format!(", {active} ({sub}) when it was last heard of"),
        0 => format!(", {active} ({sub})"),
        since => format!(", {active} ({sub}) for {}", cluster::age(found.now, *since)),
    }
}

fn machines(count: usize) -> String {
    if count == 1 { "1 machine".to_owned() } else { format!("{count} machines") }
}

/// The first of them, and how many more there are.
fn few(all: impl ExactSizeIterator<Item = String>) -> String {
    let count = all.len();
    let shown: Vec<String> = all.take(SHOWN).collect();
    let more = if count > SHOWN { format!(", and {} more", count - SHOWN) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
