//! `fleetctl list-machines`

use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::{MachineList, MachineView};
use fleet_units::{format_bytes, format_cpu};

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
    Field { name: "memory", cell: |machine, _| of(machine.used.memory, machine.capacity.memory, format_bytes) },
    Field { name: "cpu", cell: |machine, _| of(machine.used.cpu_millis, machine.capacity.cpu_millis, format_cpu) },
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
