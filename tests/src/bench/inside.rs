//! What the benchmark does inside a machine: run a command between two looks at the clock.

use std::env;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::memory;
use crate::lab::Node;

/// Where the benchmark's own program lies in every machine.
pub(crate) const PROGRAM: &str = "/usr/bin/fleet-bench";

/// A thousand units take seconds; a busy host may take longer.
const LIMIT: Duration = Duration::from_secs(300);

/// What the benchmark's program does in a machine, or in a process of its own.
#[derive(Clone, Debug, Subcommand)]
pub enum Inside {
    /// Run a command again and again; print when each began and ended, as one line of JSON each.
    Time {
        /// How often.
        #[arg(long, default_value_t = 1)]
        repeat: u32,
        /// The command and its arguments.
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Tell systemd that this service is ready, and do nothing more.
    Ready,
    /// Lead a made-up cluster, and print the memory that this takes, as JSON.
    Memory {
        /// How many machines it has.
        machines: usize,
        /// How many units.
        units: usize,
    },
}

impl Inside {
    /// Does it.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Time { repeat, command } => (0..repeat).try_for_each(|_| time(&command)),
            Self::Ready => ready(),
            Self::Memory { machines, units } => memory::print(machines, units),
        }
    }
}

/// One run of a command, on the clock that all machines share.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lap {
    /// Right before the command was started.
    pub(crate) begin: Duration,
    /// Right after it had ended and its output was read.
    pub(crate) end: Duration,
    /// What it printed on its standard output.
    pub(crate) stdout: String,
}

impl Lap {
    /// Runs a command in a machine, which has to go well.
    pub(crate) fn of<'s>(node: Node<'_>, command: impl IntoIterator<Item = &'s str>) -> Result<Self> {
        let mut laps = Self::repeat(node, 1, command)?;
        laps.pop().context("no time was taken")
    }

    /// Runs a command in a machine so many times, each of which has to go well.
    pub(crate) fn repeat<'s>(
        node: Node<'_>,
        times: usize,
        command: impl IntoIterator<Item = &'s str>,
    ) -> Result<Vec<Self>> {
        let mut argv = [PROGRAM, "inside", "time", "--repeat", &times.to_string(), "--"].map(str::to_owned).to_vec();
        argv.extend(command.into_iter().map(str::to_owned));
        let output = node.exec_with(&argv, Vec::new(), LIMIT)?;
        if !output.success() {
            // The whole command may name a thousand units.
            let (what, said) =
                (argv.iter().skip(6).take(3).cloned().collect::<Vec<_>>().join(" "), shorten(&output.stderr));
            bail!("`{what} …` failed on {}: {said}", node.name());
        }
        output.stdout.lines().map(|line| serde_json::from_str(line).context("cannot read the time taken")).collect()
    }

    /// How long it took, in milliseconds.
    pub(crate) fn millis(&self) -> f64 {
        millis_between(self.begin, self.end)
    }
}

/// The first lines of what a command said.
fn shorten(text: &str) -> String {
    text.lines().take(8).collect::<Vec<_>>().join("\n")
}

/// From one moment to a later one, in milliseconds; negative when it is not later.
pub(crate) fn millis_between(from: Duration, to: Duration) -> f64 {
    (to.as_secs_f64() - from.as_secs_f64()) * 1e3
}

/// The monotonic clock, which the machines of a lab share with their host.
pub(crate) fn now() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC).context("cannot read the monotonic clock")?.into())
}

fn time(command: &[String]) -> Result<()> {
    let (program, args) = command.split_first().context("there is no command")?;
    let mut prepared = Command::new(program);
    prepared.args(args);
    let begin = now()?;
    let output = prepared.output().with_context(|| format!("cannot run {program}"))?;
    let end = now()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} failed ({}): {}", output.status, said.trim());
    let lap = Lap { begin, end, stdout: String::from_utf8_lossy(&output.stdout).into_owned() };
    writeln!(io::stdout(), "{}", serde_json::to_string(&lap)?)?;
    Ok(())
}

fn ready() -> Result<()> {
    let socket = env::var_os("NOTIFY_SOCKET").context("systemd does not wait for this program (no NOTIFY_SOCKET)")?;
    let sender = UnixDatagram::unbound()?;
    sender.send_to(b"READY=1", &socket).with_context(|| format!("cannot send to {}", socket.display()))?;
    loop {
        thread::park();
    }
}
