//! Commands on machines, by the person's own ssh.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use fleet_api::v2::MachineRef;

use crate::error::CommandError;
use crate::output::Output;
use crate::ssh::{self, Host, Session, Ssh};

/// Where a machine's id is.
const MACHINE_ID: &str = "/etc/machine-id";

/// Runs commands on machines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remote<'a> {
    pub ssh: &'a Ssh,
    pub port: Option<u16>,
}

impl Remote<'_> {
    /// Opens a session in place of this process, which is over then: signals and the exit code are ssh's.
    pub(super) fn become_session(
        self,
        machine: &MachineRef,
        session: &Session,
        output: &mut Output,
    ) -> Result<u8, CommandError> {
        let words = self.words(machine, session)?;
        output.flush()?;
        Err(failed(&words, &command(&words)?.exec()))
    }

    /// Opens a session, and tells how it ended.
    pub(super) fn session(
        self,
        machine: &MachineRef,
        session: &Session,
        output: &mut Output,
    ) -> Result<u8, CommandError> {
        run(&self.words(machine, session)?, output)
    }

    /// Runs a command on the machine, which may be this one.
    pub(super) fn run(self, machine: &MachineRef, text: &str, output: &mut Output) -> Result<u8, CommandError> {
        let own = std::fs::read_to_string(MACHINE_ID).unwrap_or_default();
        if self.ssh.tunnel.is_none() && own.trim() == machine.id {
            return run(&["sh", "-c", text].map(OsString::from), output);
        }
        self.session(machine, &Session { command: Some(text.to_owned()), forward_agent: false }, output)
    }

    fn words(self, machine: &MachineRef, session: &Session) -> Result<Vec<OsString>, CommandError> {
        if machine.address.is_empty() {
            return Err(CommandError::with_hint(
                "Could not determine address of machine.",
                format!("Machine {} does not say where to reach it: set public_ip in its fleet.conf.", machine.id),
            ));
        }
        let host = Host { name: machine.address.clone(), port: self.port };
        Ok(self.ssh.session(&host, session, ssh::is_configured))
    }
}

fn command(words: &[OsString]) -> Result<Command, CommandError> {
    let (program, arguments) = words.split_first().ok_or_else(|| CommandError::message("nothing to run"))?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

fn run(words: &[OsString], output: &mut Output) -> Result<u8, CommandError> {
    output.flush()?;
    let status = command(words)?.status().map_err(|error| failed(words, &error))?;
    Ok(code(status))
}

fn failed(words: &[OsString], error: &io::Error) -> CommandError {
    let program = words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    CommandError::with_hint(
        format!("Failed building SSH client: cannot run {program}: {error}"),
        "fleetctl uses OpenSSH's client: install it (openssh-client), or have it in PATH.",
    )
}

/// What a shell would say of it.
fn code(status: ExitStatus) -> u8 {
    let signal = || status.signal().map_or(1, |signal| 128 + signal);
    u8::try_from(status.code().unwrap_or_else(signal)).unwrap_or(1)
}
