//! The lab process before it has namespaces of its own: it sweeps, takes its name and its
//! cgroup, and becomes `unshare`.
//!
//! Its pid and start time survive that, so the lab is named after the very process whose end
//! ends it: `unshare --kill-child` has the kernel kill the lab's PID 1 when it dies itself,
//! and with its PID 1 the whole pid namespace.

use std::convert::Infallible;
use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{self, Command};

use anyhow::{Context, Result, bail};

use super::cgroup::LabGroups;
use super::layout::{Layout, base_dir};
use super::owner::Owner;
use super::protocol::FirstWord;
use super::requirements::{check_requirements, search_path};
use super::sweep::sweep;

/// The lab process's own log, among the consoles of machines.
pub(crate) const LOG: &str = "lab";

/// Unix sockets have short names.
const LONGEST_SOCKET_PATH: usize = 107;

/// Becomes the lab process. Returns only if that failed, having told whoever wanted a lab.
pub fn hold() -> Result<()> {
    let Err(e) = become_lab();
    let word: FirstWord = Err(format!("{e:#}"));
    writeln!(io::stdout(), "{}", serde_json::to_string(&word)?)?;
    process::exit(1)
}

fn become_lab() -> Result<Infallible> {
    check_requirements()?;
    sweep()?;
    let name = Owner::current()?.to_string();
    let base = base_dir();
    if ["/run", "/tmp"].iter().any(|dir| base.starts_with(dir)) {
        bail!("labs cannot keep their disks in {}: machines have their own", base.display());
    }
    if !base.is_absolute() {
        bail!("the folder for labs must be an absolute path, not {}", base.display());
    }
    let layout = Layout::new(&base, &name);
    if layout.control().as_os_str().len() > LONGEST_SOCKET_PATH {
        bail!("the path of the folder for labs is too long: {}", base.display());
    }
    fs::create_dir_all(layout.dir())
        .with_context(|| format!("cannot make the lab's folder {}", layout.dir().display()))?;
    LabGroups::new(&name)?.create_and_enter()?;
    // A lab may outlive the terminal that it was started from, and holds on to no pipe of it.
    let log = File::create(layout.console(LOG)).context("cannot make the lab's log")?;
    let program = env::current_exe().context("cannot find the lab's own program")?;
    let error = Command::new("unshare")
        .args(["--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--net", "--"])
        .arg(program)
        .args(["serve", &name])
        .env("PATH", search_path())
        .stderr(log)
        .exec();
    Err(error).context("cannot run unshare")
}
