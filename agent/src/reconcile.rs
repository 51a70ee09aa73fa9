//! What to do next with one unit. Pure.
//!
//! [`next`] compares what the schedule wants of a unit with what this machine holds of it, and names one action;
//! [`after`] says what the machine holds once that action has succeeded. The agent asks again after each outcome, so
//! that a schedule that changes half-way needs no special case: whatever was reached is where the new way begins.
//!
//! A unit climbs: written, linked, loaded, launched. It leaves the other way round: stopped (awaited), unlinked,
//! removed. What must not be lost in a crash is noted before it is done: that a unit is about to be started
//! ([`Action::Intend`], or its first note), or to be stopped ([`Action::Release`]). Another uid or another text of the same name leaves before the new one climbs.

use fleet_registry::record::{Assignment, ContentKey, Target};

/// How far a unit is known to this machine's systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Its file is there; systemd may not know of it.
    Written,
    /// Linked, but systemd holds an older idea of the unit and must reload.
    Stale,
    /// systemd can start it.
    Loaded,
    /// Its start was asked for, and came to an end one way or the other.
    Launched,
    /// On its way out: its stop job has finished.
    Stopped,
    /// On its way out: no longer linked. What systemd still makes of it decides what follows.
    Unlinked(Residue),
    /// On its way out: its files are gone, and systemd must forget it by a reload.
    Removed,
}

/// What systemd still holds of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Residue {
    /// Nothing.
    Gone,
    /// It is in memory, because another unit refers to it, and does not run.
    Inactive,
    /// It runs: something else started it in between.
    Active,
}

/// What this machine holds of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Which unit of that name.
    pub uid: i64,
    /// Its text.
    pub content: ContentKey,
    /// The restart generation that was carried out.
    pub restarts: u64,
    /// How far it got.
    pub stage: Stage,
    /// Whether fleet may have started it since it was last stopped. True from before the start on, and in the note by
    /// then: a crash between the start and its note must not hide that the unit runs.
    pub starting: bool,
    /// Whether the note on disk says all this.
    pub noted: bool,
}

impl Held {
    /// Whether this is the very unit that is wanted.
    #[must_use]
    pub fn is(&self, wanted: &Assignment) -> bool {
        self.uid == wanted.uid && self.content == wanted.content
    }

    /// How far it got, in the terms of the schedule.
    #[must_use]
    pub fn reached(&self) -> Option<Target> {
        match self.stage {
            Stage::Launched => Some(Target::Launched),
            Stage::Loaded => Some(Target::Loaded),
            Stage::Written | Stage::Stale | Stage::Stopped | Stage::Unlinked(_) | Stage::Removed => None,
        }
    }
}

/// One step with one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Write its file, drop-ins, and note (fetching the text first).
    Write,
    /// Tell systemd where its file is.
    Link,
    /// Have systemd read its files anew.
    Reload,
    /// Note that it is about to be started.
    Intend,
    /// Start it and wait for the job.
    Start,
    /// Restart it and wait for the job.
    Restart,
    /// Note that it is about to be stopped: a crash after the stop must not pass for a unit that runs.
    Release,
    /// Stop it and wait for the job; it stays loaded.
    Stop,
    /// Stop it and wait for the job; it leaves this machine.
    Retire,
    /// Take it out of systemd's view.
    Unlink,
    /// Remove its files and note.
    Remove,
    /// Write down what was reached.
    Settle,
}

impl Action {
    /// Whether this brings a unit closer to running. Such actions wait while the machine does not know that the
    /// schedule still gives it the unit.
    #[must_use]
    pub fn builds(self) -> bool {
        matches!(self, Self::Write | Self::Link | Self::Intend | Self::Start | Self::Restart)
    }

    /// Whether it does nothing but write the note.
    #[must_use]
    pub fn notes(self) -> bool {
        matches!(self, Self::Intend | Self::Release | Self::Settle)
    }
}

/// What to do next, or `None` when the unit is as it should be.
#[must_use]
pub fn next(wanted: Option<&Assignment>, held: Option<&Held>) -> Option<Action> {
    match (wanted, held) {
        (None, None) => None,
        (Some(_), None) => Some(Action::Write),
        (Some(w), Some(h)) if h.is(w) => climb(w, h),
        (_, Some(h)) => Some(leave(h)),
    }
}

fn climb(wanted: &Assignment, held: &Held) -> Option<Action> {
    let settle = (!held.noted).then_some(Action::Settle);
    match (held.stage, wanted.target) {
        (Stage::Written | Stage::Unlinked(_), _) => Some(Action::Link),
        (Stage::Stale, _) => Some(Action::Reload),
        (Stage::Loaded | Stage::Stopped, Target::Launched) if !held.starting => Some(Action::Intend),
        (Stage::Loaded | Stage::Stopped, Target::Launched) => Some(Action::Start),
        (Stage::Loaded, Target::Loaded) if held.starting => Some(Action::Stop),
        // It is stopped already: this takes it back from its way out.
        (Stage::Stopped, Target::Loaded) => Some(Action::Stop),
        (Stage::Loaded, Target::Loaded) => settle,
        (Stage::Launched, Target::Loaded) => Some(Action::Release),
        // Settling comes first: a crash after it does not repeat the restart that it speaks of.
        (Stage::Launched, Target::Launched) if held.restarts < wanted.restarts => settle.or(Some(Action::Restart)),
        (Stage::Launched, Target::Launched) => settle,
        // The old one is given back in full before the new one is begun.
        (Stage::Removed, _) => Some(Action::Reload),
    }
}

fn leave(held: &Held) -> Action {
    match held.stage {
        // Even one that was only written: a batch of links may have failed half-way.
        Stage::Written | Stage::Stale | Stage::Loaded => Action::Retire,
        Stage::Launched => Action::Release,
        Stage::Unlinked(Residue::Active) => Action::Retire,
        // Noted first: after a crash it must not pass for linked because systemd still has it in memory.
        Stage::Stopped if !held.noted => Action::Settle,
        Stage::Stopped => Action::Unlink,
        Stage::Unlinked(Residue::Gone | Residue::Inactive) => Action::Remove,
        Stage::Removed => Action::Reload,
    }
}

/// What systemd answered to a link or an unlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The action succeeded.
    Done,
    /// [`Action::Link`]: systemd holds something of that name already, and must reload to see the file.
    MustReload,
    /// [`Action::Unlink`]: what systemd still holds.
    Left(Residue),
}

/// What is held once `action` has succeeded.
#[must_use]
pub fn after(action: Action, outcome: Outcome, wanted: Option<&Assignment>, held: Option<Held>) -> Option<Held> {
    if action == Action::Write {
        return wanted.map(|w| Held {
            uid: w.uid,
            content: w.content.clone(),
            restarts: w.restarts,
            stage: Stage::Written,
            starting: w.target == Target::Launched,
            noted: true,
        });
    }
    let mut held = held?;
    let carried = |held: &Held| wanted.filter(|w| held.is(w)).map_or(held.restarts, |w| w.restarts);
    match (action, outcome) {
        (Action::Link, Outcome::MustReload) => held.stage = Stage::Stale,
        (Action::Link, _) => (held.stage, held.noted) = (Stage::Loaded, false),
        (Action::Reload, _) if held.stage == Stage::Removed => return None,
        (Action::Reload, _) => (held.stage, held.noted) = (Stage::Loaded, false),
        (Action::Start | Action::Restart, _) => {
            (held.restarts, held.stage, held.noted) = (carried(&held), Stage::Launched, false);
        }
        (Action::Stop, _) => (held.stage, held.starting, held.noted) = (Stage::Loaded, false, false),
        (Action::Retire, _) => (held.stage, held.starting, held.noted) = (Stage::Stopped, false, false),
        (Action::Intend, _) => (held.starting, held.noted) = (true, true),
        (Action::Release, _) => (held.stage, held.starting, held.noted) = (Stage::Loaded, true, true),
        (Action::Unlink, Outcome::Left(residue)) => held.stage = Stage::Unlinked(residue),
        (Action::Unlink, _) => held.stage = Stage::Unlinked(Residue::Gone),
        (Action::Remove, _) if held.stage == Stage::Unlinked(Residue::Inactive) => held.stage = Stage::Removed,
        (Action::Remove, _) => return None,
        (Action::Settle, _) => held.noted = true,
        (Action::Write, _) => {}
    }
    Some(held)
}

#[cfg(test)]
mod tests;
