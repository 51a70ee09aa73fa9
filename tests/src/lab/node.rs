//! One machine of a lab, as tests handle it.

use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};

use super::client::{COMMAND_LIMIT, Lab};
use super::command::{Enter, Output, Streaming, argv, enter, run_with_limit};
use super::image::BOOTED_FILE;
use super::machine::pid;
use super::network;
use super::protocol::Request;
use super::spec::{machine_id, machine_name};
use super::wait::poll;

/// A machine of a lab.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    lab: &'a Lab,
    number: u8,
}

impl<'a> Node<'a> {
    pub(crate) fn new(lab: &'a Lab, number: u8) -> Self {
        Self { lab, number }
    }

    /// The machine's number, from 1.
    pub fn number(self) -> u8 {
        self.number
    }

    /// The machine's hostname.
    pub fn name(self) -> String {
        machine_name(self.number)
    }

    /// The machine's address in the lab's network.
    pub fn ip(self) -> Ipv4Addr {
        network::address(self.number)
    }

    /// What the machine has in `/etc/machine-id`.
    pub fn machine_id(self) -> String {
        machine_id(self.number)
    }

    /// The machine's PID 1 as the host sees it, or `None` while it is off.
    pub fn leader(self) -> Option<u32> {
        self.lab.groups().machine_leader(&self.name())
    }

    /// Runs a command in the machine, for at most a minute. A command that fails is no error
    /// here: see [`Output::ok`].
    pub fn exec<S: AsRef<OsStr>>(self, command: impl IntoIterator<Item = S>) -> Result<Output> {
        self.exec_with(command, Vec::new(), COMMAND_LIMIT)
    }

    /// Runs a command in the machine with `input` on its standard input, for at most `limit`.
    pub fn exec_with<S: AsRef<OsStr>>(
        self,
        command: impl IntoIterator<Item = S>,
        input: Vec<u8>,
        limit: Duration,
    ) -> Result<Output> {
        run_with_limit(enter(self.on()?, Enter::Machine, argv(command)), input, limit)
    }

    /// Starts a command in the machine that runs while the test goes on.
    pub fn spawn<S: AsRef<OsStr>>(self, command: impl IntoIterator<Item = S>) -> Result<Streaming> {
        Streaming::start(enter(self.on()?, Enter::Machine, argv(command)))
    }

    /// A command that runs in the machine, for callers that want its streams themselves.
    pub fn command<S: AsRef<OsStr>>(self, command: impl IntoIterator<Item = S>) -> Result<std::process::Command> {
        Ok(enter(self.on()?, Enter::Machine, argv(command)))
    }

    /// Where the host finds a file of the machine, while it is on: for sockets, which the test
    /// may connect to, and for what changes too often to run a command each time. (A link in
    /// the path that starts with a slash leads to the host's own files.)
    pub fn host_path(self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = path.as_ref();
        let root = PathBuf::from(format!("/proc/{}/root", self.on()?));
        Ok(root.join(path.strip_prefix("/").unwrap_or(path)))
    }

    /// Writes a file of the machine and makes the folders above it; the machine may be off.
    pub fn write_file(self, path: impl AsRef<Path>, contents: impl Into<Vec<u8>>) -> Result<()> {
        let path = path.as_ref();
        let script = r#"mkdir -p "$(dirname "$1")" && cat > "$1.new" && mv "$1.new" "$1""#;
        let command = argv(["sh", "-c", script, "sh"]).into_iter().chain([path.into()]);
        self.exec_on_or_off(command, contents.into())
            .and_then(Output::ok)
            .with_context(|| format!("cannot write {} on {}", path.display(), self.name()))?;
        Ok(())
    }

    /// Reads a text file of the machine, which may be off.
    pub fn read_file(self, path: impl AsRef<Path>) -> Result<String> {
        let path = path.as_ref();
        let command = argv(["cat", "--"]).into_iter().chain([path.into()]);
        self.exec_on_or_off(command, Vec::new())
            .and_then(Output::ok)
            .with_context(|| format!("cannot read {} on {}", path.display(), self.name()))
    }

    /// Runs a command on the machine's disk: in the machine if it is on, else beside it.
    fn exec_on_or_off(self, command: impl IntoIterator<Item = impl AsRef<OsStr>>, input: Vec<u8>) -> Result<Output> {
        if self.leader().is_some() {
            return self.exec_with(command, input, COMMAND_LIMIT);
        }
        let root = self.lab.layout().root(&self.name());
        let command = argv(["chroot"]).into_iter().chain([root.into()]).chain(argv(command));
        self.lab.lab_exec(command, input)
    }

    /// Cuts the machine's power. When this returns nothing of it runs any more.
    pub fn power_off_hard(self) -> Result<()> {
        self.lab.request(&Request::PowerOff(self.number))?;
        self.lab.note_off(self.number);
        Ok(())
    }

    /// Boots the machine again with its disk, and waits until it is booted.
    pub fn boot(self) -> Result<()> {
        self.lab.request(&Request::Boot(vec![self.number]))
    }

    /// Shuts the machine down as an operator would, and waits until it is off.
    pub fn poweroff(self) -> Result<()> {
        // The machine may be down before the command could say that it went well.
        let _ = self.exec(["systemctl", "start", "--no-block", "poweroff.target"])?;
        self.await_off()
    }

    /// Waits until the machine, which is shutting down, is off.
    pub fn await_off(self) -> Result<()> {
        self.lab.request(&Request::AwaitOff(self.number))?;
        self.lab.note_off(self.number);
        Ok(())
    }

    /// Waits until the machine is booted; [`LabBuilder::start`](super::LabBuilder::start) and
    /// [`Node::boot`] have done so already.
    pub fn wait_booted(self, limit: Duration) -> Result<()> {
        poll(limit, || {
            let leader = self.leader().ok_or_else(|| format!("{} is off", self.name()))?;
            fs::symlink_metadata(format!("/proc/{leader}/root/{BOOTED_FILE}"))
                .map(drop)
                .map_err(|_| format!("{} is not booted", self.name()))
        })
        .map_err(|reason| anyhow!(reason))
    }

    /// Unplugs the machine's network cable.
    pub fn cut_network(self) -> Result<()> {
        self.set_port("down")
    }

    /// Plugs the machine's network cable in again.
    pub fn restore_network(self) -> Result<()> {
        self.set_port("up")
    }

    fn set_port(self, state: &str) -> Result<()> {
        let port = network::port(&self.name());
        self.lab.net_exec(["ip", "link", "set", &port, state])?.ok()?;
        Ok(())
    }

    /// Drops whatever this machine sends to `peer`, which may still send to it.
    pub fn blackhole(self, peer: Ipv4Addr) -> Result<()> {
        self.exec(["ip", "route", "add", "blackhole", &peer.to_string()])?.ok()?;
        Ok(())
    }

    /// Ends [`Node::blackhole`].
    pub fn unblackhole(self, peer: Ipv4Addr) -> Result<()> {
        self.exec(["ip", "route", "delete", "blackhole", &peer.to_string()])?.ok()?;
        Ok(())
    }

    /// Stops every process of this name (as in `ps -o comm`) without its knowing.
    pub fn pause(self, process: &str) -> Result<()> {
        self.signal(process, Signal::SIGSTOP)
    }

    /// Ends [`Node::pause`].
    pub fn resume(self, process: &str) -> Result<()> {
        self.signal(process, Signal::SIGCONT)
    }

    /// Sends a signal to every process of this name; it is an error when there is none.
    pub fn signal(self, process: &str, signal: Signal) -> Result<()> {
        let pids = self.processes_named(process);
        if pids.is_empty() {
            bail!("no {process} runs on {}", self.name());
        }
        for number in pids {
            kill(pid(number)?, signal)
                .with_context(|| format!("cannot send {signal} to {process} on {}", self.name()))?;
        }
        Ok(())
    }

    /// The processes of this name, as the host numbers them.
    pub fn processes_named(self, process: &str) -> Vec<u32> {
        // The kernel keeps 15 characters of a name.
        let name: String = process.chars().take(15).collect();
        let mut pids = self.lab.groups().machine_processes(&self.name());
        pids.retain(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name));
        pids
    }

    /// The processes of a unit, as the host numbers them: the truth about what runs, read in
    /// the machine's cgroup and not asked of anyone in it.
    pub fn processes_of(self, unit: &str) -> Vec<u32> {
        self.lab.groups().unit_processes(&self.name(), unit)
    }

    /// How many system units whose names begin so have processes or had them a moment ago. Asks nobody in the machine,
    /// so that it costs those nothing who are being measured.
    pub fn count_units(self, beginning: &str) -> usize {
        self.lab.groups().count_units(&self.name(), beginning)
    }

    fn on(self) -> Result<u32> {
        self.leader().with_context(|| format!("{} is off", self.name()))
    }
}
