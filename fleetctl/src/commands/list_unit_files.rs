//! `fleetctl list-unit-files`

use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::{Reached, StateView, UnitView};
use fleet_units::DesiredState;

use crate::cli::List;
use crate::error::CommandError;
use crate::fields::{self, Field};
use crate::output::Output;

/// What is shown unless told otherwise.
const DEFAULT_FIELDS: &str = "unit,hash,dstate,state,target";

const FIELDS: &[Field<UnitView>] = &[
    Field { name: "unit", cell: |unit, _| unit.name.clone() },
    Field { name: "global", cell: |unit, _| unit.global.to_string() },
    Field { name: "dstate", cell: |unit, _| unit.desired_state.map(|state| state.to_string()).unwrap_or_default() },
    Field { name: "target", cell: target },
    Field { name: "tmachine", cell: target },
    Field {
        name: "state",
        cell: |unit, _| match (unit.global, unit.current_state, unit.desired_state) {
            (false, Some(state), _) => state.to_string(),
            (true, _, Some(state)) if state > DesiredState::Inactive => everywhere(unit, state),
            _ => String::new(),
        },
    },
    Field { name: "hash", cell: |unit, full| fields::hash(unit.hash.as_ref(), full) },
    Field { name: "desc", cell: |unit, _| unit.description.clone() },
];

fn target(unit: &UnitView, full: bool) -> String {
    match &unit.machine {
        _ if unit.global => "global".to_owned(),
        Some(machine) => fields::machine(machine, full),
        None => String::new(),
    }
}

/// How many machines have a global unit in the state that is wanted, of how many that are to have it.
fn everywhere(unit: &UnitView, wanted: DesiredState) -> String {
    let is_there = |state: &&StateView| {
        let is_active = matches!(state.active.as_str(), "active" | "reloading" | "refreshing");
        let has_finished = state.reached == Some(Reached::Launched)
            && state.active == "inactive"
            && matches!(state.result.as_str(), "success" | "exec-condition");
        let is_own = state.uid == unit.uid && !state.stale && !state.orphan;
        is_own && (is_active || has_finished || (wanted == DesiredState::Loaded && state.reached.is_some()))
    };
    let there = unit.states.iter().filter(is_there).count();
    match unit.scheduled_to {
        // A fleetd that speaks API v1 alone does not say.
        0 => format!("{wanted}({there})"),
        all => format!("{wanted}({there}/{all})"),
    }
}

/// Lists the units that the cluster knows.
pub async fn run(list: &List, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    if list.fields.as_deref().unwrap_or_default().split(',').any(|field| field == "tmachine") {
        writeln!(output.err()?, "WARNING: The \"tmachine\" field is deprecated. Use \"target\" instead")?;
    }
    // What makes no sense is said before fleetd is asked.
    fields::select(list, FIELDS, DEFAULT_FIELDS)?;
    let units = super::lookup::all(client, output).await?;
    output.out().write_all(render(list, units.units)?.as_bytes())?;
    Ok(0)
}

/// What is printed for these units. One that was destroyed is no unit file any more, even while it is being stopped.
pub fn render(list: &List, mut units: Vec<UnitView>) -> Result<String, CommandError> {
    let fields = fields::select(list, FIELDS, DEFAULT_FIELDS)?;
    units.retain(|unit| unit.desired_state.is_some());
    Ok(fields::render(list, &fields, &units))
}
