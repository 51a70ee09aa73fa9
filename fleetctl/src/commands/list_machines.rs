//! `fleetctl list-machines`

use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::MachineView;

use crate::cli::List;
use crate::error::CommandError;
use crate::fields::{self, Field};
use crate::output::Output;

/// What is shown unless told otherwise.
const DEFAULT_FIELDS: &str = "machine,ip,metadata";

const FIELDS: &[Field<MachineView>] = &[
    Field { name: "machine", cell: |machine, full| fields::machine_id(&machine.id, full) },
    Field { name: "ip", cell: |machine, _| machine.address.clone() },
    Field {
        name: "metadata",
        cell: |machine, _| {
            let pairs: Vec<_> = machine.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
            pairs.join(",")
        },
    },
];

/// Lists the machines that are present.
pub async fn run(list: &List, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let fields = fields::select(list, FIELDS, DEFAULT_FIELDS)?;
    let machines = client
        .machines()
        .await
        .map_err(CommandError::doing("Error retrieving list of active machines from fleet API"))?;
    super::lookup::warn_if_stale(machines.stale, output)?;
    output.out().write_all(fields::render(list, &fields, &machines.machines).as_bytes())?;
    Ok(0)
}

/// What is printed for these machines.
pub fn render(list: &List, machines: &[MachineView]) -> Result<String, CommandError> {
    Ok(fields::render(list, &fields::select(list, FIELDS, DEFAULT_FIELDS)?, machines))
}
