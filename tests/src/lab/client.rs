//! The handle on a lab that tests, the demo, and the benchmarks hold.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::mem;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};

use super::builder::LabBuilder;
use super::cgroup::LabGroups;
use super::command::{Enter, Output, argv, enter, run_with_limit};
use super::etcd::Etcd;
use super::layout::{Layout, base_dir};
use super::machine::pid;
use super::node::Node;
use super::owner::Owner;
use super::protocol::{self, Hello, Request};

/// Commands are killed after this, unless another limit is given.
pub(crate) const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// The end of a lab is a matter of killing processes.
const END_LIMIT: Duration = Duration::from_secs(20);

/// What the life of the lab hangs on.
#[derive(Debug)]
pub(crate) enum Life {
    /// Us, whose child the lab process is. It ends when its standard input is closed, by
    /// whatever cause, so that it needs no farewell from us. (A signal at the parent's death
    /// would not do: it comes when the *thread* ends that started the child.)
    Ours { process: Child, stdin: ChildStdin },
    /// Nobody: it was left running.
    Nobody,
}

/// A running lab. When it is dropped, the lab and everything in it ends, unless it was
/// [left](Lab::leave); when it is dropped by a panic, the machines' last log lines are printed
/// first.
#[derive(Debug)]
pub struct Lab {
    name: String,
    layout: Layout,
    groups: LabGroups,
    machines: u8,
    leader: u32,
    life: Life,
    /// When machines had gone off, by shutdown or power loss.
    offs: Mutex<Vec<(u8, SystemTime)>>,
}

impl Lab {
    /// Describes a lab.
    pub fn builder() -> LabBuilder {
        LabBuilder::new()
    }

    /// The running lab of this name, or the only one that was [left](Lab::leave). Dropping the handle does
    /// nothing to the lab.
    pub fn attach(name: Option<&str>) -> Result<Self> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => only_lab()?,
        };
        if !Owner::parse(&name).is_some_and(Owner::is_alive) {
            bail!("there is no lab {name}");
        }
        let hello = Layout::new(&base_dir(), &name).hello();
        let hello = fs::read(&hello).with_context(|| format!("cannot read {}", hello.display()))?;
        Self::new(serde_json::from_slice(&hello)?, Life::Nobody)
    }

    pub(crate) fn new(hello: Hello, life: Life) -> Result<Self> {
        let Hello { name, machines } = hello;
        let layout = Layout::new(&base_dir(), &name);
        let groups = LabGroups::new(&name)?;
        let leader = groups.lab_leader().context("the lab process has ended")?;
        Ok(Self { name, layout, groups, machines, leader, life, offs: Mutex::default() })
    }

    /// The lab's name, which is that of its folders.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The lab's folder on the host.
    pub fn dir(&self) -> &Path {
        self.layout.dir()
    }

    /// The folder that all machines share as [`SHARED`](super::SHARED), on the host. No network is between them and it.
    pub fn shared(&self) -> PathBuf {
        self.layout.shared()
    }

    /// A machine; the first has the number 1. Panics when there is none of that number.
    #[track_caller]
    pub fn node(&self, number: u8) -> Node<'_> {
        match self.find_node(number) {
            Ok(node) => node,
            Err(e) => panic!("{e}"),
        }
    }

    /// A machine, or an error when there is none of that number.
    pub fn find_node(&self, number: u8) -> Result<Node<'_>> {
        if !(1..=self.machines).contains(&number) {
            bail!("there is no machine {number}: this lab has {}", self.machines);
        }
        Ok(Node::new(self, number))
    }

    /// All machines in order.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        (1..=self.machines).map(|number| Node::new(self, number))
    }

    /// When this machine had gone off, each time that this handle saw to it: nothing of it ran any more by then.
    pub fn offs(&self, machine: u8) -> Vec<SystemTime> {
        let offs = self.offs.lock().unwrap_or_else(PoisonError::into_inner);
        offs.iter().filter(|(number, _)| *number == machine).map(|(_, at)| *at).collect()
    }

    pub(crate) fn note_off(&self, machine: u8) {
        self.offs.lock().unwrap_or_else(PoisonError::into_inner).push((machine, SystemTime::now()));
    }

    /// Boots all machines, which are off, side by side.
    pub fn boot_all(&self) -> Result<()> {
        self.request(&Request::Boot((1..=self.machines).collect()))
    }

    /// Runs a command in the lab's network, beside the machines.
    pub fn net_exec<S: AsRef<OsStr>>(&self, command: impl IntoIterator<Item = S>) -> Result<Output> {
        self.lab_exec(command, Vec::new())
    }

    /// Runs `f` in a thread that is in the lab's network, beside the machines: what it connects
    /// to and listens on is there. (Threads that it starts are there too.)
    pub fn in_network<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T> {
        let path = format!("/proc/{}/ns/net", self.leader);
        let network = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(network, CloneFlags::CLONE_NEWNET).context("cannot enter the lab's network")?;
                Ok(f())
            });
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    pub(crate) fn lab_exec<S: AsRef<OsStr>>(
        &self,
        command: impl IntoIterator<Item = S>,
        input: Vec<u8>,
    ) -> Result<Output> {
        run_with_limit(enter(self.leader, Enter::Lab, argv(command)), input, COMMAND_LIMIT)
    }

    /// Starts a real etcd of one or three members in the lab's network.
    pub fn etcd(&self, members: u8) -> Result<Etcd<'_>> {
        Etcd::start(self, members)
    }

    /// Leaves the lab running; [`Lab::attach`] finds it again, and [`Lab::end`] ends it.
    pub fn leave(mut self) -> Result<()> {
        self.request(&Request::Stay)?;
        self.life = Life::Nobody;
        Ok(())
    }

    /// Ends the lab, and removes what it had on disk.
    pub fn end(mut self) -> Result<()> {
        // Whatever comes of it, dropping the handle does not try again.
        let life = mem::replace(&mut self.life, Life::Nobody);
        self.kill(life)
    }

    fn kill(&self, life: Life) -> Result<()> {
        match life {
            Life::Ours { mut process, stdin } => {
                process.kill().context("cannot kill the lab process")?;
                process.wait().context("cannot wait for the lab process")?;
                drop(stdin);
            }
            Life::Nobody => kill_owner(&self.name)?,
        }
        self.groups.wait_empty(END_LIMIT)?;
        self.groups.remove()?;
        match fs::remove_dir_all(self.layout.dir()) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(e).with_context(|| format!("cannot remove {}", self.layout.dir().display()))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn request(&self, request: &Request) -> Result<()> {
        protocol::call(&self.layout.control(), request)
    }

    pub(crate) fn groups(&self) -> &LabGroups {
        &self.groups
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if thread::panicking() {
            self.dump_logs();
        }
        let life = mem::replace(&mut self.life, Life::Nobody);
        if matches!(life, Life::Ours { .. })
            && let Err(e) = self.kill(life)
        {
            eprintln!("fleet-lab: {e:#}");
        }
    }
}

fn kill_owner(name: &str) -> Result<()> {
    let owner = Owner::parse(name).with_context(|| format!("{name} is no lab's name"))?;
    kill(pid(owner.pid())?, Signal::SIGKILL).with_context(|| format!("cannot kill the lab process {}", owner.pid()))
}

/// The only lab that was left running, or an error that names those there are.
fn only_lab() -> Result<String> {
    let entries = fs::read_dir(base_dir()).map(|e| e.filter_map(Result::ok)).ok();
    let mut alive: Vec<String> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| Owner::parse(name).is_some_and(Owner::is_alive))
        .filter(|name| Layout::new(&base_dir(), name).stays().exists())
        .collect();
    match (alive.pop(), &alive[..]) {
        (None, _) => bail!("no lab runs (`fleet-lab up --keep` starts one)"),
        (Some(name), []) => Ok(name),
        (Some(name), others) => bail!("several labs run, say which: {name} {}", others.join(" ")),
    }
}
