//! Describing a lab, and starting it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::programs::find_program;

use super::client::{Lab, Life};
use super::hold::LOG;
use super::layout::{Layout, base_dir};
use super::owner::Owner;
use super::protocol::FirstWord;
use super::requirements::check_requirements;
use super::spec::{FileSpec, LabSpec, machine_id};
use super::sweep::sweep;

/// Describes a lab before it is started.
#[derive(Clone, Debug)]
pub struct LabBuilder {
    spec: LabSpec,
}

impl LabBuilder {
    pub(crate) fn new() -> Self {
        Self { spec: LabSpec { machines: 1, ..LabSpec::default() } }
    }

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

    /// Puts a program of this workspace into `/usr/bin` of every machine.
    ///
    /// # Errors
    /// When it is not built.
    pub fn program(self, name: &str) -> Result<Self> {
        let program = find_program(name)?;
        Ok(self.file(FileSpec::executable(Path::new("/usr/bin").join(name), program)))
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

    /// Gives a machine the machine-id of another one, as copying a disk does.
    pub fn cloned_id(self, machine: u8, original: u8) -> Self {
        let id = format!("{}\n", machine_id(original));
        self.file_on(machine, FileSpec::contents("/etc/machine-id", id).mode(0o444))
    }

    /// Mounts a file system of so many bytes at a folder of a machine, so that a test can fill that folder alone.
    pub fn small_folder(self, machine: u8, folder: &str, bytes: u64) -> Self {
        let name = format!("{}.mount", folder.trim_matches('/').replace('/', "-"));
        let text = format!("[Mount]\nWhat=tmpfs\nWhere={folder}\nType=tmpfs\nOptions=mode=0755,size={bytes}\n");
        let system = Path::new("/etc/systemd/system");
        self.file_on(machine, FileSpec::contents(system.join(&name), text))
            .file_on(machine, FileSpec::link(system.join("local-fs.target.wants").join(&name), format!("../{name}")))
    }

    /// Makes the lab and boots all its machines.
    pub fn start(self) -> Result<Lab> {
        let lab = self.start_without_booting()?;
        lab.boot_all()?;
        Ok(lab)
    }

    /// Makes the lab with all its machines off.
    pub fn start_without_booting(self) -> Result<Lab> {
        check_requirements()?;
        // In a process group of its own, it hears of no Ctrl-C that is meant for us.
        let mut process = Command::new(find_program("fleet-lab")?)
            .arg("hold")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot run fleet-lab")?;
        // Its folder is named after it; after its death it could not be told any more.
        let owner = Owner::of(process.id());
        match self.introduce(&mut process) {
            Ok((stdin, Ok(hello))) => Lab::new(hello, Life::Ours { process, stdin }),
            Ok((_, Err(reason))) => {
                let _ = process.wait();
                let _ = sweep();
                bail!("cannot make a lab: {reason}")
            }
            Err(e) => {
                let _ = process.kill();
                let _ = process.wait();
                let log = owner.map(|owner| Layout::new(&base_dir(), &owner.to_string()).console(LOG));
                let log = log.and_then(fs::read_to_string).unwrap_or_default();
                let _ = sweep();
                Err(e.context(format!("cannot make a lab: {}", log.trim())))
            }
        }
    }

    /// Tells the lab process what to build, and reads what came of it.
    fn introduce(&self, process: &mut Child) -> Result<(ChildStdin, FirstWord)> {
        let mut stdin = process.stdin.take().context("the lab process has no standard input")?;
        let stdout = process.stdout.take().context("the lab process has no standard output")?;
        let mut spec = serde_json::to_vec(&self.spec)?;
        spec.push(b'\n');
        // It may have ended by now, and said why.
        let _ = stdin.write_all(&spec);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("cannot read from fleet-lab")?;
        if line.is_empty() {
            bail!("the lab process ended without a word");
        }
        Ok((stdin, serde_json::from_str(&line).context("cannot read what the lab process said")?))
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
