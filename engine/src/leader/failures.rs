//! Units that systemd has given up on, and that ask to be moved for it (`OnFailure=move`).
//!
//! A unit fails when the machine that lists it says so of this very text and this very start. It then waits where it is,
//! longer each time, and is moved; where it comes to rest for a while, all is forgotten. What it has cost so far is kept
//! in its note, written before it is moved, so that the next leader goes on counting. Only waits begin anew with another
//! leader: clocks of different machines are not compared.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_registry::View;
use fleet_registry::record::{ContentKey, Failing, NoteRecord, StateRecord, Target, WallMillis};
use fleet_registry::{Mono, Now};
use fleet_units::{DesiredState, MachineId, UnitName};

use super::Ground;
use super::facts;
use crate::placement::{Cluster, Failures as Placed, UnitSpec};

/// Before the first move; it doubles with each, up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(300);

/// How long a unit must have run well for its failures to be forgotten.
const QUIET: Duration = Duration::from_secs(600);

/// How a unit that has failed stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is on its way, or nothing certain is known of it.
    Open,
    /// It runs well; its failures are forgotten then.
    Well { until: Mono },
    /// It failed where it is, and is moved then.
    Waiting { until: Mono },
    /// It is to leave as soon as another machine can take it.
    Leaving,
    /// It was moved as often as it may be.
    Stays,
}

/// A unit that has failed.
#[derive(Debug, Clone)]
struct Case {
    uid: i64,
    content: ContentKey,
    restarts: u64,
    /// How often it was moved for failing, the move that it waits for included.
    moves: u32,
    /// Where it failed, the latest last.
    machines: Vec<MachineId>,
    /// Whether it has still to leave the last of them.
    pending: bool,
    phase: Phase,
    /// For people: when it may be moved, and how it failed.
    not_before: Option<WallMillis>,
    result: String,
    limit: u32,
}

impl Case {
    fn is_of(&self, spec: &UnitSpec) -> bool {
        self.uid == spec.uid && self.content == spec.content && self.restarts == spec.restarts
    }

    /// It need not leave after all: the move that was counted is not made.
    fn undo(&mut self) {
        if std::mem::take(&mut self.pending) {
            self.moves -= 1;
            self.machines.pop();
        }
        self.not_before = None;
    }

    fn placed(&self) -> Placed {
        Placed { machines: self.machines.clone(), leaves: self.phase == Phase::Leaving }
    }
}

/// What a note says of a unit's failing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) failing: Failing,
    pub(super) not_before: Option<WallMillis>,
    /// What there is to say instead of why the unit is where it is.
    pub(super) reason: Option<String>,
}

/// What the machine that lists a unit says of it.
enum Condition {
    Failed {
        machine: MachineId,
        result: String,
    },
    Well {
        machine: MachineId,
    },
    /// It is about to be one or the other, or its machine cannot be taken at its word.
    Unclear {
        machine: Option<MachineId>,
    },
}

/// The units that have failed and are moved for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Failures {
    cases: BTreeMap<UnitName, Case>,
    /// Units to look at.
    dirty: BTreeSet<UnitName>,
    timers: BTreeSet<(Mono, UnitName)>,
}

impl Failures {
    /// What the last leader knew, and who has failed meanwhile.
    pub(super) fn load(view: &View) -> Self {
        let mut failures = Self::default();
        for (name, note) in &view.notes {
            if let Some(case) = case_of(&note.value) {
                failures.cases.insert(name.clone(), case);
                failures.dirty.insert(name.clone());
            }
        }
        let failed = view.states.iter().filter(|(_, states)| states.values().any(|state| has_failed(&state.value)));
        failures.dirty.extend(failed.map(|(name, _)| name.clone()));
        failures
    }

    /// When something is to be done.
    pub(super) fn wakeup(&self) -> Option<Mono> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Time has passed.
    pub(super) fn expire(&mut self, now: Mono) {
        while self.timers.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, name)) = self.timers.pop_first()
        {
            self.dirty.insert(name);
        }
    }

    /// Notes were written: what had to be in the registry first goes on.
    pub(super) fn notes_written(&mut self) {
        let waiting = self.cases.iter().filter(|(_, case)| matches!(case.phase, Phase::Waiting { .. }));
        self.dirty.extend(waiting.map(|(name, _)| name.clone()));
    }

    /// Something changed about a unit.
    pub(super) fn touch(&mut self, view: &View, name: &UnitName) {
        let failed = || view.states.get(name).is_some_and(|states| states.values().any(|s| has_failed(&s.value)));
        if self.cases.contains_key(name) || failed() {
            self.dirty.insert(name.clone());
        }
    }

    /// Tells a cluster that was built anew what is known.
    pub(super) fn tell(&self, cluster: &mut Cluster) {
        for (name, case) in &self.cases {
            cluster.set_failures(name, case.placed());
        }
    }

    /// What the note of a unit has to say of this.
    pub(super) fn remark(&self, name: &UnitName) -> Option<Remark> {
        let case = self.cases.get(name)?;
        let (moves, limit) = (case.moves, case.limit);
        let at = case.machines.last().map(|id| id.short().to_owned()).unwrap_or_default();
        let failed = format!("it failed on {at} ({})", case.result);
        let reason = match case.phase {
            Phase::Open | Phase::Well { .. } => None,
            Phase::Waiting { .. } => Some(format!("{failed} and is to be moved in a while (move {moves} of {limit})")),
            Phase::Leaving => Some(format!("{failed}, and no other machine can take it")),
            Phase::Stays => Some(format!("{failed} and stays there: it was moved {moves} times (MaxMoves={limit})")),
        };
        let failing = Failing {
            content: case.content.clone(),
            restarts: case.restarts,
            moves,
            machines: case.machines.clone(),
            pending: case.pending,
            extra: BTreeMap::new(),
        };
        Some(Remark { failing, not_before: case.not_before, reason })
    }

    /// Looks at what changed. Answers the units of which there is something else to
    /// say. `is_written` tells whether the note of a unit is in the registry as it was last wanted.
    pub(super) fn look(
        &mut self,
        ground: Ground<'_>,
        cluster: &mut Cluster,
        is_written: impl Fn(&UnitName) -> bool,
    ) -> Vec<UnitName> {
        let mut news = Vec::new();
        for name in std::mem::take(&mut self.dirty) {
            let before = self.remark(&name);
            self.look_at(ground, cluster, &name, is_written(&name));
            let placed = self.cases.get(&name).map(Case::placed).unwrap_or_default();
            cluster.set_failures(&name, placed);
            if self.remark(&name) != before {
                news.push(name);
            }
        }
        news
    }

    fn look_at(&mut self, ground: Ground<'_>, cluster: &Cluster, name: &UnitName, is_written: bool) {
        // Of most units there is nothing to know: none of them is worth reading what it asks for.
        let states = ground.view.states.get(name).into_iter().flat_map(|states| states.values());
        if !self.cases.contains_key(name) && !states.into_iter().any(|state| has_failed(&state.value)) {
            return;
        }
        let spec = facts::unit(ground.view, ground.digests, name);
        let limit = spec.as_ref().map_or(0, limit);
        let Some(spec) = spec.filter(|_| limit > 0) else {
            return self.forget(name);
        };
        if self.cases.get(name).is_some_and(|case| !case.is_of(&spec)) {
            // Another text, or a person wants it tried again.
            self.forget(name);
        }
        let condition = condition(ground.view, cluster, name, &spec);
        if !self.cases.contains_key(name) && !matches!(condition, Condition::Failed { .. }) {
            return;
        }
        let now = ground.now;
        let case = self.cases.entry(name.clone()).or_insert_with(|| Case::new(&spec));
        case.limit = limit;
        let old = case.phase;
        match condition {
            Condition::Failed { machine, result } => case.failed(now, machine, result, is_written),
            Condition::Well { machine } => case.is_well(now, &machine),
            Condition::Unclear { machine } => case.is_unclear(machine.as_ref()),
        }
        // A wait that is over but whose note is still on its way goes on when that has been written.
        let over = matches!(case.phase, Phase::Waiting { until } if until <= now.mono);
        let (phase, is_over) = (case.phase, case.machines.is_empty());
        if is_over || matches!(phase, Phase::Well { until } if until <= now.mono) {
            return self.forget(name);
        }
        if phase != old {
            self.timers.retain(|(_, timed)| timed != name);
        }
        if let (Phase::Well { until } | Phase::Waiting { until }, false) = (phase, over) {
            self.timers.insert((until, name.clone()));
        }
    }

    fn forget(&mut self, name: &UnitName) {
        if self.cases.remove(name).is_some() {
            self.timers.retain(|(_, timed)| timed != name);
        }
    }
}

impl Case {
    fn new(spec: &UnitSpec) -> Self {
        Self {
            uid: spec.uid,
            content: spec.content.clone(),
            restarts: spec.restarts,
            moves: 0,
            machines: Vec::new(),
            pending: false,
            phase: Phase::Open,
            not_before: None,
            result: String::new(),
            limit: 0,
        }
    }

    fn failed(&mut self, now: Now, machine: MachineId, result: String, is_written: bool) {
        let is_known = self.machines.last() == Some(&machine);
        match self.phase {
            Phase::Waiting { until } if is_known => {
                if until <= now.mono && is_written {
                    (self.phase, self.not_before) = (Phase::Leaving, None);
                }
                return;
            }
            Phase::Leaving | Phase::Stays if is_known => return,
            // The last leader saw it fail there, and counted it.
            Phase::Open if is_known && self.pending => {}
            Phase::Open if is_known && self.moves >= self.limit => {
                (self.phase, self.result) = (Phase::Stays, result);
                return;
            }
            _ => {
                self.machines.retain(|at| *at != machine);
                self.machines.push(machine);
                self.pending = self.moves < self.limit;
                self.moves += u32::from(self.pending);
            }
        }
        self.result = result;
        if !self.pending {
            self.phase = Phase::Stays;
            return;
        }
        let wait = FIRST.saturating_mul(1 << self.moves.saturating_sub(1).min(16)).min(LONGEST);
        self.phase = Phase::Waiting { until: now.mono + wait };
        self.not_before = Some(now.wall + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    }

    fn is_well(&mut self, now: Now, machine: &MachineId) {
        if self.machines.last() == Some(machine) {
            self.undo();
        }
        (self.pending, self.not_before) = (false, None);
        if !matches!(self.phase, Phase::Well { .. }) {
            self.phase = Phase::Well { until: now.mono + QUIET };
        }
    }

    /// While it is still where it failed, what it waits for may yet come about.
    fn is_unclear(&mut self, machine: Option<&MachineId>) {
        let waits = self.pending || self.phase == Phase::Stays;
        if waits && machine == self.machines.last() {
            return;
        }
        if matches!(self.phase, Phase::Waiting { .. }) {
            // It goes for another reason.
            self.undo();
        }
        (self.phase, self.pending) = (Phase::Open, false);
    }
}

/// How often a unit may be moved for failing, as things are.
fn limit(spec: &UnitSpec) -> u32 {
    let wanted = spec.requirements.as_ref().ok().filter(|_| spec.desired == DesiredState::Launched);
    wanted.map_or(0, |wanted| wanted.moves_for_failing())
}

/// Whether systemd has given up on a unit: it failed, and is not about to be restarted.
pub(super) fn has_failed(state: &StateRecord) -> bool {
    state.active == "failed" && !state.sub.contains("auto-restart") && state.reached == Some(Target::Launched)
}

/// Where a unit failed, and that it is to leave no machine for that: by what its note says, for whoever does not lead.
pub(super) fn noted(note: &NoteRecord) -> Placed {
    case_of(note).map(|case| case.placed()).unwrap_or_default()
}

/// A case as the last leader left it.
fn case_of(note: &NoteRecord) -> Option<Case> {
    let failing = note.failing.as_ref()?;
    Some(Case {
        uid: note.uid,
        content: failing.content.clone(),
        restarts: failing.restarts,
        moves: failing.moves,
        machines: failing.machines.clone(),
        pending: failing.pending && failing.moves > 0,
        phase: Phase::Open,
        not_before: None,
        result: String::new(),
        limit: 0,
    })
}

fn condition(view: &View, cluster: &Cluster, name: &UnitName, spec: &UnitSpec) -> Condition {
    let Some(machine) = cluster.places(name).into_iter().next() else { return Condition::Unclear { machine: None } };
    // What an absent machine said last is old; one that is catching up has yet to say how things are; one that is about
    // to leave, or is being emptied, stops its units itself.
    let record = view.machines.get(&machine).filter(|record| !record.value.leaving);
    let draining = view.operators.get(&machine).is_some_and(|operator| operator.value.draining);
    if record.is_none() || draining {
        return Condition::Unclear { machine: None };
    }
    let catching_up = record.is_some_and(|record| record.value.catching_up);
    let state = view.state(&machine, name).map(|state| &state.value).filter(|state| {
        let of = (state.uid, &state.content, state.restarts) == (spec.uid, &spec.content, spec.restarts);
        of && state.reached == Some(Target::Launched) && !catching_up
    });
    match state {
        Some(state) if has_failed(state) => Condition::Failed { machine, result: state.result.clone() },
        Some(state) if runs_well(state) => Condition::Well { machine },
        _ => Condition::Unclear { machine: Some(machine) },
    }
}

/// Whether a unit runs, or has finished well.
pub(super) fn runs_well(state: &StateRecord) -> bool {
    let finished = || matches!(state.result.as_str(), "" | "success" | "exec-condition");
    match state.active.as_str() {
        "active" | "reloading" | "refreshing" => true,
        "inactive" => state.error.is_empty() && state.since != 0 && finished(),
        _ => false,
    }
}
