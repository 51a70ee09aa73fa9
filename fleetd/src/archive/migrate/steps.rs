//! What is done with systemd's and etcd's own tools.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use fleet_registry::memory::Saved;
use fleet_registry::snapshot::SnapshotFile;

use super::MigrateArguments;

/// How long one thing may take to come about.
const LIMIT: Duration = Duration::from_secs(30);
/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// Tries until there is an outcome.
pub(super) fn patiently<T>(what: &str, mut step: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(outcome) = step()? {
            return Ok(outcome);
        }
        if begun.elapsed() > LIMIT {
            bail!("not within {} s: {what}", LIMIT.as_secs());
        }
        sleep(PAUSE);
    }
}

/// Has systemctl do something.
pub(super) fn systemctl(arguments: &[&str]) -> anyhow::Result<()> {
    run(Command::new("systemctl").args(arguments))
}

/// Whether a unit runs.
pub(super) fn is_active(unit: &str) -> anyhow::Result<bool> {
    let status = Command::new("systemctl").args(["is-active", "--quiet", unit]).status();
    Ok(status.context("cannot run systemctl")?.success())
}

/// Stops a unit, also one that is not active because systemd is about to start it again; one that is not there is stopped.
pub(super) fn stop(unit: &str) -> anyhow::Result<()> {
    match systemctl(&["stop", unit]) {
        Err(error) if is_active(unit)? => Err(error),
        _ => Ok(()),
    }
}

/// Ends fleetd without a job of systemd's, which then starts it again: units go on, and the configuration is read anew.
///
/// Where it ended before, and waits to be started again, there is no process to signal: it is started.
pub(super) fn end_main_process(service: &str) -> anyhow::Result<()> {
    systemctl(&["kill", "--kill-who=main", "--signal=TERM", service]).or_else(|_| systemctl(&["start", service]))
}

/// Whether there is nothing in a directory, or no directory.
pub(super) fn is_empty(directory: &Path) -> anyhow::Result<bool> {
    match fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", directory.display())),
    }
}

/// Makes an etcd's data directory of a snapshot, owned as the directory that it is in.
pub(super) fn make_data_dir(arguments: &MigrateArguments, saved: &Saved, directory: &Path) -> anyhow::Result<()> {
    let (data, peer) = (&arguments.etcd_data_dir, arguments.etcd_peer_url.as_str());
    let file = directory.join("leaving.snapshot");
    let made = save(saved, &file).and_then(|()| {
        // etcd makes the directory itself, and wants none.
        remove_data_dir(data)?;
        let restore = [OsStr::new("snapshot"), "restore".as_ref(), file.as_ref(), "--data-dir".as_ref(), data.as_ref()];
        let cluster = format!("{}={peer}", arguments.etcd_name);
        let member =
            ["--name", &arguments.etcd_name, "--initial-cluster", &cluster, "--initial-advertise-peer-urls", peer];
        // etcdctl of 3.6 restores no more, and etcdutl came with 3.5.
        let etcdutl = Command::new("etcdutl").arg("version").output().is_ok_and(|output| output.status.success());
        let program = if etcdutl { "etcdutl" } else { "etcdctl" };
        run(Command::new(program).env("ETCDCTL_API", "3").args(restore).args(member))?;
        hand_over(data)
    });
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => made.and(Err(error.into())),
        _ => made,
    }
}

/// Gives a directory to whom the one above it belongs: etcd runs as a user of its own.
pub(super) fn hand_over(directory: &Path) -> anyhow::Result<()> {
    let Some(parent) = directory.parent() else { return Ok(()) };
    let mut reference = OsStr::new("--reference=").to_owned();
    reference.push(parent);
    run(Command::new("chown").arg("--recursive").arg(reference).arg(directory))
}

/// Removes a data directory that was found empty, or made here.
pub(super) fn remove_data_dir(directory: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

fn save(saved: &Saved, path: &Path) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    for part in SnapshotFile::new(saved.clone()) {
        file.write_all(&part).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(file.sync_all()?)
}

/// Runs a program, whose words are the error where it fails.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}: is it installed?"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    bail!("{name} {}: {}: {said}", arguments.join(" "), output.status);
}
