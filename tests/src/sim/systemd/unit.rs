//! One service in systemd's memory, and its life: a state machine that knows nothing of jobs.

use std::sync::Arc;
use std::time::Duration;

use fleet_registry::Mono;

use super::definition::{Definition, Kind, Restart};
use super::script::{Exit, Script};

/// How long a program takes until it does anything.
const EXEC: Duration = Duration::from_millis(2);

/// Where a service is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Dead,
    Failed,
    Start,
    Running,
    Exited,
    Stop,
    StopSigterm,
    StopSigkill,
    StopPost,
    FinalSigterm,
    FinalSigkill,
    AutoRestart,
}

impl State {
    /// ActiveState.
    pub(super) fn active(self) -> &'static str {
        match self {
            Self::Dead => "inactive",
            Self::Failed => "failed",
            Self::Start | Self::AutoRestart => "activating",
            Self::Running | Self::Exited => "active",
            Self::Stop
            | Self::StopSigterm
            | Self::StopSigkill
            | Self::StopPost
            | Self::FinalSigterm
            | Self::FinalSigkill => "deactivating",
        }
    }

    /// SubState.
    pub(super) fn sub(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Failed => "failed",
            Self::Start => "start",
            Self::AutoRestart => "auto-restart",
            Self::Running => "running",
            Self::Exited => "exited",
            Self::Stop => "stop",
            Self::StopSigterm => "stop-sigterm",
            Self::StopSigkill => "stop-sigkill",
            Self::StopPost => "stop-post",
            Self::FinalSigterm => "final-sigterm",
            Self::FinalSigkill => "final-sigkill",
        }
    }

    pub(super) fn is_idle(self) -> bool {
        matches!(self, Self::Dead | Self::Failed)
    }
}

/// A process of a service.
#[derive(Debug, Clone)]
struct Process {
    ends: Option<(Mono, Exit)>,
    ready: Option<Mono>,
    ignores_term: bool,
    may_fail: bool,
    children: bool,
}

impl Process {
    fn new(now: Mono, script: &Script) -> Self {
        Self {
            ends: script.ends.map(|(after, exit)| (now + EXEC + after, exit)),
            ready: script.ready.map(|after| now + EXEC + after),
            ignores_term: script.ignores_term,
            may_fail: script.may_fail,
            children: script.children,
        }
    }

    fn signal(&mut self, now: Mono, exit: Exit) {
        if !(self.ignores_term && exit == Exit::Terminated) {
            (self.ends, self.ready) = (Some((now + EXEC, exit)), None);
        }
    }
}

/// Processes that are left of a unit whose main process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Orphans {
    /// They end when they are told to.
    Meek,
    /// They have to be killed.
    Stubborn,
}

/// What a start begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Launch {
    /// The number of its main process, and of its invocation.
    pub(super) pid: u32,
    /// A fault: it takes this long.
    pub(super) slow: Option<Duration>,
    /// A fault: it fails.
    pub(super) broken: bool,
}

/// One service in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Unit {
    pub(super) definition: Arc<Definition>,
    pub(super) state: State,
    pub(super) result: &'static str,
    pub(super) pid: u32,
    pub(super) invocation: u32,
    pub(super) n_restarts: u32,
    /// When the state last changed.
    pub(super) since: Mono,
    /// The states that it went through since they were last taken.
    pub(super) moves: Vec<State>,
    /// A fault: its next stop takes this long.
    pub(super) slow_stop: Option<Duration>,
    /// Whether a stop is asked for, so that it is not started again by itself.
    pub(super) stop_pending: bool,
    /// The time-out of this state, or the end of a pause.
    timer: Option<Mono>,
    main: Option<Process>,
    control: Option<Process>,
    /// Whether processes are left that its main process began.
    orphans: Option<Orphans>,
    /// Which command is under way, of several.
    command: usize,
    /// systemd starts counting restarts anew with the next start.
    flush_restarts: bool,
    forbid_restart: bool,
    /// Since when starts are counted, and how many there were.
    starts: Option<(Mono, u32)>,
}

impl Unit {
    /// A unit that was just loaded.
    pub(super) fn new(definition: Arc<Definition>) -> Self {
        Self { definition, result: "success", ..Self::default() }
    }

    /// When it does something next by itself.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let of = |process: &Option<Process>| {
            let ends = process.as_ref().and_then(|p| p.ends.map(|(at, _)| at));
            ends.into_iter().chain(process.as_ref().and_then(|p| p.ready)).min()
        };
        [self.timer, of(&self.main), of(&self.control)].into_iter().flatten().min()
    }

    fn enter(&mut self, now: Mono, state: State) {
        if self.state.active() != state.active() {
            self.since = now;
        }
        (self.state, self.timer) = (state, None);
        if state != State::Stop && state != State::StopPost {
            self.control = None;
        }
        self.moves.push(state);
    }

    /// Whether it may be started once more, by the limit on starts.
    pub(super) fn within_start_limit(&mut self, now: Mono) -> bool {
        let Definition { burst, interval, .. } = *self.definition;
        match &mut self.starts {
            _ if burst == 0 || interval.is_zero() => true,
            Some((since, count)) if now <= *since + interval => {
                let within = *count < burst;
                *count += u32::from(within);
                within
            }
            starts => {
                *starts = Some((now, 1));
                true
            }
        }
    }

    /// It was started too often.
    pub(super) fn hit_start_limit(&mut self, now: Mono) {
        self.dead(now, "start-limit-hit", false);
    }

    /// Begins to run. The unit is idle.
    pub(super) fn start(&mut self, now: Mono, launch: Launch) {
        let definition = Arc::clone(&self.definition);
        (self.result, self.forbid_restart, self.command) = ("success", false, 0);
        (self.pid, self.invocation) = (launch.pid, launch.pid);
        if std::mem::take(&mut self.flush_restarts) {
            self.n_restarts = 0;
        }
        let script = match (launch.broken, launch.slow) {
            (true, _) => Some(Script { ends: Some((Duration::ZERO, Exit::Code(1))), ..Script::default() }),
            (_, Some(slow)) => Some(Script { ready: Some(slow), ..Script::default() }),
            _ => definition.start.first().cloned(),
        };
        let kind = if launch.broken || launch.slow.is_some() { Kind::Notify } else { definition.kind };
        self.main = script.as_ref().map(|script| Process::new(now, script));
        match (kind, &script) {
            (Kind::Simple, _) => self.enter(now, State::Running),
            // A oneshot that only has commands to stop it.
            (_, None) => self.runs(now, "success"),
            _ => {
                self.enter(now, State::Start);
                self.timer = definition.start_timeout.map(|timeout| now + timeout);
            }
        }
    }

    /// Stops it, because somebody asked for that. Whether anything was to be done.
    pub(super) fn stop(&mut self, now: Mono) {
        self.forbid_restart = true;
        match self.state {
            State::AutoRestart => self.enter(now, State::Dead),
            State::Start => self.signal(now, State::StopSigterm, "success"),
            State::Running | State::Exited => self.begin_stop(now, "success"),
            _ => {}
        }
    }

    /// Its main process is killed by someone.
    pub(super) fn kill(&mut self, now: Mono) {
        if let Some(main) = &mut self.main {
            main.signal(now, Exit::Killed);
        }
    }

    /// What is due happens. Whether it is to be started again by itself.
    pub(super) fn advance(&mut self, now: Mono) -> bool {
        let due = |process: &Option<Process>| process.as_ref().and_then(|p| p.ends).filter(|(at, _)| *at <= now);
        if self.main.as_ref().and_then(|p| p.ready).is_some_and(|at| at <= now) {
            if let Some(main) = &mut self.main {
                main.ready = None;
            }
            if self.state == State::Start {
                self.enter(now, State::Running);
            }
        }
        if let Some((_, exit)) = due(&self.control) {
            let may_fail = self.control.take().is_some_and(|p| p.may_fail);
            self.control_ended(now, self.outcome(exit, may_fail));
        }
        if let Some((_, exit)) = due(&self.main) {
            let main = self.main.take();
            let may_fail = main.as_ref().is_some_and(|p| p.may_fail);
            // Who is killed leaves behind what it was waiting for.
            let left = main.filter(|p| p.children && !matches!(exit, Exit::Code(_)));
            self.orphans = left.map(|p| match p.ignores_term && self.state != State::StopSigkill {
                true => Orphans::Stubborn,
                false => Orphans::Meek,
            });
            self.pid = 0;
            self.main_ended(now, self.outcome(exit, may_fail));
        }
        if self.timer.is_some_and(|at| at <= now) {
            self.timer = None;
            return self.timed_out(now);
        }
        false
    }

    fn outcome(&self, exit: Exit, may_fail: bool) -> &'static str {
        match exit {
            Exit::Code(0) => "success",
            // Who has a job to finish has not done it when it is asked to end.
            Exit::Terminated if self.definition.kind != Kind::Oneshot => "success",
            _ if may_fail => "success",
            Exit::Code(_) => "exit-code",
            Exit::Terminated | Exit::Killed => "signal",
        }
    }

    fn main_ended(&mut self, now: Mono, result: &'static str) {
        match self.state {
            State::Start if self.definition.kind == Kind::Oneshot && result == "success" => {
                self.command += 1;
                match self.definition.start.get(self.command).map(|script| Process::new(now, script)) {
                    Some(next) => self.main = Some(next),
                    None => self.runs(now, "success"),
                }
            }
            State::Start => {
                let notify = self.definition.kind == Kind::Notify && result == "success";
                self.signal(now, State::StopSigterm, if notify { "protocol" } else { result });
            }
            State::Running => self.runs(now, result),
            State::StopSigterm | State::StopSigkill if self.control.is_none() => self.after_stop(now, result),
            _ => self.fail(result),
        }
    }

    fn control_ended(&mut self, now: Mono, result: &'static str) {
        self.command += 1;
        let stopping = self.state == State::Stop;
        let commands = if stopping { &self.definition.stop } else { &self.definition.stop_post };
        let next = commands.get(self.command).filter(|_| result == "success").map(|script| Process::new(now, script));
        match next {
            Some(next) => {
                self.control = Some(next);
                self.timer = self.definition.stop_timeout.map(|timeout| now + timeout);
            }
            None if stopping => self.signal(now, State::StopSigterm, result),
            None => self.after_all(now, result),
        }
    }

    fn timed_out(&mut self, now: Mono) -> bool {
        match self.state {
            State::AutoRestart => {
                self.n_restarts += 1;
                self.flush_restarts = false;
                return true;
            }
            State::Start | State::Stop => self.signal(now, State::StopSigterm, "timeout"),
            // Whom the signal that asks for it did not end.
            State::StopSigterm if self.main.is_some() || self.orphans == Some(Orphans::Stubborn) => {
                self.signal(now, State::StopSigkill, "timeout");
            }
            State::StopSigterm | State::StopSigkill => {
                let result = if self.main.is_some() { "timeout" } else { "success" };
                self.orphans = None;
                self.after_stop(now, result);
            }
            State::StopPost => self.after_all(now, "timeout"),
            State::FinalSigterm if self.orphans.take().is_some() => {
                self.fail("timeout");
                self.enter(now, State::FinalSigkill);
                self.timer = Some(now + EXEC);
            }
            State::FinalSigterm | State::FinalSigkill => self.dead(now, "success", true),
            State::Dead | State::Failed | State::Running | State::Exited => {}
        }
        false
    }

    fn fail(&mut self, result: &'static str) {
        if self.result == "success" {
            self.result = result;
        }
    }

    /// It has started, or its main process has ended while it ran.
    fn runs(&mut self, now: Mono, result: &'static str) {
        self.fail(result);
        match result {
            "success" if self.main.is_some() => self.enter(now, State::Running),
            "success" if self.definition.remains => self.enter(now, State::Exited),
            "success" => self.begin_stop(now, "success"),
            _ => self.signal(now, State::StopSigterm, result),
        }
    }

    fn begin_stop(&mut self, now: Mono, result: &'static str) {
        self.fail(result);
        self.command = 0;
        match self.definition.stop.first().map(|script| Process::new(now, script)) {
            Some(control) => {
                self.enter(now, State::Stop);
                self.control = Some(control);
                self.timer = self.definition.stop_timeout.map(|timeout| now + timeout);
            }
            None => self.signal(now, State::StopSigterm, "success"),
        }
    }

    /// Kills what runs, and goes on once it is gone.
    fn signal(&mut self, now: Mono, state: State, result: &'static str) {
        self.fail(result);
        let slow = self.slow_stop.take();
        let Some(main) = &mut self.main else {
            let Some(orphans) = self.orphans else { return self.after_stop(now, "success") };
            self.enter(now, state);
            let stubborn = orphans == Orphans::Stubborn && state == State::StopSigterm;
            self.timer =
                if stubborn { self.definition.stop_timeout.map(|timeout| now + timeout) } else { Some(now + EXEC) };
            return;
        };
        main.signal(now, if state == State::StopSigterm { Exit::Terminated } else { Exit::Killed });
        if let (Some(slow), Some((at, _))) = (slow, &mut main.ends) {
            *at = now + slow;
        }
        self.enter(now, state);
        self.timer = self.definition.stop_timeout.filter(|_| slow.is_none()).map(|timeout| now + timeout);
    }

    fn after_stop(&mut self, now: Mono, result: &'static str) {
        self.fail(result);
        self.command = 0;
        match self.definition.stop_post.first().map(|script| Process::new(now, script)) {
            Some(control) => {
                self.enter(now, State::StopPost);
                self.control = Some(control);
                self.timer = self.definition.stop_timeout.map(|timeout| now + timeout);
            }
            None => self.after_all(now, "success"),
        }
    }

    /// Ends what is left of its processes.
    fn after_all(&mut self, now: Mono, result: &'static str) {
        self.fail(result);
        let Some(orphans) = self.orphans.take() else { return self.dead(now, "success", true) };
        self.enter(now, State::FinalSigterm);
        self.timer = match orphans {
            Orphans::Meek => Some(now + EXEC),
            Orphans::Stubborn => self.definition.stop_timeout.map(|timeout| now + timeout),
        };
        self.orphans = Some(orphans).filter(|orphans| *orphans == Orphans::Stubborn);
    }

    fn dead(&mut self, now: Mono, result: &'static str, may_restart: bool) {
        self.fail(result);
        (self.main, self.control, self.pid) = (None, None, 0);
        let failed = self.result != "success";
        let restart = match self.definition.restart {
            Restart::No => false,
            Restart::Always => true,
            Restart::OnFailure => failed,
            Restart::OnSuccess => !failed,
        };
        self.enter(now, if failed { State::Failed } else { State::Dead });
        if may_restart && restart && !self.forbid_restart && !self.stop_pending {
            self.enter(now, State::AutoRestart);
            self.timer = Some(now + self.definition.restart_pause);
        } else {
            self.flush_restarts = true;
        }
        self.forbid_restart = false;
    }

    /// It is made to run, or not, by something else than systemd's jobs.
    pub(super) fn set_running(&mut self, now: Mono, pid: u32) {
        self.main = (pid != 0).then(|| Process::new(now, &Script::default()));
        (self.pid, self.invocation) = (pid, pid);
        self.enter(now, if pid == 0 { State::Dead } else { State::Running });
    }

    /// A failure is forgotten.
    pub(super) fn reset_failed(&mut self, now: Mono) {
        if self.state == State::Failed {
            self.enter(now, State::Dead);
        }
        (self.result, self.n_restarts, self.starts) = ("success", 0, None);
    }
}
