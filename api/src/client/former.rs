//! A fleetd that speaks API v1 alone, as CoreOS fleet's does: what a person would see through API v2, made of what it
//! tells.
//!
//! Such a fleetd has no watch, so that there is nothing but to ask it again and again; CoreOS fleet's own client did so
//! four times a second. It does not say which unit of a name it speaks of, nor what came of a job.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_units::{DesiredState, Requirements, UnitFile, UnitName};
use futures::{Stream, StreamExt, stream};
use tokio::time::{Instant, sleep};

use super::Client;
use crate::v2::{
    DestroyAnswer, DestroyOutcome, DestroyRequest, Destroyed, MachineList, MachineRef, MachineView, Outcome, Reached,
    StateView, UnitChange, UnitList, UnitOutcome, UnitText, UnitView, UnitsAnswer, UnitsRequest, WatchLine,
};
use crate::{ApiError, paths, percent, v1};

/// Which unit of a name is meant is unknown.
const UID: i64 = 0;
/// How often it is asked again.
const INTERVAL: Duration = Duration::from_millis(250);
/// Up to so many units are asked for one by one; more are picked out of the list of all.
const ONE_BY_ONE: usize = 10;
/// How long a unit that is to be restarted may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(300);

impl Client {
    /// The named units, or all.
    pub(super) async fn former_units(&self, names: &BTreeSet<String>) -> Result<UnitList, ApiError> {
        let few = !names.is_empty() && names.len() <= ONE_BY_ONE;
        let (mut units, mut states) = (Vec::new(), Vec::new());
        if few {
            for name in names {
                units.extend(self.former_unit(name).await?);
                let path = format!("{}?unitName={}", paths::V1_STATE, percent::encode(name));
                states.extend(self.pages(&path, |page: v1::UnitStatePage| (page.states, page.next_page_token)).await?);
            }
        } else {
            (units, states) = (self.v1_units().await?, self.v1_states().await?);
        }
        let machines = self.v1_machines().await?;
        let machines = machines.into_iter().map(|machine| (machine.id, machine.primary_ip)).collect();
        let mut units = views(units, states, &machines);
        units.retain(|unit| names.is_empty() || names.contains(&unit.name));
        Ok(UnitList { units, ..UnitList::default() })
    }

    /// Lists the units again and again, and gives each list that differs from the one before.
    pub(super) fn former_watch(
        &self,
        names: BTreeSet<String>,
    ) -> impl Stream<Item = Result<WatchLine, ApiError>> + use<> {
        let begin = (self.clone(), names, None);
        stream::unfold(begin, |(client, names, before): (Self, _, Option<Vec<UnitView>>)| async move {
            loop {
                if before.is_some() {
                    sleep(INTERVAL).await;
                }
                match client.former_units(&names).await {
                    Ok(list) if before.as_ref() == Some(&list.units) => {}
                    Ok(list) => {
                        let line = WatchLine::Snapshot { revision: list.revision, units: list.units.clone() };
                        return Some((Ok(line), (client, names, Some(list.units))));
                    }
                    // Whoever wants to go on begins anew.
                    Err(error) => return Some((Err(error), (client, names, before))),
                }
            }
        })
        .fuse()
    }

    /// Creates and changes units, one after the other.
    pub(super) async fn former_change(&self, request: &UnitsRequest) -> Result<UnitsAnswer, ApiError> {
        let mut units = Vec::new();
        for change in &request.units {
            units.push(match self.former_change_one(change).await {
                Ok(outcome) => outcome,
                Err(ApiError::Refused { message, .. }) => refused(change, message),
                Err(error) => return Err(error),
            });
        }
        Ok(UnitsAnswer { revision: 0, units })
    }

    async fn former_change_one(&self, change: &UnitChange) -> Result<UnitOutcome, ApiError> {
        if !change.drop_ins.is_empty() {
            return Ok(refused(change, "this fleetd speaks API v1 alone, which knows no drop-ins"));
        }
        let file = match change.text.as_deref().map(UnitFile::parse).transpose() {
            Ok(file) => file,
            Err(error) => return Ok(refused(change, error.to_string())),
        };
        let existing = self.former_unit(&change.name).await?;
        let (outcome, content) = match (&existing, &file) {
            (None, None) => return Ok(refused(change, "unit does not exist")),
            (None, Some(_)) => (Outcome::Created, true),
            (Some(unit), Some(file)) if hash_of(unit) != Some(file.hash()) => match change.replace {
                true => (Outcome::Replaced, true),
                false => (Outcome::Differs, false),
            },
            (Some(_), _) => (Outcome::Unchanged, false),
        };
        let before = existing.as_ref().and_then(|unit| unit.desired_state.parse::<DesiredState>().ok());
        let desired = change.desired_state.or(before).unwrap_or_default();
        let launched = DesiredState::Launched;
        if change.restart && !content && (before, desired) == (Some(launched), launched) {
            self.former_stop(&change.name).await?;
        } else if !content && before == Some(desired) {
            return Ok(outcome_of(change, outcome, desired));
        }
        let options = file.filter(|_| content).map(|file| options_of(&file)).unwrap_or_default();
        let unit =
            v1::Unit { name: change.name.clone(), options, desired_state: desired.to_string(), ..v1::Unit::default() };
        self.v1_set_unit(&unit).await?;
        let outcome = if outcome == Outcome::Unchanged { Outcome::Changed } else { outcome };
        Ok(outcome_of(change, outcome, desired))
    }

    /// Stops a unit that is to be started again. Without this, a fleetd that looks only now and then at what is wanted
    /// would see no difference.
    async fn former_stop(&self, name: &str) -> Result<(), ApiError> {
        let loaded = DesiredState::Loaded.to_string();
        let unit = v1::Unit { name: name.to_owned(), desired_state: loaded, ..v1::Unit::default() };
        self.v1_set_unit(&unit).await?;
        let names = BTreeSet::from([name.to_owned()]);
        let deadline = Instant::now() + STOP_LIMIT;
        while Instant::now() < deadline {
            let list = self.former_units(&names).await?;
            let Some(unit) = list.units.first() else { break };
            let is_stopped = |state: &StateView| matches!(state.active.as_str(), "inactive" | "failed");
            if unit.states.iter().all(is_stopped) && unit.current_state != Some(DesiredState::Launched) {
                break;
            }
            sleep(INTERVAL).await;
        }
        Ok(())
    }

    /// Destroys units, one after the other.
    pub(super) async fn former_destroy(&self, request: &DestroyRequest) -> Result<DestroyAnswer, ApiError> {
        let mut units = Vec::new();
        for name in &request.names {
            let outcome = match self.v1_destroy_unit(name).await {
                Ok(()) => DestroyOutcome::Destroyed,
                Err(error) if error.is_not_found() => DestroyOutcome::Absent,
                Err(error) => return Err(error),
            };
            units.push(Destroyed { name: name.clone(), outcome });
        }
        Ok(DestroyAnswer { revision: 0, units })
    }

    /// A unit's text as fleet kept it: its options.
    pub(super) async fn former_text(&self, name: &str) -> Result<UnitText, ApiError> {
        let unit = self.v1_unit(name).await?;
        let text = file_of(&unit).map(|file| file.canonical()).unwrap_or_default();
        Ok(UnitText { text, drop_ins: BTreeMap::new() })
    }

    /// The machines that are present.
    pub(super) async fn former_machines(&self) -> Result<MachineList, ApiError> {
        let machines = self.v1_machines().await?.into_iter().map(|machine| MachineView {
            id: machine.id,
            address: machine.primary_ip,
            metadata: machine.metadata,
            ..MachineView::default()
        });
        Ok(MachineList { machines: machines.collect(), ..MachineList::default() })
    }

    async fn former_unit(&self, name: &str) -> Result<Option<v1::Unit>, ApiError> {
        match self.v1_unit(name).await {
            Ok(unit) => Ok(Some(unit)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The units, and those that are destroyed and still have a state.
fn views(units: Vec<v1::Unit>, states: Vec<v1::UnitState>, machines: &BTreeMap<String, String>) -> Vec<UnitView> {
    let mut by_name: BTreeMap<String, (Option<v1::Unit>, Vec<v1::UnitState>)> = BTreeMap::new();
    for state in states {
        by_name.entry(state.name.clone()).or_default().1.push(state);
    }
    for unit in units {
        let name = unit.name.clone();
        by_name.entry(name).or_default().0 = Some(unit);
    }
    by_name.into_iter().map(|(name, (unit, states))| view(name, unit, states, machines)).collect()
}

fn view(
    name: String,
    unit: Option<v1::Unit>,
    mut states: Vec<v1::UnitState>,
    machines: &BTreeMap<String, String>,
) -> UnitView {
    let machine = |id: &str| MachineRef { id: id.to_owned(), address: machines.get(id).cloned().unwrap_or_default() };
    let file = unit.as_ref().and_then(file_of);
    let requirements = file.as_ref().zip(UnitName::parse(&name).ok()).and_then(|(file, name)| {
        let requirements = Requirements::parse(file, &name);
        requirements.ok()
    });
    let global = requirements.is_some_and(|requirements| requirements.global);
    let unit = unit.as_ref();
    let parsed = |text: &String| text.parse::<DesiredState>().ok();
    let desired_state = unit.and_then(|unit| parsed(&unit.desired_state));
    let current_state = unit.and_then(|unit| parsed(&unit.current_state));
    let home = unit.map(|unit| unit.machine_id.as_str()).filter(|id| !id.is_empty() && !global);
    states.sort_by(|a, b| a.machine_id.cmp(&b.machine_id));
    let states = states.into_iter().map(|state| {
        let far = if global { desired_state } else { current_state.filter(|_| home == Some(&state.machine_id)) };
        StateView {
            machine: machine(&state.machine_id),
            uid: UID,
            load: state.systemd_load_state,
            active: state.systemd_active_state,
            sub: state.systemd_sub_state,
            reached: match far {
                Some(DesiredState::Launched) => Some(Reached::Launched),
                Some(DesiredState::Loaded) => Some(Reached::Loaded),
                _ => None,
            },
            hash: state.hash.parse().ok(),
            ..StateView::default()
        }
    });
    UnitView {
        uid: UID,
        hash: file.as_ref().map(UnitFile::hash),
        desired_state,
        current_state: current_state.filter(|_| !global),
        global,
        description: file.and_then(|file| file.last("Unit", "Description")).unwrap_or_default(),
        machine: home.map(machine),
        scheduled_to: 0,
        states: states.collect(),
        note: None,
        restarts: 0,
        name,
    }
}

fn file_of(unit: &v1::Unit) -> Option<UnitFile> {
    let option = |option: &v1::UnitOption| fleet_units::UnitOption {
        section: option.section.clone(),
        name: option.name.clone(),
        value: option.value.clone(),
    };
    UnitFile::from_options(unit.options.iter().map(option).collect()).ok()
}

fn options_of(file: &UnitFile) -> Vec<v1::UnitOption> {
    let option = |option: &fleet_units::UnitOption| v1::UnitOption {
        section: option.section.clone(),
        name: option.name.clone(),
        value: option.value.clone(),
    };
    file.options().iter().map(option).collect()
}

fn hash_of(unit: &v1::Unit) -> Option<fleet_units::UnitHash> {
    file_of(unit).map(|file| file.hash())
}

fn outcome_of(change: &UnitChange, outcome: Outcome, desired: DesiredState) -> UnitOutcome {
    let name = change.name.clone();
    UnitOutcome { name, outcome, uid: Some(UID), desired_state: Some(desired), message: None }
}

fn refused(change: &UnitChange, message: impl Into<String>) -> UnitOutcome {
    let (name, message) = (change.name.clone(), Some(message.into()));
    UnitOutcome { name, outcome: Outcome::Refused, uid: None, desired_state: None, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str, current: &str, machine: &str) -> v1::Unit {
        let options = options_of(&UnitFile::parse("[Service]\nExecStart=/bin/true\n").unwrap());
        v1::Unit {
            name: name.into(),
            options,
            desired_state: "launched".into(),
            current_state: current.into(),
            machine_id: machine.into(),
        }
    }

    fn state(name: &str, machine: &str, active: &str) -> v1::UnitState {
        v1::UnitState {
            name: name.into(),
            machine_id: machine.into(),
            systemd_active_state: active.into(),
            ..v1::UnitState::default()
        }
    }

    #[test]
    fn what_version_1_tells_of_units_makes_views() {
        let machines = BTreeMap::from([("m1".to_owned(), "192.0.2.2".to_owned())]);
        let units = vec![unit("a.service", "launched", "m1"), unit("b.service", "inactive", "")];
        let states = vec![
            state("a.service", "m2", "inactive"),
            state("a.service", "m1", "active"),
            state("gone.service", "m1", "deactivating"),
        ];
        let views = views(units, states, &machines);
        let [a, b, gone] = views.as_slice() else { panic!("{views:?}") };
        assert_eq!(a.machine.as_ref().map(|machine| machine.address.as_str()), Some("192.0.2.2"));
        assert_eq!(a.hash.map(|hash| hash.short()).as_deref(), Some("86943ac"));
        let reached: Vec<_> = a.states.iter().map(|state| (state.machine.id.as_str(), state.reached)).collect();
        assert_eq!(reached, [("m1", Some(Reached::Launched)), ("m2", None)]);
        assert_eq!((&b.machine, b.desired_state), (&None, Some(DesiredState::Launched)));
        // Destroyed, and not stopped yet.
        assert_eq!((gone.desired_state, gone.states.len()), (None, 1));
    }

    #[test]
    fn a_global_unit_has_no_machine_of_its_own() {
        let mut unit = unit("g.service", "", "");
        unit.options.push(v1::UnitOption { section: "X-Fleet".into(), name: "Global".into(), value: "true".into() });
        let views = views(vec![unit], vec![state("g.service", "m1", "active")], &BTreeMap::new());
        assert!(views[0].global && views[0].machine.is_none() && views[0].current_state.is_none());
        assert_eq!(views[0].states[0].reached, Some(Reached::Launched));
    }
}
