//! Programs that run in the lab's network beside the machines: a real etcd.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};

use super::layout::Layout;
use super::machine::pid;
use super::requirements::search_path;

/// The daemons of a lab, by name.
#[derive(Debug)]
pub(crate) struct Daemons {
    layout: Layout,
    running: BTreeMap<String, Child>,
}

impl Daemons {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, running: BTreeMap::new() }
    }

    pub(crate) fn start(&mut self, name: &str, command: &[String]) -> Result<()> {
        if let Some(child) = self.running.get_mut(name)
            && child.try_wait()?.is_none()
        {
            bail!("{name} runs already");
        }
        let [program, args @ ..] = command else { bail!("{name} has no command") };
        let data = self.layout.daemon_data(name);
        fs::create_dir_all(&data).with_context(|| format!("cannot make the folder {}", data.display()))?;
        let console = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.layout.console(name))
            .with_context(|| format!("cannot open the log of {name}"))?;
        let child = Command::new(program)
            .args(args)
            .current_dir(&data)
            .env_clear()
            .env("PATH", search_path())
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console)
            .spawn()
            .with_context(|| format!("cannot run {program}"))?;
        self.running.insert(name.to_owned(), child);
        Ok(())
    }

    /// Sends a signal; SIGKILL is followed by waiting for the end.
    pub(crate) fn signal(&mut self, name: &str, signal: i32) -> Result<()> {
        let Some(child) = self.running.get_mut(name) else { bail!("no {name} was started") };
        if let Some(status) = child.try_wait()? {
            bail!("{name} has ended already ({status})");
        }
        let signal = Signal::try_from(signal).with_context(|| format!("{signal} is no signal"))?;
        kill(pid(child.id())?, signal).with_context(|| format!("cannot send {signal} to {name}"))?;
        if signal == Signal::SIGKILL {
            child.wait().with_context(|| format!("cannot wait for {name}"))?;
        }
        Ok(())
    }
}
