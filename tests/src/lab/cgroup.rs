//! The lab's cgroups: where machines are kept apart, and where the truth about what runs in
//! them is read.
//!
//! Every machine gets a group of its own in each hierarchy where systemd keeps units. Without
//! that all machines would share one tree and kill each other's services.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::wait::poll;

/// The group that holds the lab process itself and its daemons.
const LAB_LEAF: &str = "lab";

/// The hierarchies in which systemd keeps units on this host; the first is the one to read.
///
/// On a unified host that is the root; on a hybrid one `name=systemd` and the unified one
/// beside it; on a legacy one `name=systemd` alone.
pub fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    let found = parse_hierarchies(&mounts);
    if found.is_empty() {
        bail!("no cgroup hierarchy that systemd could use is mounted below /sys/fs/cgroup");
    }
    Ok(found)
}

fn parse_hierarchies(mounts: &str) -> Vec<PathBuf> {
    let mut named = Vec::new();
    let mut unified = Vec::new();
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, path, kind, options, ..] = fields[..] else { continue };
        if !path.starts_with("/sys/fs/cgroup") {
            continue;
        }
        match kind {
            "cgroup2" => unified.push(PathBuf::from(path)),
            "cgroup" if options.split(',').any(|o| o == "name=systemd") => {
                named.push(PathBuf::from(path));
            }
            _ => {}
        }
    }
    named.extend(unified);
    named
}

/// The groups of one lab, in every hierarchy.
#[derive(Clone, Debug)]
pub struct LabGroups {
    roots: Vec<PathBuf>,
}

impl LabGroups {
    /// The groups of the lab of this name, existing or not.
    pub fn new(name: &str) -> Result<Self> {
        Ok(Self { roots: hierarchies()?.into_iter().map(|h| h.join(name)).collect() })
    }

    /// Makes the lab's groups and moves the calling process into them.
    pub(crate) fn create_and_enter(&self) -> Result<()> {
        for root in &self.roots {
            let leaf = root.join(LAB_LEAF);
            fs::create_dir_all(&leaf)
                .with_context(|| format!("cannot make the cgroup {} (is /sys/fs/cgroup writable?)", leaf.display()))?;
            enable_controllers(root);
            let procs = leaf.join("cgroup.procs");
            fs::write(&procs, std::process::id().to_string())
                .with_context(|| format!("cannot enter the cgroup {}", leaf.display()))?;
        }
        Ok(())
    }

    /// Makes a machine's groups; the files that its first process must be written to.
    pub(crate) fn create_machine(&self, machine: &str) -> Result<Vec<PathBuf>> {
        let mut procs = Vec::new();
        for root in &self.roots {
            let group = root.join(machine);
            fs::create_dir_all(&group).with_context(|| format!("cannot make the cgroup {}", group.display()))?;
            procs.push(group.join("cgroup.procs"));
        }
        Ok(procs)
    }

    /// The group in which a machine's own systemd runs; nspawn makes it.
    fn payload(&self, machine: &str) -> PathBuf {
        self.roots[0].join(machine).join("payload")
    }

    /// The lab process, which is PID 1 of the lab's pid namespace, as seen by the caller.
    pub(crate) fn lab_leader(&self) -> Option<u32> {
        leader(&self.roots[0].join(LAB_LEAF))
    }

    /// A machine's PID 1 as seen by the caller; `None` while it is off.
    pub(crate) fn machine_leader(&self, machine: &str) -> Option<u32> {
        leader(&self.payload(machine).join("init.scope"))
    }

    /// Every process of a machine, PID 1 included.
    pub(crate) fn machine_processes(&self, machine: &str) -> Vec<u32> {
        processes_below(&self.payload(machine))
    }

    /// Every process of a unit of a machine, in whatever slice the unit is.
    pub(crate) fn unit_processes(&self, machine: &str, unit: &str) -> Vec<u32> {
        let mut groups = Vec::new();
        find_groups(&self.payload(machine), unit, &mut groups);
        groups.iter().flat_map(|group| processes_below(group)).collect()
    }

    /// How many system units of a machine whose names begin so have a group.
    pub(crate) fn count_units(&self, machine: &str, beginning: &str) -> usize {
        let groups = fs::read_dir(self.payload(machine).join("system.slice")).into_iter().flatten().flatten();
        groups.filter(|group| group.file_name().to_string_lossy().starts_with(beginning)).count()
    }

    /// Waits until nothing of the lab runs any more.
    pub(crate) fn wait_empty(&self, limit: Duration) -> Result<()> {
        poll(limit, || {
            let left: Vec<u32> = self.roots.iter().flat_map(|root| processes_below(root)).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("processes {left:?} still run")) }
        })
        .map_err(|reason| anyhow::anyhow!("the lab did not end: {reason}"))
    }

    /// Removes the lab's groups; whoever calls this has made sure that nothing runs in them.
    pub(crate) fn remove(&self) -> Result<()> {
        for root in &self.roots {
            // The kernel lets go of a group a moment after its last process has ended.
            poll(Duration::from_secs(5), || remove_group(root).map_err(|e| e.to_string()))
                .map_err(|e| anyhow::anyhow!("cannot remove the cgroup {}: {e}", root.display()))?;
        }
        Ok(())
    }
}

/// On a unified host, gives the machines below `root` what the host gives us. A host that
/// refuses costs the machines' resource accounting and nothing else.
fn enable_controllers(root: &Path) {
    let Ok(available) = fs::read_to_string(root.join("cgroup.controllers")) else { return };
    for controller in available.split_whitespace() {
        let _ = fs::write(root.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// The process of a group that is PID 1 of its own pid namespace.
fn leader(group: &Path) -> Option<u32> {
    pids(group)
        .into_iter()
        .find(|pid| fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| is_pid_one(&status)))
}

/// `NSpid:` lists a process's pids from the reader's namespace inwards.
fn is_pid_one(status: &str) -> bool {
    let Some(line) = status.lines().find_map(|l| l.strip_prefix("NSpid:")) else { return false };
    let pids: Vec<&str> = line.split_whitespace().collect();
    pids.len() > 1 && pids.last() == Some(&"1")
}

fn pids(group: &Path) -> Vec<u32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    // A zero stands for a process that the reader's pid namespace does not hold.
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid != 0).collect()
}

fn subgroups(group: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(group) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn processes_below(group: &Path) -> Vec<u32> {
    let mut found = pids(group);
    for sub in subgroups(group) {
        found.extend(processes_below(&sub));
    }
    found
}

fn find_groups(group: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for sub in subgroups(group) {
        if sub.file_name().is_some_and(|n| n == name) {
            found.push(sub);
        } else {
            find_groups(&sub, name, found);
        }
    }
}

/// Removes a group and those below it; one that is gone already is no error.
pub(crate) fn remove_group(group: &Path) -> io::Result<()> {
    for sub in subgroups(group) {
        remove_group(&sub)?;
    }
    match fs::remove_dir(group) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_host_has_two_hierarchies_and_units_are_read_in_the_first() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
            cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n\
            cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0\n";
        let expected = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"].map(PathBuf::from);
        assert_eq!(parse_hierarchies(mounts), expected);
    }

    #[test]
    fn a_unified_host_has_its_root() {
        let mounts = "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n";
        assert_eq!(parse_hierarchies(mounts), [PathBuf::from("/sys/fs/cgroup")]);
    }

    #[test]
    fn a_host_without_cgroups_has_none() {
        assert!(parse_hierarchies("proc /proc proc rw 0 0\n").is_empty());
    }

    #[test]
    fn pid_one_is_told_by_its_innermost_pid() {
        assert!(is_pid_one("Name:\tsystemd\nNSpid:\t812\t40\t1\n"));
        assert!(!is_pid_one("Name:\tsh\nNSpid:\t812\t40\t17\n"));
        assert!(!is_pid_one("Name:\tinit\nNSpid:\t1\n"), "the reader's own PID 1 leads no machine");
    }
}
