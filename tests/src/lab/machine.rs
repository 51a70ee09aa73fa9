//! A machine as the lab process sees it: one `systemd-nspawn` and the power switch.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cgroup::LabGroups;
use super::command::run;
use super::image::BOOTED_FILE;
use super::layout::{Layout, SHARED};
use super::network;
use super::spec::machine_name;
use super::wait::poll;

/// Booting takes half a second; a host under heavy load may take long.
const BOOT_LIMIT: Duration = Duration::from_secs(60);

/// Longer than systemd's own 90 seconds for a service that does not stop.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(120);

/// Enters the machine's cgroups before it becomes nspawn: nspawn takes the group in which it
/// finds itself for the machine's.
const ENTER_CGROUPS: &str = r#"while [ "$1" != -- ]; do echo $$ > "$1"; shift; done; shift; exec "$@""#;

#[derive(Debug)]
pub(crate) struct Machine {
    name: String,
    layout: Layout,
    groups: LabGroups,
    nspawn: Option<Child>,
}

impl Machine {
    pub(crate) fn new(number: u8, layout: Layout, groups: LabGroups) -> Self {
        Self { name: machine_name(number), layout, groups, nspawn: None }
    }

    /// Boots the machine with the disk that it has, and waits until it is of use.
    pub(crate) fn boot(&mut self) -> Result<()> {
        if self.is_on()? {
            bail!("{} is on already", self.name);
        }
        let port = network::port(&self.name);
        // The kernel takes a dead machine's network down at its leisure.
        if fs::exists(format!("/sys/class/net/{port}")).unwrap_or(false) {
            let _ = run(["ip", "link", "delete", &port]);
        }
        let mut nspawn = self.start()?;
        let booted = poll(BOOT_LIMIT, || {
            if let Some(status) = nspawn.try_wait().map_err(|e| e.to_string())? {
                return Ok(Err(anyhow!("systemd-nspawn ended at once ({status})")));
            }
            self.look_booted().map(Ok)
        });
        self.nspawn = Some(nspawn);
        booted
            .unwrap_or_else(|reason| Err(anyhow!(reason)))
            .with_context(|| format!("{} did not boot; its console:\n{}", self.name, self.console()))
    }

    fn start(&self) -> Result<Child> {
        let procs = self.groups.create_machine(&self.name)?;
        let console = File::create(self.layout.console(&self.name))
            .with_context(|| format!("cannot make the console's file of {}", self.name))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", ENTER_CGROUPS, "sh"]).args(procs).arg("--");
        command
            .args(["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit"])
            .args(["--console=pipe", "--link-journal=no", "--resolv-conf=off", "--timezone=off"])
            .arg(format!("--network-bridge={}", network::BRIDGE))
            .arg(format!("--machine={}", self.name))
            .arg(format!("--bind={}:{SHARED}", self.layout.shared().display()))
            .arg(format!("--directory={}", self.layout.root(&self.name).display()));
        command
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console)
            .spawn()
            .context("cannot run systemd-nspawn")
    }

    fn look_booted(&self) -> Result<(), String> {
        let Some(leader) = self.groups.machine_leader(&self.name) else {
            return Err("no PID 1 yet".to_owned());
        };
        match fs::symlink_metadata(format!("/proc/{leader}/root/{BOOTED_FILE}")) {
            Ok(_) => Ok(()),
            Err(_) => Err("its systemd has not reached lab-booted.service".to_owned()),
        }
    }

    /// Cuts the power: its PID 1 is killed, and the kernel kills whatever else runs in it.
    pub(crate) fn power_off(&mut self) -> Result<()> {
        let Some(leader) = self.groups.machine_leader(&self.name) else {
            bail!("{} is off already", self.name);
        };
        kill(pid(leader)?, Signal::SIGKILL).with_context(|| format!("cannot kill PID 1 of {}", self.name))?;
        self.await_off()
    }

    /// Waits until the machine has shut down and nothing of it runs any more.
    pub(crate) fn await_off(&mut self) -> Result<()> {
        poll(SHUTDOWN_LIMIT, || {
            if self.is_on().map_err(|e| e.to_string())? {
                return Err(format!("{} is still on", self.name));
            }
            match self.groups.machine_processes(&self.name)[..] {
                [] => Ok(()),
                ref left => Err(format!("processes {left:?} of {} still run", self.name)),
            }
        })
        .map_err(|reason| anyhow!("{reason}; its console:\n{}", self.console()))
    }

    fn is_on(&mut self) -> Result<bool> {
        let Some(nspawn) = &mut self.nspawn else { return Ok(false) };
        let ended = nspawn.try_wait().with_context(|| format!("cannot wait for {}'s systemd-nspawn", self.name))?;
        if ended.is_some() {
            self.nspawn = None;
        }
        Ok(ended.is_none())
    }

    fn console(&self) -> String {
        let bytes = fs::read(self.layout.console(&self.name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A pid for the kernel.
pub(crate) fn pid(pid: u32) -> Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(pid).with_context(|| format!("{pid} is no pid"))?))
}
