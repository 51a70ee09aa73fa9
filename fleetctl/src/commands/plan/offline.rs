//! A plan without a cluster: by the engine's own code on the records in a file.

use std::collections::BTreeMap;
use std::io::Write;

use fleet_api::v2::{
    ClusterStatus, FateKind, LostMachine, MachineRef, MachineView, PlanAnswer, RefusedUnit, UnitFate, UnitView,
};
use fleet_engine::placement::{Fate, FateKind as Kind, Supposition};
use fleet_engine::{Offline, OfflineUnit, Snapshot, Wanted};
use fleet_units::{DesiredState, MachineId};

use super::{change, supposed};
use crate::cli::Plan;
use crate::commands::start::REPLACEABLE;
use crate::error::CommandError;
use crate::output::Output;
use crate::resolve::{Decision, Resolved, Source};

/// Says what would come of a change by what the file holds.
pub(super) fn plan(arguments: &Plan, file: &str, output: &mut Output) -> Result<PlanAnswer, CommandError> {
    let text =
        std::fs::read(file).map_err(|error| CommandError::message(format!("cannot read snapshot {file}: {error}")))?;
    let snapshot = Snapshot::read(&text).map_err(|error| CommandError::message(format!("{file}: {error}")))?;
    let offline = Offline::open(&snapshot);
    let (mut change, mut refused) = (Vec::new(), Vec::new());
    for wanted in units(arguments, &offline, output)? {
        match offline.suppose(&wanted) {
            Ok(supposed) => change.push(supposed),
            Err(message) => refused.push(RefusedUnit { name: wanted.name.to_string(), message }),
        }
    }
    for machine in supposed(arguments, &cluster(&offline))? {
        let id = MachineId::parse(&machine.id)
            .map_err(|error| CommandError::message(format!("{file} names a machine {:?}: {error}", machine.id)))?;
        let metadata = machine.metadata.into_iter();
        change.extend(metadata.map(|(key, value)| Supposition::Metadata { machine: id.clone(), key, value }));
        change.extend(machine.draining.then(|| Supposition::Draining(id.clone())));
        change.extend(machine.lost.then_some(Supposition::Lost(id)));
    }
    let forecast = offline.what_if(&change);
    Ok(PlanAnswer {
        revision: snapshot.revision,
        stale: false,
        // It is for a cluster to start it.
        token: None,
        brake: forecast.brake,
        units: forecast.fates.iter().map(|fate| shown(&offline, fate)).collect(),
        refused,
    })
}

/// The units that are to be started, found as `fleetctl start` finds them.
fn units(arguments: &Plan, offline: &Offline, output: &mut Output) -> Result<Vec<Wanted>, CommandError> {
    if arguments.submit.units.is_empty() {
        return Ok(Vec::new());
    }
    let known: Vec<UnitView> = offline.units().into_iter().map(view).collect();
    let given = change::given_with(&arguments.submit, &REPLACEABLE, &known)?;
    let views: BTreeMap<&str, &UnitView> = known.iter().map(|view| (view.name.as_str(), view)).collect();
    let replace = arguments.submit.replace.then_some(&REPLACEABLE[..]);
    let mut wanted = Vec::new();
    for decision in change::decide_with(given, &views, replace)? {
        match decision {
            Decision::Skip(why) => writeln!(output.err()?, "{why}")?,
            Decision::Do(unit) => {
                for warning in &unit.warnings {
                    writeln!(output.err()?, "{warning}")?;
                }
                unit.notices.iter().try_for_each(|notice| output.note(notice))?;
                wanted.push(with_text(*unit, offline));
            }
        }
    }
    Ok(wanted)
}

fn with_text(unit: Resolved, offline: &Offline) -> Wanted {
    let text = match unit.source {
        Source::Known => None,
        Source::File(file) => Some((file.text, file.drop_ins)),
        Source::Template { name, .. } => offline.text(&name),
    };
    let (text, drop_ins) = text.map(|(text, drop_ins)| (Some(text), drop_ins)).unwrap_or_default();
    Wanted { name: unit.name, text, drop_ins, replace: unit.replace, desired: Some(DesiredState::Launched) }
}

/// As much of a unit as is needed to find out which is meant.
fn view(unit: OfflineUnit) -> UnitView {
    UnitView {
        name: unit.name.to_string(),
        uid: unit.uid,
        hash: Some(unit.hash),
        desired_state: Some(unit.desired),
        current_state: None,
        global: unit.is_global,
        description: String::new(),
        machine: None,
        states: Vec::new(),
        note: None,
        scheduled_to: 0,
        restarts: 0,
    }
}

/// As much of the cluster as is needed to find out which machine is meant.
fn cluster(offline: &Offline) -> ClusterStatus {
    let mut cluster = ClusterStatus::default();
    for machine in offline.machines() {
        let (id, address, hostname) = (machine.id.to_string(), machine.address, machine.hostname);
        match machine.is_present {
            true => cluster.machines.push(MachineView { id, address, hostname, ..MachineView::default() }),
            false => cluster.lost.push(LostMachine { id, ..LostMachine::default() }),
        }
    }
    cluster
}

fn shown(offline: &Offline, fate: &Fate) -> UnitFate {
    let machine = |id: &MachineId| MachineRef { id: id.to_string(), address: offline.address(id) };
    UnitFate {
        name: fate.unit.to_string(),
        fate: match fate.kind {
            Kind::Placed => FateKind::Placed,
            Kind::Moved => FateKind::Moved,
            Kind::Spread => FateKind::Spread,
            Kind::Displaced => FateKind::Displaced,
            Kind::Unplaced => FateKind::Unplaced,
            Kind::Stays => FateKind::Stays,
            Kind::Withdrawn => FateKind::Withdrawn,
        },
        from: fate.from.iter().map(machine).collect(),
        to: fate.to.iter().map(machine).collect(),
        reason: fate.to_string(),
    }
}
