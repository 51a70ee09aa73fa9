//! What can be said of one unit, given what is asked for and what is known.

use fleet_api::v2::{MachineRef, NoteKind, Reached, StateView, UnitView};
use fleet_units::DesiredState;

use super::{Goal, Target, Verdict};
use crate::fields;

/// Judges a unit. `view` is none once it is gone. Until it is `settled`, a failure that was there before the change is
/// not taken for the change's result, nor a machine that is not seen for lost.
pub fn judge(goal: Goal, target: &Target, view: Option<&UnitView>, settled: bool) -> Verdict {
    let Some(view) = view else {
        return match goal {
            Goal::Gone | Goal::Unloaded | Goal::Stopped => reached(None),
            Goal::Launched | Goal::Loaded => failed("it was destroyed meanwhile", None),
        };
    };
    if view.uid != target.uid {
        return match goal {
            Goal::Gone => reached(None),
            _ => failed("it was destroyed and submitted again meanwhile", None),
        };
    }
    let unit = Unit { target, view, settled };
    match goal {
        Goal::Launched if view.global => unit.launched_everywhere(),
        // There is no one machine whose word would be it.
        Goal::Loaded if view.global => reached(None),
        Goal::Launched => unit.launched(),
        Goal::Loaded => unit.loaded(),
        Goal::Stopped => unit.stopped(),
        Goal::Unloaded => unit.unloaded(),
        Goal::Gone => unit.gone(),
    }
}

struct Unit<'a> {
    target: &'a Target,
    view: &'a UnitView,
    settled: bool,
}

impl Unit<'_> {
    fn launched(&self) -> Verdict {
        if let Some(verdict) = self.asked_otherwise(DesiredState::Launched..=DesiredState::Launched) {
            return verdict;
        }
        let state = match self.current() {
            Ok(state) => state,
            Err(verdict) => return verdict,
        };
        self.launched_on(state)
    }

    /// On every machine that a global unit is scheduled to.
    fn launched_everywhere(&self) -> Verdict {
        if let Some(verdict) = self.asked_otherwise(DesiredState::Launched..=DesiredState::Launched) {
            return verdict;
        }
        let own: Vec<&StateView> = self.live().filter(|state| state.uid == self.view.uid && !state.orphan).collect();
        let mut pending = None;
        for state in &own {
            let verdict = match self.as_it_is_now(state) {
                Ok(state) => self.launched_on(state),
                Err(verdict) => verdict,
            };
            match verdict {
                Verdict::Reached { .. } => {}
                Verdict::Pending(_) => pending = pending.or(Some(verdict)),
                Verdict::Failed { .. } => return verdict,
            }
        }
        let wanted = self.view.scheduled_to as usize;
        let missing = || Verdict::Pending(format!("on {} of {wanted} machines", own.len()));
        pending.or_else(|| (own.len() < wanted).then(missing)).unwrap_or_else(|| reached(None))
    }

    fn launched_on(&self, state: &StateView) -> Verdict {
        let machine = name_of(&state.machine);
        if let Some(verdict) = self.error(state) {
            return verdict;
        }
        if state.reached != Some(Reached::Launched) {
            return Verdict::Pending(match &self.view.note {
                Some(note) if note.kind == NoteKind::Waiting => format!("loaded on {machine}: {}", note.reason),
                _ => format!("starting on {machine}"),
            });
        }
        match state.active.as_str() {
            "active" | "reloading" | "refreshing" => reached(Some(&state.machine)),
            "failed" | "inactive" if !self.has_run(state) => Verdict::Pending(format!("starting on {machine}")),
            "inactive" if matches!(state.result.as_str(), "" | "success" | "exec-condition") => {
                reached(Some(&state.machine))
            }
            "failed" | "inactive" => failed(&format!("it failed with result {:?}", state.result), Some(&state.machine)),
            active if state.sub == "auto-restart" => {
                Verdict::Pending(format!("{active} on {machine}: systemd restarts it after result {:?}", state.result))
            }
            active => Verdict::Pending(format!("{active} on {machine} ({})", state.sub)),
        }
    }

    fn loaded(&self) -> Verdict {
        if let Some(verdict) = self.asked_otherwise(DesiredState::Loaded..=DesiredState::Launched) {
            return verdict;
        }
        let state = match self.current() {
            Ok(state) => state,
            Err(verdict) => return verdict,
        };
        if let Some(verdict) = self.error(state) {
            return verdict;
        }
        match state.load.as_str() {
            "loaded" if state.reached.is_some() => reached(Some(&state.machine)),
            "error" | "bad-setting" | "not-found" | "masked" => {
                failed(&format!("systemd could not load it ({})", state.load), Some(&state.machine))
            }
            _ => Verdict::Pending(format!("loading on {}", name_of(&state.machine))),
        }
    }

    fn stopped(&self) -> Verdict {
        if let Some(verdict) = self.asked_otherwise(DesiredState::Inactive..=DesiredState::Loaded) {
            return verdict;
        }
        if let Some(verdict) = self.live().find_map(|state| self.stopping(state)) {
            return verdict;
        }
        match &self.view.machine {
            None => reached(None),
            Some(machine) => match self.current() {
                Ok(_) => reached(Some(machine)),
                Err(verdict) => verdict,
            },
        }
    }

    fn unloaded(&self) -> Verdict {
        if let Some(verdict) = self.asked_otherwise(DesiredState::Inactive..=DesiredState::Inactive) {
            return verdict;
        }
        self.held().unwrap_or_else(|| self.left())
    }

    /// While any machine that is present has it, fleetd shows it.
    fn gone(&self) -> Verdict {
        if self.view.desired_state.is_some() {
            return Verdict::Pending("not destroyed yet".to_owned());
        }
        self.held().unwrap_or_else(|| Verdict::Pending("waiting for its machine".to_owned()))
    }

    /// Somebody else changed what is wanted of it.
    fn asked_otherwise(&self, wanted: std::ops::RangeInclusive<DesiredState>) -> Option<Verdict> {
        match self.view.desired_state {
            None => Some(failed("it was destroyed meanwhile", None)),
            Some(state) if !wanted.contains(&state) => {
                Some(failed(&format!("it was asked to be {state} meanwhile"), None))
            }
            Some(_) => None,
        }
    }

    /// What the machine that it belongs to says of it as it is now: this text, after the last restart.
    fn current(&self) -> Result<&StateView, Verdict> {
        let view = self.view;
        let Some(machine) = &view.machine else {
            return Err(match &view.note {
                Some(note) if note.kind == NoteKind::Invalid => {
                    failed(&format!("it cannot be placed: {}", note.reason), None)
                }
                Some(note) => Verdict::Pending(format!("unscheduled: {}", note.reason)),
                None => Verdict::Pending("unscheduled".to_owned()),
            });
        };
        let at = name_of(machine);
        let state = view.states.iter().find(|state| state.machine.id == machine.id && state.uid == view.uid);
        match state {
            None => Err(self.in_the_way(machine).unwrap_or_else(|| Verdict::Pending(format!("loading on {at}")))),
            Some(state) if state.stale => {
                Err(Verdict::Pending(format!("{at} is lost, and it has no other machine yet")))
            }
            Some(state) => self.as_it_is_now(state),
        }
    }

    /// What a machine says, if that is of this text, after the last restart.
    fn as_it_is_now<'s>(&self, state: &'s StateView) -> Result<&'s StateView, Verdict> {
        let (view, at) = (self.view, name_of(&state.machine));
        if state.hash.is_some() && view.hash.is_some() && state.hash != view.hash {
            return Err(Verdict::Pending(format!("{at} still has the former text")));
        }
        // What the agent could not do comes before what it has not done.
        match self.error(state).is_none() && state.restarts < view.restarts {
            true => Err(Verdict::Pending(format!("restarting on {at}"))),
            false => Ok(state),
        }
    }

    /// An orphan of its name runs on its machine, and is left alone.
    fn in_the_way(&self, machine: &MachineRef) -> Option<Verdict> {
        let mut states = self.live().filter(|state| state.orphan && state.machine.id == machine.id);
        states.find_map(|state| Some(failed(state.error.as_ref()?, None)))
    }

    /// What machines that are present say of it.
    fn live(&self) -> impl Iterator<Item = &StateView> {
        self.view.states.iter().filter(|state| !state.stale)
    }

    /// It still runs here, or its stop was not carried out.
    fn stopping(&self, state: &StateView) -> Option<Verdict> {
        let is_stopped = matches!(state.active.as_str(), "inactive" | "failed");
        if is_stopped && state.reached != Some(Reached::Launched) {
            return None;
        }
        let words = || fields::stopping(state).unwrap_or_else(|| format!("stopping on {}", name_of(&state.machine)));
        if is_stopped && matches!(state.load.as_str(), "error" | "bad-setting" | "not-found" | "masked") {
            // What systemd cannot load has nothing to stop: why it did not start is no word on that.
            return Some(Verdict::Pending(words()));
        }
        self.error(state).or_else(|| Some(Verdict::Pending(words())))
    }

    /// A machine still has it.
    fn held(&self) -> Option<Verdict> {
        self.live().find_map(|state| self.stopping(state)).or_else(|| {
            let machine = self.live().map(|state| &state.machine).next();
            // A machine that is lost gives nothing back; whoever decides takes it off that machine's schedule.
            let machine = machine.or(self.view.machine.as_ref())?;
            Some(Verdict::Pending(format!("unloading on {}", name_of(machine))))
        })
    }

    /// No machine that is present has it. Whether the others are lost for good is seen after a while.
    fn left(&self) -> Verdict {
        let Some(lost) = self.view.states.iter().find(|state| state.stale) else { return reached(None) };
        let machine = name_of(&lost.machine);
        match self.settled {
            true => {
                let remark = format!("{machine} is lost: {} may still run there", self.view.name);
                Verdict::Reached { machine: None, remark: Some(remark) }
            }
            false => Verdict::Pending(format!("{machine} is not present")),
        }
    }

    /// What the agent could not do, unless that is an old story.
    fn error(&self, state: &StateView) -> Option<Verdict> {
        let error = state.error.as_ref().filter(|error| !error.is_empty())?;
        match self.is_as_before(state) && !self.settled {
            true => None,
            false => Some(failed(error, Some(&state.machine))),
        }
    }

    /// Whether an inactive or failed state is the result of a start, and not what was there before.
    fn has_run(&self, state: &StateView) -> bool {
        self.settled || (state.since != 0 && !self.is_as_before(state))
    }

    fn is_as_before(&self, state: &StateView) -> bool {
        let before = self.target.before.as_ref().and_then(|before| {
            before.states.iter().find(|before| before.machine.id == state.machine.id && before.uid == state.uid)
        });
        before.is_some_and(|before| {
            (before.since, &before.active, &before.sub, &before.result, &before.error)
                == (state.since, &state.active, &state.sub, &state.result, &state.error)
        })
    }
}

fn name_of(machine: &MachineRef) -> String {
    fields::machine(machine, false)
}

fn reached(machine: Option<&MachineRef>) -> Verdict {
    Verdict::Reached { machine: machine.cloned(), remark: None }
}

fn failed(reason: &str, machine: Option<&MachineRef>) -> Verdict {
    Verdict::Failed { reason: reason.to_owned(), machine: machine.cloned() }
}
