//! What every theme needs: a person at a machine, what systemd says of a unit's runs, and unit files.

mod asking;
mod outages;
mod person;
mod runs;
mod spans;
mod sshd;
mod stored;
mod truth;
mod version_one;
mod watched;

use std::time::Duration;

use anyhow::{Result, anyhow};
use fleet_tests::lab::{holds, poll};

pub(crate) use asking::{Answer, curl, leader, machines, patch_metadata, settled, view};
pub(crate) use outages::{said, stale_and_refused};
pub(crate) use person::Person;
pub(crate) use runs::{Run, Runs, all_runs, once, runs};
pub(crate) use spans::{assert_never_two, clock, spans, telling};
pub(crate) use sshd::{KNOWN_HOSTS, with_sshd};
pub(crate) use stored::Stored;
pub(crate) use version_one::{ENDPOINT, open_version_one};
pub(crate) use watched::Watched;

/// For what takes milliseconds on an idle machine, and may take long on a busy one.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);

/// A service that does nothing for ever.
pub(crate) const SLEEPER: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// A [`SLEEPER`] with a section `[X-Fleet]`.
pub(crate) fn sleeper_with(requirements: &str) -> String {
    format!("{SLEEPER}\n[X-Fleet]\n{requirements}\n")
}

/// Waits until the condition is met.
pub(crate) fn until<T>(what: &str, condition: impl FnMut() -> Result<T>) -> Result<T> {
    within(LIMIT, what, condition)
}

/// Waits until the condition is met, but not longer than this.
pub(crate) fn within<T>(limit: Duration, what: &str, mut condition: impl FnMut() -> Result<T>) -> Result<T> {
    poll(limit, || condition().map_err(|e| format!("{e:#}"))).map_err(|reason| anyhow!("{what}: {reason}"))
}

/// Makes sure again and again that the condition is met for so long.
pub(crate) fn throughout(span: Duration, what: &str, mut condition: impl FnMut() -> Result<()>) -> Result<()> {
    holds(span, || condition().map_err(|e| format!("{e:#}"))).map_err(|reason| anyhow!("{what}: {reason}"))
}
