//! `fleetctl drain`

use std::io::Write;

use fleet_api::v2::{MachineChange, MachineRef};
use fleet_api::{ApiError, Client};
use futures::{StreamExt, pin_mut};
use tokio::time::Instant;

use super::follow::{Followed, Lines, Said, follow, progress};
use super::machines::{self, Words};
use super::waiting::{deadline, until};
use crate::cli::Drain;
use crate::error::CommandError;
use crate::fields;
use crate::output::Output;
use crate::wait::Emptying;

const WORDS: Words = Words {
    doing: "Error draining machines",
    changed: "is draining: its units move to others, and it is given no more",
    same: "was draining already",
};

/// Moves the units of machines to others, and waits until none is left. Global units stay.
pub async fn run(arguments: &Drain, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let change = MachineChange { draining: Some(true), ..MachineChange::default() };
    let (cluster, machines) = machines::say_and_print(&arguments.machines, &change, WORDS, client, output).await?;
    if arguments.blocking.no_block {
        return Ok(0);
    }
    let mut emptying = Emptying::new(machines.iter().map(|machine| machine.id.clone()), &cluster.orphans);
    let mut draining = Draining { emptying: &mut emptying, output, said: Said::default() };
    let begin = Instant::now();
    tokio::select! {
        result = follow(&mut draining, client) => result?,
        () = until(deadline(begin, arguments.blocking)) => return draining.gave_up("Timed out", 1),
        _ = tokio::signal::ctrl_c() => return draining.gave_up("Interrupted", 130),
    }
    conclude(&machines, &emptying, output)?;
    Ok(0)
}

/// Says that it is done, and which units have no machine now.
fn conclude(machines: &[MachineRef], emptying: &Emptying, output: &mut Output) -> Result<(), CommandError> {
    for machine in machines {
        let machine = fields::machine(machine, false);
        writeln!(output.out(), "Machine {machine} is drained; \"fleetctl uncordon\" gives it units again")?;
    }
    for (name, reason) in emptying.waiting() {
        writeln!(output.err()?, "WARNING: unit {name} has no other machine: {reason}")?;
    }
    Ok(())
}

struct Draining<'a> {
    emptying: &'a mut Emptying,
    output: &'a mut Output,
    said: Said,
}

impl Followed for Draining<'_> {
    const DOING: &'static str = "Error waiting for units to leave";

    fn is_over(&self) -> bool {
        self.emptying.is_over()
    }

    fn output(&mut self) -> &mut Output {
        self.output
    }

    fn names(&self) -> &[String] {
        &[]
    }

    async fn read(&mut self, lines: impl Lines) -> Result<Result<(), ApiError>, CommandError> {
        pin_mut!(lines);
        let mut progress = progress().await;
        while !self.emptying.is_over() {
            tokio::select! {
                line = lines.next() => match line {
                    Some(Ok(line)) => self.emptying.observe(line),
                    Some(Err(error)) => return Ok(Err(error)),
                    None => return Ok(Ok(())),
                },
                _ = progress.tick() => {
                    self.emptying.tick();
                    self.said.say(self.emptying.pending(), self.output)?;
                }
            }
        }
        Ok(Ok(()))
    }
}

impl Draining<'_> {
    fn gave_up(self, why: &str, code: u8) -> Result<u8, CommandError> {
        for (name, at) in self.emptying.pending() {
            writeln!(self.output.err()?, "{why} waiting for unit {name} to leave: {at}")?;
        }
        writeln!(self.output.err()?, "It goes on draining; \"fleetctl uncordon\" ends that.")?;
        Err(CommandError::Said(code))
    }
}
