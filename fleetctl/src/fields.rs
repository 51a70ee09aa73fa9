//! The columns of a list: which there are, which are shown, and how the whole is laid out.

use fleet_api::v2::StateView;

use crate::cli::List;
use crate::error::CommandError;
use crate::table;

/// What stands in a cell that has nothing to show.
const NOTHING: &str = "-";

/// A column: what `--fields` calls it, and what it shows of an entry, in full or shortened.
#[derive(Clone, Copy)]
pub struct Field<T> {
    /// Its name; the heading is the same in upper case.
    pub name: &'static str,
    /// Its cell for an entry. Empty cells are shown as `-`.
    pub cell: fn(&T, full: bool) -> String,
}

/// The columns that were asked for, or the default ones.
pub fn select<T: 'static>(
    list: &List,
    known: &'static [Field<T>],
    default: &str,
) -> Result<Vec<&'static Field<T>>, CommandError> {
    let wanted = list.fields.as_deref().unwrap_or(default);
    if wanted.is_empty() {
        return Err(CommandError::message("Must define output format"));
    }
    let find = |name: &str| {
        known.iter().find(|field| field.name == name).ok_or_else(|| {
            let names: Vec<_> = known.iter().map(|field| field.name).collect();
            CommandError::with_hint(
                format!("Invalid key in output format: {name:?}"),
                format!("There are {}.", names.join(", ")),
            )
        })
    };
    wanted.split(',').map(find).collect()
}

/// A line for each entry, below a line of headings unless they are not wanted.
pub fn render<T>(list: &List, fields: &[&Field<T>], entries: &[T]) -> String {
    let headings = fields.iter().map(|field| field.name.to_uppercase()).collect();
    let cells = |entry| {
        fields
            .iter()
            .map(|field| match (field.cell)(entry, list.full) {
                cell if cell.is_empty() => NOTHING.to_owned(),
                cell => cell,
            })
            .collect::<Vec<_>>()
    };
    let legend = (!list.no_legend).then_some(headings);
    let rows: Vec<Vec<String>> = legend.into_iter().chain(entries.iter().map(cells)).collect();
    table::render(&rows)
}

/// How a machine is shown: `4c2c1234.../192.0.2.2`, or in full.
pub fn machine(machine: &fleet_api::v2::MachineRef, full: bool) -> String {
    match machine.address.as_str() {
        "" => machine_id(&machine.id, full),
        address => format!("{}/{address}", machine_id(&machine.id, full)),
    }
}

/// How a machine's id is shown: its first eight characters and dots, or in full.
pub fn machine_id(id: &str, full: bool) -> String {
    match id.char_indices().nth(8) {
        Some((end, _)) if !full => format!("{}...", &id[..end]),
        _ => id.to_owned(),
    }
}

/// What there is to say of a unit that is being stopped: where, since when, and until when at the latest, by the clock of
/// its machine.
pub fn stopping(state: &StateView) -> Option<String> {
    if state.active != "deactivating" {
        return None;
    }
    let mut words = format!("stopping on {} ({})", machine(&state.machine, false), state.sub);
    if state.since != 0 {
        words.push_str(&format!(" since {} UTC", clock(state.since)));
        if let Some(bound) = state.stop_bound_ms {
            words.push_str(&format!(", until {} UTC at the latest", clock(state.since.saturating_add(bound))));
        }
    }
    Some(words)
}

/// The time of day: `14:03:22`.
fn clock(millis: u64) -> String {
    let seconds = millis / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// How a hash is shown: its first seven digits, or in full.
pub fn hash(hash: Option<&fleet_units::UnitHash>, full: bool) -> String {
    match hash {
        Some(hash) if full => hash.to_string(),
        Some(hash) => hash.short(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[Field<(u8, u8)>] = &[
        Field { name: "left", cell: |entry, _| entry.0.to_string() },
        Field { name: "right", cell: |entry, full| if full { entry.1.to_string() } else { String::new() } },
    ];

    #[test]
    fn columns_are_shown_as_asked_for() {
        let cases = [
            (None, false, false, "LEFT\tRIGHT\n1\t-\n"),
            (Some("right,left"), true, false, "RIGHT\tLEFT\n2\t1\n"),
            (Some("left,left"), false, true, "1\t1\n"),
        ];
        for (fields, full, no_legend, expected) in cases {
            let list = List { full, no_legend, fields: fields.map(str::to_owned) };
            let fields = select(&list, FIELDS, "left,right").unwrap();
            assert_eq!(render(&list, &fields, &[(1, 2)]), expected);
        }
    }

    #[test]
    fn unknown_columns_are_named() {
        let cases = [
            ("", "Must define output format"),
            ("up", "Invalid key in output format: \"up\"\nThere are left, right."),
            ("left,", "Invalid key in output format: \"\"\nThere are left, right."),
        ];
        for (fields, expected) in cases {
            let list = List { fields: Some(fields.to_owned()), ..List::default() };
            let error = select(&list, FIELDS, "left").err().and_then(|error| error.words());
            assert_eq!(error.as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_stop_has_a_beginning_and_an_end() {
        let state = |active: &str, since, stop_bound_ms| StateView {
            machine: fleet_api::v2::MachineRef { id: "m1".into(), address: String::new() },
            active: active.into(),
            sub: "stop-sigterm".into(),
            since,
            stop_bound_ms,
            ..StateView::default()
        };
        let noon = (20_000 * 86_400 + 12 * 3_600 + 5) * 1_000;
        let words = "stopping on m1 (stop-sigterm)";
        let cases = [
            (state("active", noon, Some(91_000)), None),
            (state("deactivating", 0, Some(91_000)), Some(words.to_owned())),
            (state("deactivating", noon, None), Some(format!("{words} since 12:00:05 UTC"))),
            (
                state("deactivating", noon, Some(91_000)),
                Some(format!("{words} since 12:00:05 UTC, until 12:01:36 UTC at the latest")),
            ),
        ];
        for (state, expected) in cases {
            assert_eq!(stopping(&state), expected);
        }
    }

    #[test]
    fn short_ids_have_no_dots() {
        assert_eq!(machine_id("m1", false), "m1");
        assert_eq!(machine_id("12345678", false), "12345678");
        assert_eq!(machine_id("123456789", false), "12345678...");
        assert_eq!(machine_id("123456789", true), "123456789");
    }
}
