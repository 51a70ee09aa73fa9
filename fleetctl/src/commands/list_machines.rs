//! `fleetctl list-machines`

use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::{MachineList, MachineView};

use crate::cli::{List, ListFormat, ListMachines};
use crate::error::CommandError;
use crate::fields::{self, Field};
use crate::output::Output;

/// What is shown unless told otherwise.
const DEFAULT_FIELDS: &str = "machine,ip,metadata";

/// What is shown with `-o wide`.
const WIDE_FIELDS: &str = "machine,hostname,ip,units,memory,cpu,version,metadata";

const FIELDS: &[Field<MachineView>] = &[
    Field { name: "machine", cell: |machine, full| fields::machine_id(&machine.id, full) },
    Field { name: "hostname", cell: |machine, _| machine.hostname.clone() },
    Field { name: "ip", cell: |machine, _| machine.address.clone() },
    Field { name: "units", cell: |machine, _| machine.units.map(|units| units.to_string()).unwrap_or_default() },
    Field { name: "memory", cell: |machine, _| of(machine.used.memory, machine.capacity.memory, size) },
    Field { name: "cpu", cell: |machine, _| of(machine.used.cpu_millis, machine.capacity.cpu_millis, percent) },
    Field { name: "version", cell: |machine, _| machine.version.clone() },
    Field {
        name: "metadata",
        cell: |machine, _| {
            let pairs: Vec<_> = machine.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
            pairs.join(",")
        },
    },
];

/// Lists the machines that are present.
pub async fn run(arguments: &ListMachines, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    // A slip in the names of columns needs no answer from fleetd to be told.
    render(arguments, &MachineList::default())?;
    let machines = client
        .machines()
        .await
        .map_err(CommandError::doing("Error retrieving list of active machines from fleet API"))?;
    super::lookup::warn_if_stale(machines.stale, output)?;
    output.out().write_all(render(arguments, &machines)?.as_bytes())?;
    Ok(0)
}

/// What is printed for these machines.
pub fn render(arguments: &ListMachines, machines: &MachineList) -> Result<String, CommandError> {
    let table =
        |list: &List, default| Ok(fields::render(list, &fields::select(list, FIELDS, default)?, &machines.machines));
    match arguments.output {
        None => table(&arguments.list, DEFAULT_FIELDS),
        Some(ListFormat::Wide) => table(&arguments.list, WIDE_FIELDS),
        Some(ListFormat::Json) => Ok(format!("{}\n", serde_json::json!(machines))),
    }
}

/// What is asked for, of what there is; nothing where the machine does not say what it has.
fn of(used: Option<u64>, capacity: Option<u64>, words: fn(u64) -> String) -> String {
    let used = used.map(|used| format!("{}/", words(used))).unwrap_or_default();
    capacity.map(|capacity| format!("{used}{}", words(capacity))).unwrap_or_default()
}

/// Bytes as a person reads them, in systemd's units: `512M`, `1.9G`.
fn size(bytes: u64) -> String {
    let units = ["", "K", "M", "G", "T", "P", "E"];
    let unit = (1..units.len()).take_while(|unit| bytes >> (10 * unit) > 0).last().unwrap_or(0);
    let amount = bytes as f64 / (1_u64 << (10 * unit)) as f64;
    // A tenth tells enough, and nothing where there is none.
    match format!("{amount:.1}") {
        text if unit == 0 || text.ends_with(".0") => format!("{amount:.0}{}", units[unit]),
        text => format!("{text}{}", units[unit]),
    }
}

/// Processor time in per cent of one core.
fn percent(millis: u64) -> String {
    match (millis / 10, millis % 10) {
        (whole, 0) => format!("{whole}%"),
        (whole, tenth) => format!("{whole}.{tenth}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_systemd_writes_them() {
        let sizes = [0, 1023, 1024, 512 << 20, (2 << 30) - (100 << 20), 2 << 30, u64::MAX].map(size);
        assert_eq!(sizes, ["0", "1023", "1K", "512M", "1.9G", "2G", "16E"]);
        assert_eq!([0, 5, 1000, 1505].map(percent), ["0%", "0.5%", "100%", "150.5%"]);
    }
}
