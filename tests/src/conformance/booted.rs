//! A story on the machine that this program runs on, through fleetd's own session with systemd.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fleet_agent::systemd::{SystemdConfig, spawn};
use fleet_agent::{Event, SystemdEffect, SystemdEvent};
use fleet_units::UnitName;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::teller::Machine;

/// Where the story's unit files are.
const UNITS: &str = "/run/fleet/units";
/// Nothing that a story waits for takes longer, on a busy host.
const LONG: Duration = Duration::from_secs(20);

/// The machine that this program runs on.
#[derive(Debug)]
pub struct Booted {
    runtime: Runtime,
    effects: UnboundedSender<SystemdEffect>,
    events: UnboundedReceiver<Event>,
    begin: Instant,
}

impl Booted {
    /// Begins a session with systemd.
    ///
    /// # Errors
    /// When there can be no runtime or no directory.
    pub fn new() -> Result<Self> {
        fs::create_dir_all(UNITS).with_context(|| format!("cannot make {UNITS}"))?;
        let runtime = Runtime::new()?;
        let (tx, events) = unbounded_channel();
        let config = SystemdConfig { user: false, units_directory: PathBuf::from(UNITS) };
        let guard = runtime.enter();
        let effects = spawn(config, tx);
        drop(guard);
        Ok(Self { runtime, effects, events, begin: Instant::now() })
    }
}

fn path(unit: &UnitName) -> PathBuf {
    Path::new(UNITS).join(unit.as_str())
}

fn must<T>(what: &str, result: io::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}

impl Machine for Booted {
    fn ask(&mut self, effect: SystemdEffect) {
        if self.effects.send(effect).is_err() {
            panic!("the session with systemd has ended");
        }
    }

    fn write(&mut self, unit: &UnitName, text: &str) {
        must("a unit's file cannot be written", fs::write(path(unit), text));
    }

    fn remove(&mut self, unit: &UnitName) {
        must("a unit's file cannot be removed", fs::remove_file(path(unit)));
    }

    fn kill(&mut self, _: &UnitName, pid: u32) {
        let pid = i32::try_from(pid).ok().filter(|pid| *pid > 1);
        // One that has ended meanwhile needs not be killed.
        let _ = pid.map(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL));
    }

    fn mask(&mut self, unit: &UnitName) {
        let link = Path::new("/etc/systemd/system").join(unit.as_str());
        must("a unit cannot be masked", symlink("/dev/null", link));
    }

    fn reexecute(&mut self) {
        let mut command = Command::new("systemctl");
        must("systemctl", command.arg("daemon-reexec").stdout(Stdio::null()).status());
    }

    fn next(&mut self) -> Option<SystemdEvent> {
        let (runtime, events) = (&self.runtime, &mut self.events);
        let event = runtime.block_on(async { tokio::time::timeout(LONG, events.recv()).await });
        match event {
            Ok(Some(Event::Systemd(event))) => Some(event),
            _ => None,
        }
    }

    fn now(&self) -> Duration {
        self.begin.elapsed()
    }
}
