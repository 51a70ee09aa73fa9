//! `fleetctl list-units`

use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::{NoteKind, StateView, UnitList, UnitView};
use fleet_units::DesiredState;

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

/// So many notes are printed; whoever has more units that wait wants to know that, and not each one's reason.
const NOTES: usize = 20;

/// What the columns do not show: for what a unit or its start waits, and how long a stop may take.
pub fn notes(units: &UnitList) -> Vec<String> {
    let states = units.units.iter().flat_map(|unit| unit.states.iter().map(move |state| (unit, state)));
    let live = states.filter(|(_, state)| !state.stale || units.stale);
    let stopping =
        live.filter_map(|(unit, state)| Some(format!("NOTE: {} is {}", unit.name, fields::stopping(state)?)));
    let waiting = units.units.iter().filter_map(|unit| {
        let is_wanted = unit.desired_state.is_some_and(|desired| desired != DesiredState::Inactive);
        let note = unit.note.as_ref().filter(|note| is_wanted && waits(note.kind))?;
        Some(format!("NOTE: {}: {}", unit.name, note.reason))
    });
    let mut notes: Vec<String> = waiting.chain(stopping).collect();
    if let Some(more) = notes.len().checked_sub(NOTES).filter(|more| *more > 0) {
        notes.truncate(NOTES);
        notes.push(format!("NOTE: {more} more units wait or are being stopped; \"fleetctl explain UNIT\" says why"));
    }
    notes
}

fn waits(kind: NoteKind) -> bool {
    match kind {
        NoteKind::Waiting | NoteKind::Unplaceable | NoteKind::Invalid => true,
        NoteKind::Placed | NoteKind::Other => false,
    }
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

    fn unit(name: &str, machine: Option<&str>, desired: &str, note: NoteKind, reason: &str) -> serde_json::Value {
        serde_json::json!({
            "name": name, "uid": 1, "machine": machine.map(|id| serde_json::json!({"id": id, "address": ""})),
            "desiredState": desired, "note": {"kind": note, "reason": reason},
        })
    }

    fn list(units: &[serde_json::Value]) -> UnitList {
        serde_json::from_value(serde_json::json!({"revision": 1, "units": units})).expect("a list of units")
    }

    #[test]
    fn what_a_unit_waits_for_is_said_beside_the_list() {
        let start = "its start waits for db.service, which failed on m2";
        let units = list(&[
            unit("app.service", Some("m1"), "launched", NoteKind::Waiting, start),
            unit("db.service", Some("m2"), "launched", NoteKind::Placed, "least loaded"),
            unit("nowhere.service", None, "loaded", NoteKind::Unplaceable, "no machine: 2 machines: zone is not a"),
            unit("old.service", None, "inactive", NoteKind::Waiting, "of before it was unloaded"),
        ]);
        let expected = [
            format!("NOTE: app.service: {start}"),
            "NOTE: nowhere.service: no machine: 2 machines: zone is not a".to_owned(),
        ];
        assert_eq!(notes(&units), expected);
    }

    #[test]
    fn notes_have_an_end() {
        let units: Vec<_> = (0..NOTES + 7)
            .map(|n| unit(&format!("u{n}.service"), None, "launched", NoteKind::Unplaceable, "no machine"))
            .collect();
        let notes = notes(&list(&units));
        assert_eq!(notes.len(), NOTES + 1);
        assert!(notes[NOTES].starts_with("NOTE: 7 more units wait"), "{}", notes[NOTES]);
    }
}
