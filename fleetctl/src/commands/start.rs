//! `fleetctl start`

use std::io::Write;

use fleet_api::v2::{PlannedRequest, UnitView};
use fleet_api::{ApiError, Client};
use fleet_units::{DesiredState, UnitName};

use super::change::{self, Action, Asked};
use super::lookup;
use super::plan::{self, Kept};
use crate::cli::{CreateUnits, StartUnits, Submit};
use crate::error::CommandError;
use crate::output::Output;
use crate::settings::Settings;
use crate::wait::Goal;

const ACTION: Action = Action {
    verb: "start",
    doing: "Error starting units",
    desired: DesiredState::Launched,
    goal: Goal::Launched,
    waits_for_global: false,
};

/// A unit in any of these states may be given another text.
pub(super) const REPLACEABLE: [DesiredState; 3] =
    [DesiredState::Inactive, DesiredState::Loaded, DesiredState::Launched];

/// Starts units, and waits until they are active, or have finished well.
pub async fn run(
    arguments: &StartUnits,
    settings: &Settings,
    client: &Client,
    output: &mut Output,
) -> Result<u8, CommandError> {
    let CreateUnits { blocking, submit } = &arguments.create;
    if let Some(token) = &arguments.plan {
        return planned(token, arguments, settings, client, output).await;
    }
    if submit.units.is_empty() {
        return change::none_given(output);
    }
    let asked = resolve(submit, client, output).await?;
    let done = change::carry_out(ACTION, asked, *blocking, client, output).await?;
    Ok(u8::from(!done))
}

/// Finds the units that were named, and what is to be asked for them.
pub(super) async fn resolve(submit: &Submit, client: &Client, output: &mut Output) -> Result<Vec<Asked>, CommandError> {
    let mut asked = change::resolve(submit, &REPLACEABLE, client, output).await?;
    change::refuse_templates(&asked, ACTION.doing)?;
    for unit in &mut asked {
        unit.change.restart = unit.before.as_ref().is_some_and(has_failed);
    }
    Ok(asked)
}

/// Starts what was planned, if it still comes to the same; else says what it would come to now, and changes nothing.
async fn planned(
    token: &str,
    arguments: &StartUnits,
    settings: &Settings,
    client: &Client,
    output: &mut Output,
) -> Result<u8, CommandError> {
    let CreateUnits { blocking, submit } = &arguments.create;
    let mut asked = match submit.units.is_empty() {
        false => resolve(submit, client, output).await?,
        true => remembered(token, settings, client).await?,
    };
    for unit in &mut asked {
        unit.change.desired_state = Some(ACTION.desired);
    }
    let units = asked.iter().map(|unit| unit.change.clone()).collect();
    let request = PlannedRequest { token: token.to_owned(), units };
    match client.start_planned(&request).await {
        Ok(answer) => {
            let done = change::carried_out(ACTION, asked, answer, *blocking, client, output).await?;
            Ok(u8::from(!done))
        }
        Err(ApiError::Refused { status: 409, message }) => {
            writeln!(output.err()?, "{}: {message}", ACTION.doing)?;
            plan::again(&asked, settings, client, output).await?;
            Err(CommandError::Said(1))
        }
        Err(error) => Err(CommandError::doing(ACTION.doing)(error)),
    }
}

/// The units of a plan that was made from here.
async fn remembered(token: &str, settings: &Settings, client: &Client) -> Result<Vec<Asked>, CommandError> {
    let folder = settings.plans.as_deref();
    let kept = folder.map(|folder| Kept::read(folder, token)).transpose().map_err(|error| {
        CommandError::message(format!("{}: the plan {token} cannot be read: {error}", ACTION.doing))
    })?;
    let Some(kept) = kept.flatten() else {
        return Err(CommandError::with_hint(
            format!("{}: there is no plan {token:?} here", ACTION.doing),
            "\"fleetctl plan\" makes one. One that was made elsewhere is started by its token and the same units.",
        ));
    };
    let names: Vec<UnitName> = kept.iter().filter_map(|unit| UnitName::parse(&unit.change.name).ok()).collect();
    let (views, _) = lookup::named(client, &names, ACTION.doing).await?;
    let view = |name: &str| views.iter().find(|view| view.name == name).cloned();
    let asked = kept.into_iter().map(|Kept { change, is_global }| {
        let before = view(&change.name);
        Asked { change, before, is_global }
    });
    Ok(asked.collect())
}

/// Whether the unit was launched, and failed. Wanting it launched once more would change nothing then, where a person
/// who says start wants it started; so it gets another try. One that finished well is left alone.
fn has_failed(unit: &UnitView) -> bool {
    let Some(machine) = unit.machine.as_ref().filter(|_| unit.desired_state == Some(DesiredState::Launched)) else {
        return false;
    };
    let mut states = unit.states.iter().filter(|state| state.machine.id == machine.id && state.uid == unit.uid);
    states.any(|state| !state.stale && state.reached.is_some() && state.active == "failed")
}

#[cfg(test)]
mod tests {
    use fleet_api::v2::{MachineRef, Reached, StateView};

    use super::*;

    #[test]
    fn only_what_has_failed_gets_another_try() {
        let machine = MachineRef { id: "m1".into(), address: String::new() };
        let unit = |desired, active: &str, stale| UnitView {
            name: "a.service".into(),
            uid: 7,
            hash: None,
            desired_state: Some(desired),
            current_state: None,
            global: false,
            description: String::new(),
            machine: Some(machine.clone()),
            states: vec![StateView {
                machine: machine.clone(),
                uid: 7,
                active: active.into(),
                reached: Some(Reached::Launched),
                stale,
                ..StateView::default()
            }],
            note: None,
            scheduled_to: 0,
            restarts: 0,
        };
        let cases = [
            (unit(DesiredState::Launched, "failed", false), true),
            (unit(DesiredState::Launched, "failed", true), false),
            (unit(DesiredState::Loaded, "failed", false), false),
            (unit(DesiredState::Launched, "active", false), false),
            (unit(DesiredState::Launched, "inactive", false), false),
            (unit(DesiredState::Launched, "activating", false), false),
            (UnitView { uid: 8, ..unit(DesiredState::Launched, "failed", false) }, false),
            (UnitView { machine: None, ..unit(DesiredState::Launched, "failed", false) }, false),
        ];
        for (unit, expected) in cases {
            assert_eq!(has_failed(&unit), expected, "{unit:?}");
        }
    }
}
