//! `fleetctl list-units`

use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::{NoteKind, StateView, UnitList, UnitView};

use crate::cli::List;
use crate::error::CommandError;
use crate::fields::{self, Field};
use crate::output::Output;

/// What is shown unless told otherwise.
const DEFAULT_FIELDS: &str = "unit,machine,active,sub";

/// A line of the list: a unit on a machine.
#[derive(Clone, Debug)]
struct Row {
    unit: String,
    state: StateView,
}

const FIELDS: &[Field<Row>] = &[
    Field { name: "unit", cell: |row, _| row.unit.clone() },
    Field { name: "load", cell: |row, _| row.state.load.clone() },
    Field { name: "active", cell: |row, _| row.state.active.clone() },
    Field { name: "sub", cell: |row, _| row.state.sub.clone() },
    Field { name: "machine", cell: |row, full| fields::machine(&row.state.machine, full) },
    Field { name: "hash", cell: |row, full| fields::hash(row.state.hash.as_ref(), full) },
];

/// Lists what systemd says of units, machine by machine.
pub async fn run(list: &List, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    fields::select(list, FIELDS, DEFAULT_FIELDS)?;
    let units = super::lookup::all(client, output).await?;
    let notes = notes(&units);
    output.out().write_all(render(list, units)?.as_bytes())?;
    output.flush()?;
    for note in notes {
        writeln!(output.err()?, "{note}")?;
    }
    Ok(0)
}

/// What the columns do not show: for what a start waits, and how long a stop may take.
pub fn notes(units: &UnitList) -> Vec<String> {
    let states = units.units.iter().flat_map(|unit| unit.states.iter().map(move |state| (unit, state)));
    let live = states.filter(|(_, state)| !state.stale || units.stale);
    let stopping =
        live.filter_map(|(unit, state)| Some(format!("NOTE: {} is {}", unit.name, fields::stopping(state)?)));
    let waiting = units.units.iter().filter(|unit| unit.global || unit.machine.is_some()).filter_map(|unit| {
        let note = unit.note.as_ref().filter(|note| note.kind == NoteKind::Waiting)?;
        Some(format!("NOTE: {}: {}", unit.name, note.reason))
    });
    waiting.chain(stopping).collect()
}

/// What is printed for these units.
pub fn render(list: &List, units: UnitList) -> Result<String, CommandError> {
    let fields = fields::select(list, FIELDS, DEFAULT_FIELDS)?;
    let mut shown = units.units;
    if units.stale {
        // Everything may be old then, and a person was told so: the last words of all machines are worth the same.
        shown.iter_mut().flat_map(|unit| &mut unit.states).for_each(|state| state.stale = false);
    }
    let rows: Vec<Row> = shown.into_iter().flat_map(rows_of).collect();
    Ok(fields::render(list, &fields, &rows))
}

/// The lines of a unit.
///
/// The last words of a lost machine are left out, as fleet did, unless the unit still belongs there: then nobody knows
/// what it does, and the line says so.
fn rows_of(unit: UnitView) -> Vec<Row> {
    let belongs_to = unit.machine.map(|machine| machine.id);
    let shown = unit.states.into_iter().filter_map(|mut state| {
        if state.stale {
            if belongs_to.as_ref() != Some(&state.machine.id) {
                return None;
            }
            state.active = "unknown".to_owned();
            state.sub = "machine-lost".to_owned();
        }
        Some(Row { unit: unit.name.clone(), state })
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_start_waits_for_is_said_beside_the_list() {
        let reason = "its start waits for db.service, which failed on m2";
        let unit = |name: &str, machine: Option<&str>, kind: &str| {
            serde_json::json!({
                "name": name, "uid": 1, "machine": machine.map(|id| serde_json::json!({"id": id, "address": ""})),
                "note": {"kind": kind, "reason": reason},
            })
        };
        let units = [
            unit("app.service", Some("m1"), "waiting"),
            unit("db.service", Some("m2"), "placed"),
            unit("nowhere.service", None, "waiting"),
        ];
        let list = serde_json::json!({"revision": 1, "units": units});
        let list: UnitList = serde_json::from_value(list).expect("a list of units");
        assert_eq!(notes(&list), [format!("NOTE: app.service: {reason}")]);
    }
}
