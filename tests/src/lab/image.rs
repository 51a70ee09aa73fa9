//! What machines have that the host has not, and the other way round.
//!
//! A machine is the host's own system without anything that the host's administrator has
//! set up: no enabled services, no mounts, no fleet. What is left boots in a few hundred
//! milliseconds to `multi-user.target` with D-Bus and the journal.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::sys::stat::{Mode, SFlag, mknod};

use super::layout::{Layout, base_dir};
use super::network;
use super::spec::{Content, FileSpec, LabSpec, machine_id, machine_name};

/// Folders of the host whose contents machines do not see.
const HIDDEN: [&str; 16] = [
    "/etc/systemd/system",
    "/etc/systemd/network",
    "/etc/systemd/journald.conf.d",
    "/etc/systemd/system.conf.d",
    "/etc/fleet",
    "/var/lib/fleet",
    "/var/lib/etcd",
    "/var/lib/systemd/linger",
    "/var/log/journal",
    "/etc/rc0.d",
    "/etc/rc1.d",
    "/etc/rc2.d",
    "/etc/rc3.d",
    "/etc/rc4.d",
    "/etc/rc5.d",
    "/etc/rc6.d",
];

/// Hosts with dbus-broker name it so; without this link they have no D-Bus.
const KEPT: &str = "dbus.service";

/// Units that systemd itself pulls in and that a machine of a lab has no use for.
const MASKED: [&str; 24] = [
    "getty.target",
    "console-getty.service",
    "etcd.service",
    "kmod-static-nodes.service",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-initctl.socket",
    "systemd-journal-catalog-update.service",
    "systemd-journal-flush.service",
    "systemd-logind.service",
    "systemd-modules-load.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-resolved.service",
    "systemd-sysctl.service",
    "systemd-sysusers.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-update-done.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
];

/// Logs stay in memory, and none are dropped however much a test logs.
const JOURNALD: &str = "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nRuntimeMaxUse=64M\n";

const ADDRESS_UNIT: &str = "[Unit]
Description=The address of this machine in the lab
DefaultDependencies=no
Before=sysinit.target network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/env ip -batch /etc/fleet-lab-address
";

/// Says that the machine is of use. It waits for nothing that a test has installed, so that a
/// service which never gets ready does not keep its machine from being booted.
const BOOTED_UNIT: &str = "[Unit]
Description=Tell the lab that this machine is booted
After=sysinit.target dbus.socket dbus.service systemd-journald.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/env touch /run/fleet-lab-booted
";

/// Where [`BOOTED_UNIT`] leaves its word, in the machine.
pub(crate) const BOOTED_FILE: &str = "run/fleet-lab-booted";

/// Fills the layer that all machines share.
pub(crate) fn fill_common(layout: &Layout, spec: &LabSpec) -> Result<()> {
    let common = layout.common();
    for dir in HIDDEN {
        hide_contents(&common, Path::new(dir))?;
    }
    hide(&common, &base_dir())?;
    let system = Path::new("/etc/systemd/system");
    for unit in MASKED {
        install(&common, &FileSpec::link(system.join(unit), "/dev/null"))?;
    }
    let files = [
        FileSpec::link(system.join("default.target"), "/lib/systemd/system/multi-user.target"),
        FileSpec::contents(system.join("lab-address.service"), ADDRESS_UNIT),
        FileSpec::link(system.join("sysinit.target.wants/lab-address.service"), "../lab-address.service"),
        FileSpec::contents(system.join("lab-booted.service"), BOOTED_UNIT),
        FileSpec::link(system.join("multi-user.target.wants/lab-booted.service"), "../lab-booted.service"),
        FileSpec::contents("/etc/systemd/journald.conf", JOURNALD),
        FileSpec::contents("/etc/fstab", ""),
        FileSpec::contents("/etc/resolv.conf", ""),
        FileSpec::contents("/etc/hosts", hosts(spec.machines)),
    ];
    for file in files.iter().chain(&spec.files) {
        install(&common, file)?;
    }
    Ok(())
}

/// Fills a machine's own layer.
pub(crate) fn fill_machine(layout: &Layout, spec: &LabSpec, number: u8) -> Result<()> {
    let name = machine_name(number);
    let files = [
        FileSpec::contents("/etc/machine-id", format!("{}\n", machine_id(number))).mode(0o444),
        FileSpec::contents("/etc/hostname", format!("{name}\n")),
        FileSpec::contents("/etc/fleet-lab-address", network::machine_setup(number)),
    ];
    let own = spec.machine_files.iter().filter(|(n, _)| *n == number).map(|(_, file)| file);
    for file in files.iter().chain(own) {
        install(&layout.upper(&name), file)?;
    }
    Ok(())
}

fn hosts(machines: u8) -> String {
    let own = (1..=machines).map(|i| format!("{} {}\n", network::address(i), machine_name(i)));
    format!("127.0.0.1 localhost\n{}", own.collect::<String>())
}

/// Hides everything in a folder of the host but folders, which are emptied: overlayfs takes a
/// character device 0/0 in a layer to mean that there is nothing of that name below.
fn hide_contents(layer: &Path, dir: &Path) -> Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(());
        }
        Err(e) => return Err(e).with_context(|| format!("cannot list {}", dir.display())),
    };
    create_folder(layer, dir)?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", dir.display()))?;
        let path = entry.path();
        if entry.file_name() == KEPT {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            hide_contents(layer, &path)?;
        } else {
            mknod(&within(layer, &path), SFlag::S_IFCHR, Mode::empty(), 0)
                .with_context(|| format!("cannot hide {}", path.display()))?;
        }
    }
    Ok(())
}

/// Hides a folder of the host whole: machines see none of that name.
fn hide(layer: &Path, dir: &Path) -> Result<()> {
    if let Some(parent) = dir.parent() {
        create_folder(layer, parent)?;
    }
    mknod(&within(layer, dir), SFlag::S_IFCHR, Mode::empty(), 0)
        .with_context(|| format!("cannot hide {}", dir.display()))
}

/// Puts a file into a layer, in place of whatever was hidden there.
fn install(layer: &Path, file: &FileSpec) -> Result<()> {
    let path = within(layer, &file.path);
    let failed = || format!("cannot install {}", file.path.display());
    if let Some(parent) = file.path.parent() {
        create_folder(layer, parent).with_context(failed)?;
    }
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e).with_context(failed),
        _ => {}
    }
    match &file.content {
        Content::Bytes(bytes) => fs::write(&path, bytes).with_context(failed)?,
        Content::CopyOf(source) => {
            fs::copy(source, &path).with_context(|| format!("cannot copy {} into the machines", source.display()))?;
        }
        Content::Link(target) => return symlink(target, &path).with_context(failed),
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(file.mode)).with_context(failed)
}

/// Makes a folder in a layer, and those above it. A folder's owner and mode come from the
/// uppermost layer that has it, so they are made as the host's.
fn create_folder(layer: &Path, dir: &Path) -> Result<()> {
    let made = within(layer, dir);
    if made.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        create_folder(layer, parent)?;
    }
    fs::create_dir(&made).with_context(|| format!("cannot make the folder {}", made.display()))?;
    let Ok(host) = fs::symlink_metadata(dir) else { return Ok(()) };
    if host.is_symlink() {
        bail!("{} is a link on the host: name the folder that it leads to", dir.display());
    }
    chown(&made, Some(host.uid()), Some(host.gid()))
        .and_then(|()| fs::set_permissions(&made, host.permissions()))
        .with_context(|| format!("cannot make {} as the host's", made.display()))
}

fn within(layer: &Path, path: &Path) -> PathBuf {
    layer.join(path.strip_prefix("/").unwrap_or(path))
}
