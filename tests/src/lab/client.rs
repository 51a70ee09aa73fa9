//! The handle on a lab that tests, the demo, and the benchmarks hold.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::cgroup::LabGroups;
use super::command::{Enter, Output, argv, enter, run_with_limit};
use super::etcd::Etcd;
use super::layout::{Layout, base_dir};
use super::node::Node;
use super::owner::Owner;
use super::protocol::{self, Hello, Request};
use super::requirements::check_requirements;
use super::spec::{FileSpec, LabSpec};

/// Commands are killed after this, unless another limit is given.
pub(crate) const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// The end of a lab is a matter of killing processes.
const END_LIMIT: Duration = Duration::from_secs(20);

/// How many lines of each machine's journal a failing test shows.
const LOG_LINES: &str = "60";

/// Describes a lab before it is started.
#[derive(Clone, Debug)]
pub struct LabBuilder {
    spec: LabSpec,
}

impl LabBuilder {
    /// The number of machines; one unless said otherwise.
    pub fn machines(mut self, machines: u8) -> Self {
        self.spec.machines = machines;
        self
    }

    /// Puts a file into every machine before it boots.
    pub fn file(mut self, file: FileSpec) -> Self {
        self.spec.files.push(file);
        self
    }

    /// Puts a file into one machine before it boots.
    pub fn file_on(mut self, machine: u8, file: FileSpec) -> Self {
        self.spec.machine_files.push((machine, file));
        self
    }

    /// Puts a unit into every machine and has it started at boot.
    pub fn enabled_unit(self, name: &str, text: &str) -> Self {
        let system = Path::new("/etc/systemd/system");
        let wanted = if name.ends_with(".socket") { "sockets" } else { "multi-user" };
        self.file(FileSpec::contents(system.join(name), text))
            .file(FileSpec::link(system.join(format!("{wanted}.target.wants")).join(name), format!("../{name}")))
    }

    /// Gives a machine a disk of so many bytes, so that a test can fill it.
    pub fn small_disk(mut self, machine: u8, bytes: u64) -> Self {
        self.spec.small_disks.push((machine, bytes));
        self
    }

    /// The lab outlives its handle; [`Lab::attach`] finds it, and [`Lab::end`] ends it.
    pub fn keep(mut self) -> Self {
        self.spec.keep = true;
        self
    }

    /// Makes the lab and boots all its machines.
    pub fn start(self) -> Result<Lab> {
        let lab = self.start_without_booting()?;
        let all = (1..=lab.machines).collect();
        lab.request(&Request::Boot(all))?;
        Ok(lab)
    }

    /// Makes the lab with all its machines off.
    pub fn start_without_booting(self) -> Result<Lab> {
        check_requirements()?;
        let mut command = Command::new(lab_program()?);
        command.arg("hold").stdin(Stdio::piped()).stdout(Stdio::piped());
        if self.spec.keep {
            // It must hold on neither to the terminal nor to a pipe that someone reads to its end.
            command.stderr(Stdio::null()).process_group(0);
        }
        let mut process = command.spawn().context("cannot run fleet-lab")?;
        match self.introduce(&mut process) {
            Ok((stdin, Hello::Ready { name, dir, machines })) => {
                let life = Life::Ours { process, _stdin: (!self.spec.keep).then_some(stdin) };
                Lab::new(&name, &dir, machines, life, self.spec.keep)
            }
            Ok((_, Hello::Failed(reason))) => {
                let _ = process.wait();
                bail!("cannot make a lab: {reason}")
            }
            Err(e) => {
                let _ = process.kill();
                let _ = process.wait();
                Err(e)
            }
        }
    }

    /// Tells the lab process what to build, and reads what came of it.
    fn introduce(&self, process: &mut Child) -> Result<(ChildStdin, Hello)> {
        let mut stdin = process.stdin.take().context("the lab process has no standard input")?;
        let stdout = process.stdout.take().context("the lab process has no standard output")?;
        let mut spec = serde_json::to_vec(&self.spec)?;
        spec.push(b'\n');
        // It may have ended by now; what it printed says why.
        let _ = stdin.write_all(&spec);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("cannot read from fleet-lab")?;
        let hello = serde_json::from_str(&line)
            .context("fleet-lab ended before the lab was made; what it printed above says why")?;
        Ok((stdin, hello))
    }

    /// Starts the lab and gives it to `test`, whose error fails the calling test with every
    /// machine's last log lines.
    #[track_caller]
    pub fn run(self, test: impl FnOnce(&Lab) -> Result<()>) {
        let lab = match self.start() {
            Ok(lab) => lab,
            Err(e) => panic!("{e:#}"),
        };
        if let Err(e) = test(&lab) {
            panic!("{e:?}");
        }
    }
}

/// What ends the lab.
#[derive(Debug)]
enum Life {
    /// Our own child. The lab also ends when its standard input is closed, by whatever cause,
    /// so that it needs no farewell from us. (A signal at the parent's death would not do: it
    /// comes when the *thread* ends that started the child.)
    Ours { process: Child, _stdin: Option<ChildStdin> },
    /// A kept lab that another process started.
    Attached,
}

/// A running lab. When it is dropped, the lab and everything in it ends, unless it was to be
/// kept; when it is dropped by a panic, the machines' last log lines are printed first.
#[derive(Debug)]
pub struct Lab {
    name: String,
    layout: Layout,
    groups: LabGroups,
    machines: u8,
    leader: u32,
    keep: bool,
    life: Life,
}

impl Lab {
    /// Describes a lab.
    pub fn builder() -> LabBuilder {
        LabBuilder { spec: LabSpec { machines: 1, ..LabSpec::default() } }
    }

    /// The kept lab of this name, or the only one there is.
    pub fn attach(name: Option<&str>) -> Result<Self> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => only_lab()?,
        };
        if !Owner::parse(&name).is_some_and(Owner::is_alive) {
            bail!("there is no lab {name}");
        }
        let dir = base_dir().join(&name);
        let machines = fs::read_dir(dir.join("machines")).with_context(|| format!("{name} has no machines"))?.count();
        Self::new(&name, &dir, u8::try_from(machines)?, Life::Attached, true)
    }

    fn new(name: &str, dir: &Path, machines: u8, life: Life, keep: bool) -> Result<Self> {
        let groups = LabGroups::new(name)?;
        let leader = groups.lab_leader().context("the lab process has ended")?;
        let layout = Layout::new(dir.parent().unwrap_or(dir), name);
        Ok(Self { name: name.to_owned(), layout, groups, machines, leader, keep, life })
    }

    /// The lab's name, which is that of its folders.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The lab's folder on the host.
    pub fn dir(&self) -> &Path {
        self.layout.dir()
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

    /// Runs a command in the lab's network, beside the machines.
    pub fn net_exec<S: AsRef<OsStr>>(&self, command: impl IntoIterator<Item = S>) -> Result<Output> {
        self.lab_exec(command, Vec::new())
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

    /// Prints the last log lines of every machine and daemon on standard error.
    pub fn dump_logs(&self) {
        for node in self.nodes() {
            let log = node.exec(["journalctl", "--no-pager", "-n", LOG_LINES, "-o", "short-precise"]);
            let failed = node.exec(["systemctl", "--no-pager", "--no-legend", "--failed"]);
            eprintln!("---- {}: journal", node.name());
            match log.and_then(Output::ok) {
                Ok(log) => eprint!("{log}"),
                Err(e) => eprintln!("{e:#}"),
            }
            if let Ok(failed) = failed.and_then(Output::ok)
                && !failed.is_empty()
            {
                eprint!("---- {}: failed units\n{failed}", node.name());
            }
        }
        self.dump_consoles();
    }

    /// A machine's console is of use when its journal cannot be read; a daemon has no other.
    fn dump_consoles(&self) {
        let Ok(entries) = fs::read_dir(self.layout.dir()) else { return };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "console") {
                continue;
            }
            let text = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("---- {}", entry.file_name().display());
            for line in &lines[lines.len().saturating_sub(30)..] {
                eprintln!("{line}");
            }
        }
    }

    /// Ends the lab, kept or not, and removes what it had on disk.
    pub fn end(mut self) -> Result<()> {
        // Whatever comes of it, dropping the handle does not try again.
        self.keep = true;
        self.kill()
    }

    fn kill(&mut self) -> Result<()> {
        match &mut self.life {
            Life::Ours { process, .. } => {
                process.kill().context("cannot kill the lab process")?;
                process.wait().context("cannot wait for the lab process")?;
            }
            Life::Attached => kill_owner(&self.name)?,
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
        if !self.keep
            && let Err(e) = self.kill()
        {
            eprintln!("fleet-lab: {e:#}");
        }
    }
}

fn kill_owner(name: &str) -> Result<()> {
    let owner = Owner::parse(name).with_context(|| format!("{name} is no lab's name"))?;
    nix::sys::signal::kill(super::machine::pid(owner.pid())?, nix::sys::signal::Signal::SIGKILL)
        .with_context(|| format!("cannot kill the lab process {}", owner.pid()))
}

/// The only lab that runs, or an error that names those there are.
fn only_lab() -> Result<String> {
    let entries = fs::read_dir(base_dir()).map(|e| e.filter_map(Result::ok)).ok();
    let mut alive: Vec<String> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| Owner::parse(name).is_some_and(Owner::is_alive))
        .collect();
    match (alive.pop(), &alive[..]) {
        (None, _) => bail!("no lab runs; `fleet-lab up --keep` starts one"),
        (Some(name), []) => Ok(name),
        (Some(name), others) => bail!("several labs run, say which: {name} {}", others.join(" ")),
    }
}

/// The `fleet-lab` program: named by `FLEET_LAB_BIN`, the calling program itself, or beside it
/// (tests lie one folder below).
fn lab_program() -> Result<PathBuf> {
    if let Some(program) = env::var_os("FLEET_LAB_BIN") {
        return Ok(program.into());
    }
    let own = env::current_exe().context("cannot find the calling program")?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join("fleet-lab"))
        .find(|program| program.is_file())
        .with_context(|| format!("there is no fleet-lab beside {}; build it or set FLEET_LAB_BIN", own.display()))
}
