//! `OnDisconnect=stop`: how long stopping such a unit may take at most, and what must not be in its text because nothing
//! could be promised then.
//!
//! The bound follows from the text and its drop-ins alone. Whoever decides that the unit may run elsewhere cannot ask
//! the machine that is gone, and systemd's default time-out may differ from machine to machine; so fleet writes the
//! time-out that the bound counts with into a drop-in of its own.

use std::time::Duration;

use crate::timespan::{self, Timespan};
use crate::{UnitFile, UnitName};

/// What a machine does with a unit when it loses the registry for a whole lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDisconnect {
    /// It runs on.
    #[default]
    Keep,
    /// systemd stops it before the lease ends.
    Stop,
}

/// How a unit with `OnDisconnect=stop` is stopped.
///
/// ```
/// use fleet_units::{Fence, UnitFile, UnitName};
///
/// let name = UnitName::parse("db.service").unwrap();
/// let text = "[Service]\nExecStart=/bin/db\nTimeoutStopSec=5\n[X-Fleet]\nOnDisconnect=stop\n";
/// let file = UnitFile::parse(text).unwrap();
/// let fence = Fence::of([&file]).unwrap().unwrap();
/// fence.check_name(&name).unwrap();
/// assert_eq!(fence.stop_bound().as_secs(), 4 * 5 + 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Commands that stopping it runs.
    commands: u32,
    /// What systemd grants to each stage of stopping it.
    timeout: Duration,
    /// `TimeoutStopSec=` of the drop-in.
    stop_timeout: Duration,
}

/// Why a unit cannot have `OnDisconnect=stop`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FenceError {
    /// Only services can be stopped within a bound, with all that they started.
    #[error(
        "OnDisconnect=stop is for services, not for a {0}: stopping one does not stop what it started; \
         give the option to the service"
    )]
    Type(String),
    /// Some stage of stopping may take for ever.
    #[error(
        "OnDisconnect=stop needs a bound on how long stopping takes, but {option}={value} sets none: \
         give a finite time"
    )]
    Unbounded {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
    },
    /// systemd would not be able to stop it, or not for certain.
    #[error("OnDisconnect=stop cannot be used with {option}={value}: {why}")]
    Unenforceable {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// Why not.
        why: &'static str,
    },
    /// A value that systemd would ignore.
    #[error("OnDisconnect=stop needs to know what {option}={value:?} means: expected {expected}")]
    Unclear {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The option itself is neither `keep` nor `stop`.
    #[error("invalid OnDisconnect {0:?}: expected keep or stop")]
    OnDisconnect(String),
    /// A drop-in has the name of fleet's own.
    #[error("a drop-in of a unit with OnDisconnect=stop cannot be called {}: that is fleet's own", Fence::DROP_IN)]
    DropIn,
}

/// systemd's own default, which fleet sets where the text says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(90);

/// Stages of stopping beside the commands: SIGTERM and SIGKILL, and both once more after the commands that follow.
const STAGES: u32 = 4;

impl Fence {
    /// File name of the drop-in that ties the unit to the machine's connection.
    pub const DROP_IN: &'static str = "zz-fleet-on-disconnect.conf";

    /// The target that is active while a machine's lease lives.
    pub const TARGET: &'static str = "fleet-connected.target";

    /// Reads how a unit is stopped from its text and its drop-ins, in systemd's order. None where it is to be kept.
    pub fn of<'a>(files: impl IntoIterator<Item = &'a UnitFile> + Clone) -> Result<Option<Self>, FenceError> {
        let text = Text(files.into_iter().collect());
        if text.on_disconnect()? != OnDisconnect::Stop {
            return Ok(None);
        }
        text.refuse("Unit", "RefuseManualStop", true, "fleet itself could not stop it")?;
        text.refuse("Service", "SendSIGKILL", false, "a process that ignores SIGTERM would run on")?;
        if let Some(value) = text.last("Service", "KillMode")
            && !matches!(value.as_str(), "control-group" | "mixed")
        {
            let why = "processes of the unit would run on; use control-group or mixed";
            return Err(FenceError::Unenforceable { option: "KillMode", value, why });
        }
        if let Some(value) = text.last("Service", "FinalKillSignal")
            && !matches!(value.trim_start_matches("SIG"), "KILL" | "9")
        {
            let why = "a process that ignores the signal would run on";
            return Err(FenceError::Unenforceable { option: "FinalKillSignal", value, why });
        }
        if let Some(value) = text.last("Service", "TimeoutStopFailureMode")
            && value == "abort"
        {
            let why = "it adds stages to stopping that the bound does not count; use terminate or kill";
            return Err(FenceError::Unenforceable { option: "TimeoutStopFailureMode", value, why });
        }
        if let Some(value) = text.last("Unit", "JobTimeoutSec").filter(|value| {
            !matches!(timespan::parse(value), Some(Timespan::Infinite | Timespan::Finite(Duration::ZERO)))
        }) {
            let why = "systemd would give up a stop that has to wait its turn";
            return Err(FenceError::Unenforceable { option: "JobTimeoutSec", value, why });
        }
        let stop_timeout = text.timeout(&["TimeoutStopSec", "TimeoutSec"])?.unwrap_or(DEFAULT_TIMEOUT);
        let abort_timeout = text.timeout(&["TimeoutAbortSec"])?.unwrap_or(stop_timeout);
        let commands = text.commands("ExecStop").saturating_add(text.commands("ExecStopPost"));
        Ok(Some(Self { commands, timeout: stop_timeout.max(abort_timeout), stop_timeout }))
    }

    /// Refuses types of unit that cannot be fenced.
    pub fn check_name(&self, name: &UnitName) -> Result<(), FenceError> {
        match name.unit_type() {
            "service" => Ok(()),
            other => Err(FenceError::Type(other.to_owned())),
        }
    }

    /// How long stopping takes at most, by systemd's clock: systemd grants the time-out to every stage anew.
    #[must_use]
    pub fn stop_bound(&self) -> Duration {
        self.timeout.saturating_mul(self.commands.saturating_add(STAGES)).saturating_add(Duration::from_secs(1))
    }

    /// The drop-in: the unit runs only while the target is active, and its time-out is the one that the bound counts.
    #[must_use]
    pub fn drop_in(&self) -> String {
        let target = Self::TARGET;
        format!(
            "# Written by fleet for OnDisconnect=stop.\n[Unit]\nRequisite={target}\nAfter={target}\n\
             [Service]\nTimeoutStopSec={}us\n",
            self.stop_timeout.as_micros()
        )
    }
}

/// A unit file with its drop-ins.
struct Text<'a>(Vec<&'a UnitFile>);

impl Text<'_> {
    fn values<'a>(&'a self, section: &'a str, names: &'a [&str]) -> impl Iterator<Item = (&'a str, String)> {
        let options = self.0.iter().flat_map(|file| file.options());
        options
            .filter(move |option| option.section == section && names.contains(&option.name.as_str()))
            .map(|option| (option.name.as_str(), option.joined().trim().to_owned()))
    }

    fn last(&self, section: &str, name: &str) -> Option<String> {
        self.values(section, &[name]).last().map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    fn on_disconnect(&self) -> Result<OnDisconnect, FenceError> {
        let Some(value) = self.last("X-Fleet", "OnDisconnect") else { return Ok(OnDisconnect::default()) };
        OnDisconnect::parse(&value).ok_or(FenceError::OnDisconnect(value))
    }

    /// Refuses a switch in this position.
    fn refuse(&self, section: &str, option: &'static str, refused: bool, why: &'static str) -> Result<(), FenceError> {
        let Some(value) = self.last(section, option) else { return Ok(()) };
        match boolean(&value) {
            Some(set) if set == refused => Err(FenceError::Unenforceable { option, value, why }),
            Some(_) => Ok(()),
            None => Err(FenceError::Unclear { option, value, expected: "yes or no" }),
        }
    }

    /// The last of these, where one of them is there; zero is no limit to systemd.
    fn timeout(&self, names: &[&'static str]) -> Result<Option<Duration>, FenceError> {
        let Some((name, value)) = self.values("Service", names).last() else { return Ok(None) };
        let option = names.iter().find(|known| **known == name).copied().unwrap_or("TimeoutStopSec");
        match timespan::parse(&value) {
            Some(Timespan::Finite(timeout)) if !timeout.is_zero() => Ok(Some(timeout)),
            Some(_) => Err(FenceError::Unbounded { option, value }),
            None => Err(FenceError::Unclear { option, value, expected: "a time such as 30s" }),
        }
    }

    /// How many commands an option runs; one line may hold several.
    fn commands(&self, name: &str) -> u32 {
        let mut count = 0_u32;
        for (_, value) in self.values("Service", &[name]) {
            match value.split_whitespace().filter(|word| *word == ";").count() {
                _ if value.is_empty() => count = 0,
                // More than four billion are beyond what any file holds.
                more => count = count.saturating_add(1 + u32::try_from(more).unwrap_or(u32::MAX - 1)),
            }
        }
        count
    }
}

impl OnDisconnect {
    /// Reads the option's value.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        match value.to_lowercase().as_str() {
            "keep" => Some(Self::Keep),
            "stop" => Some(Self::Stop),
            _ => None,
        }
    }
}

fn boolean(value: &str) -> Option<bool> {
    match value.to_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
