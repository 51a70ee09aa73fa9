//! Waiting until a change has come true, and saying what is waited for.

use std::io::Write;
use std::time::Duration;

use fleet_api::client::JournalQuery;
use fleet_api::v2::MachineRef;
use fleet_api::{ApiError, Client};
use futures::{StreamExt, pin_mut};
use tokio::time::{Instant, sleep_until};

use super::follow::{Followed, Lines, SHOWN, Said, follow, progress};
use super::words;
use crate::cli::Blocking;
use crate::error::CommandError;
use crate::output::Output;
use crate::wait::{Finished, Goal, Target, Verdict, Wait};

/// How long an attempt of `--block-attempts` is, as in fleet 1.0.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long a change may take to show before what was there already is taken for its result.
const SETTLE: Duration = Duration::from_secs(5);
/// How many lines of the journal are shown of a unit that failed.
const LOG_LINES: u64 = 10;

/// Waits for the units and says what became of each. True if all got there.
pub(super) async fn wait(
    goal: Goal,
    targets: Vec<Target>,
    blocking: Blocking,
    client: &Client,
    output: &mut Output,
) -> Result<bool, CommandError> {
    if targets.is_empty() {
        return Ok(true);
    }
    let names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
    let begin = Instant::now();
    let wait = Wait::new(goal, targets);
    let mut waiting = Waiting { goal, wait, names, begin, client, output, said: Said::default(), all_reached: true };
    tokio::select! {
        result = follow(&mut waiting, client) => result?,
        () = until(deadline(begin, blocking)) => return waiting.timed_out(),
        _ = tokio::signal::ctrl_c() => return waiting.interrupted(),
    }
    Ok(waiting.all_reached)
}

/// When a person no longer wants to wait.
pub(super) fn deadline(begin: Instant, blocking: Blocking) -> Option<Instant> {
    match blocking.block_attempts {
        0 => None,
        attempts => begin.checked_add(ATTEMPT.saturating_mul(attempts)),
    }
}

/// Waits for ever where there is no deadline.
pub(super) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

struct Waiting<'a> {
    goal: Goal,
    wait: Wait,
    names: Vec<String>,
    begin: Instant,
    client: &'a Client,
    output: &'a mut Output,
    said: Said,
    all_reached: bool,
}

impl Followed for Waiting<'_> {
    const DOING: &'static str = "Error waiting for units";

    fn is_over(&self) -> bool {
        self.wait.is_over()
    }

    fn output(&mut self) -> &mut Output {
        self.output
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    async fn read(&mut self, lines: impl Lines) -> Result<Result<(), ApiError>, CommandError> {
        pin_mut!(lines);
        let mut progress = progress().await;
        while !self.wait.is_over() {
            tokio::select! {
                line = lines.next() => match line {
                    Some(Ok(line)) => {
                        let finished = self.wait.observe(line);
                        self.report(finished).await?;
                    }
                    Some(Err(error)) => return Ok(Err(error)),
                    None => return Ok(Ok(())),
                },
                _ = progress.tick() => {
                    if self.begin.elapsed() > SETTLE {
                        let finished = self.wait.settle();
                        self.report(finished).await?;
                    }
                    self.said.say(self.wait.pending(), self.output)?;
                }
            }
        }
        Ok(Ok(()))
    }
}

impl Waiting<'_> {
    async fn report(&mut self, finished: Vec<Finished>) -> Result<(), CommandError> {
        for Finished { name, verdict } in finished {
            match verdict {
                Verdict::Reached { machine, remark } => {
                    writeln!(self.output.out(), "{}", words::reached(self.goal, &name, machine.as_ref()))?;
                    if let Some(remark) = remark {
                        writeln!(self.output.err()?, "WARNING: {remark}")?;
                    }
                }
                Verdict::Failed { reason, machine } => {
                    self.all_reached = false;
                    let words = words::failed(self.goal, &name, machine.as_ref(), &reason);
                    writeln!(self.output.err()?, "{words}")?;
                    if let Some(machine) = machine {
                        self.show_log(&name, &machine).await?;
                    }
                }
                Verdict::Pending(_) => {}
            }
        }
        self.output.flush()?;
        Ok(())
    }

    /// Shows the last lines of a unit's journal. That they cannot be had is no second error.
    async fn show_log(&mut self, name: &str, machine: &MachineRef) -> Result<(), CommandError> {
        let query = JournalQuery { lines: LOG_LINES, machine: Some(machine.id.clone()), ..JournalQuery::default() };
        if let Ok(journal) = self.client.journal(name, &query).await {
            pin_mut!(journal);
            let mut log = Vec::new();
            while let Some(Ok(chunk)) = journal.next().await {
                log.extend_from_slice(&chunk);
            }
            for line in String::from_utf8_lossy(&log).lines() {
                writeln!(self.output.err()?, "    {line}")?;
            }
        }
        writeln!(self.output.err()?, "{}", words::see_also(name))?;
        Ok(())
    }

    fn timed_out(self) -> Result<bool, CommandError> {
        for (name, at) in self.wait.pending() {
            writeln!(self.output.err()?, "{}", words::timed_out(self.goal, name, at))?;
        }
        Ok(false)
    }

    fn interrupted(self) -> Result<bool, CommandError> {
        let names: Vec<_> = self.wait.pending().map(|(name, _)| name).collect();
        writeln!(self.output.err()?, "{}", words::interrupted(&names, SHOWN))?;
        Err(CommandError::Said(130))
    }
}
