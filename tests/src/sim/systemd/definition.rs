//! What a unit file says, as far as the life of its unit depends on it.

use std::time::Duration;

use fleet_registry::record::ContentRecord;
use fleet_units::{UnitFile, UnitName};

use super::script::{Script, span_of};

/// How a service says that it has started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Simple,
    Oneshot,
    Notify,
}

/// After which ends systemd starts a service again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Restart {
    #[default]
    No,
    Always,
    OnFailure,
    OnSuccess,
}

/// What a unit file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition {
    /// LoadState.
    pub(super) load: &'static str,
    pub(super) kind: Kind,
    pub(super) start: Vec<Script>,
    pub(super) stop: Vec<Script>,
    pub(super) stop_post: Vec<Script>,
    pub(super) restart: Restart,
    pub(super) restart_pause: Duration,
    pub(super) start_timeout: Option<Duration>,
    pub(super) stop_timeout: Option<Duration>,
    pub(super) remains: bool,
    /// Its processes are told to end by a signal that ends nothing.
    stubborn: bool,
    /// At most so many starts in so long.
    pub(super) burst: u32,
    pub(super) interval: Duration,
}

/// systemd's own default of both time-outs.
const TIMEOUT: Duration = Duration::from_secs(90);

impl Default for Definition {
    fn default() -> Self {
        Self {
            load: "loaded",
            kind: Kind::default(),
            start: Vec::new(),
            stop: Vec::new(),
            stop_post: Vec::new(),
            restart: Restart::default(),
            restart_pause: Duration::from_millis(100),
            start_timeout: Some(TIMEOUT),
            stop_timeout: Some(TIMEOUT),
            remains: false,
            stubborn: false,
            burst: 5,
            interval: Duration::from_secs(10),
        }
    }
}

impl Definition {
    /// A unit whose file is not there.
    pub(super) fn not_found() -> Self {
        Self { load: "not-found", ..Self::default() }
    }

    /// A unit that an operator has masked.
    pub(super) fn masked() -> Self {
        Self { load: "masked", ..Self::default() }
    }

    /// Reads a unit file and its drop-ins.
    pub(super) fn read(name: &UnitName, content: &ContentRecord) -> Self {
        let texts = std::iter::once(&content.text).chain(content.drop_ins.values());
        let files: Vec<UnitFile> = texts.filter_map(|text| UnitFile::parse(text).ok()).collect();
        let mut definition = Self::default();
        let mut bad = false;
        for option in
            files.iter().flat_map(UnitFile::options).filter(|o| matches!(o.section.as_str(), "Unit" | "Service"))
        {
            bad |= definition.set(&option.name, option.joined().trim()).is_none();
        }
        if definition.stubborn {
            let Self { start, stop, stop_post, .. } = &mut definition;
            start.iter_mut().chain(stop).chain(stop_post).for_each(|script| script.ignores_term = true);
        }
        if name.unit_type() == "service" && (bad || !definition.makes_sense()) {
            definition.load = "bad-setting";
        }
        definition
    }

    /// Takes one option in; none where systemd refuses the unit for it.
    fn set(&mut self, option: &str, value: &str) -> Option<()> {
        let commands = match option {
            "ExecStart" => Some(&mut self.start),
            "ExecStop" => Some(&mut self.stop),
            "ExecStopPost" => Some(&mut self.stop_post),
            _ => None,
        };
        if let Some(commands) = commands {
            match value {
                "" => commands.clear(),
                line => commands.push(Script::parse(line)?),
            }
            return Some(());
        }
        match (option, value) {
            ("Type", "oneshot") => (self.kind, self.start_timeout) = (Kind::Oneshot, None),
            ("Type", "notify") => self.kind = Kind::Notify,
            ("Restart", "always") => self.restart = Restart::Always,
            ("Restart", "on-failure") => self.restart = Restart::OnFailure,
            ("Restart", "on-success") => self.restart = Restart::OnSuccess,
            ("RestartSec", span) => self.restart_pause = span_of(span).unwrap_or(self.restart_pause),
            ("TimeoutStartSec", span) => self.start_timeout = span_of(span),
            ("TimeoutStopSec", span) => self.stop_timeout = span_of(span),
            ("KillSignal", signal) => self.stubborn = signal == "SIGWINCH",
            ("RemainAfterExit", value) => self.remains = value == "yes",
            ("StartLimitBurst", count) => self.burst = count.parse().unwrap_or(self.burst),
            ("StartLimitIntervalSec", span) => self.interval = span_of(span).unwrap_or(self.interval),
            _ => {}
        }
        Some(())
    }

    fn makes_sense(&self) -> bool {
        let commands = match self.kind {
            Kind::Oneshot => !self.start.is_empty() || !self.stop.is_empty(),
            _ => self.start.len() == 1,
        };
        commands && !(self.kind == Kind::Oneshot && matches!(self.restart, Restart::Always | Restart::OnSuccess))
    }

    /// The bound on stopping, as the agent counts it: a time-out for each command and stage.
    pub(super) fn stop_bound_ms(&self) -> Option<u64> {
        let timeout = u64::try_from(self.stop_timeout?.as_millis()).ok()?;
        let commands = u64::try_from(self.stop.len() + self.stop_post.len()).ok()?;
        Some((commands + 4) * timeout + 1000)
    }
}
