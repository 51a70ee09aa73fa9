//! What this machine has for units: memory and processors, as far as the kernel and the control groups that hold
//! everything on it allow.
//!
//! Only limits that hold for every unit count: those of the group below which systemd makes units' groups, and of the
//! groups above it, as a container has them. What systemd allows fleetd itself (`MemoryMax=` of its own service) says
//! nothing about the machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fleet_registry::record::Capacity;

/// Whose systemd runs the units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// The system's.
    System,
    /// That of the user of this id.
    User(u32),
}

/// What this machine has. What the kernel does not say is absent.
#[must_use]
pub fn capacity(manager: Manager) -> Capacity {
    below(Path::new("/"), manager)
}

/// The same, of the machine whose `/proc` and `/sys` are below `root`.
fn below(root: &Path, manager: Manager) -> Capacity {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let mut limits = Limits {
        memory: read("proc/meminfo").as_deref().and_then(total_memory),
        cpus: read("sys/devices/system/cpu/online").as_deref().and_then(cpu_list),
        cpu_millis: None,
    };
    if let Some(allowed) = read("proc/1/status").as_deref().and_then(allowed_cpus) {
        limits.only_on(allowed);
    }
    if let (Some(groups), Some(mounts)) = (read("proc/1/cgroup"), read("proc/self/mountinfo")) {
        for group in chains(&groups, &mounts, manager) {
            let file = |name: &str| fs::read_to_string(root.join(group.join(name))).ok();
            limits.take(file);
        }
    }
    limits.capacity()
}

/// What is left when every limit is heeded.
#[derive(Debug, Default)]
struct Limits {
    memory: Option<u64>,
    cpus: Option<BTreeSet<u32>>,
    cpu_millis: Option<u64>,
}

impl Limits {
    /// Heeds what a group's files say, of either version of control groups. A file that is not there sets no limit.
    fn take(&mut self, file: impl Fn(&str) -> Option<String>) {
        for name in ["memory.max", "memory.limit_in_bytes"] {
            // Version 1 says "no limit" with a number that no machine has; version 2 says `max`.
            let limit = file(name).and_then(|text| text.trim().parse().ok());
            self.memory = [self.memory, limit].into_iter().flatten().min();
        }
        let quotas = [
            file("cpu.max").as_deref().and_then(cpu_max),
            file("cpu.cfs_quota_us").zip(file("cpu.cfs_period_us")).and_then(|(quota, period)| millis(&quota, &period)),
        ];
        self.cpu_millis = quotas.into_iter().chain([self.cpu_millis]).flatten().min();
        for name in ["cpuset.cpus.effective", "cpuset.effective_cpus"] {
            if let Some(cpus) = file(name).as_deref().and_then(cpu_list) {
                self.only_on(cpus);
            }
        }
    }

    fn only_on(&mut self, cpus: BTreeSet<u32>) {
        let both = match &self.cpus {
            Some(known) => known & &cpus,
            None => cpus,
        };
        // Processors that come and go between two looks leave nothing in common: the first answer is as good.
        if !both.is_empty() {
            self.cpus = Some(both);
        }
    }

    fn capacity(self) -> Capacity {
        let cores = self.cpus.and_then(|cpus| u64::try_from(cpus.len()).ok()).map(|count| count * 1000);
        Capacity {
            memory: self.memory,
            cpu_millis: [cores, self.cpu_millis].into_iter().flatten().min(),
            ..Capacity::default()
        }
    }
}

/// The groups that hold all units, of every hierarchy that is mounted, each with all that are above it; relative to the
/// file system's root. `groups` is `/proc/1/cgroup`, `mounts` is `/proc/self/mountinfo`.
fn chains(groups: &str, mounts: &str, manager: Manager) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    for mount in mounts.lines().filter_map(Mount::parse) {
        let Some(group) = groups.lines().find_map(|line| mount.group(line)) else { continue };
        // systemd's own process is in a group of its own, beside those of its units.
        let group = group.strip_suffix("/init.scope").unwrap_or(group);
        // A mount shows a part of the hierarchy only, where a container has no view of its own.
        let shown = match mount.root {
            "/" => group,
            root => group.strip_prefix(root).unwrap_or_default(),
        };
        let top = Path::new(mount.point.trim_start_matches('/'));
        let mut units = top.join(shown.trim_start_matches('/'));
        if let Manager::User(uid) = manager {
            units.push(format!("user.slice/user-{uid}.slice/user@{uid}.service"));
        }
        all.extend(units.ancestors().take_while(|group| group.starts_with(top)).map(Path::to_owned));
    }
    all
}

/// A hierarchy of control groups, as it is mounted.
struct Mount<'a> {
    /// What of the hierarchy is shown there.
    root: &'a str,
    point: &'a str,
    /// The controllers; none for version 2.
    controllers: Option<&'a str>,
}

impl<'a> Mount<'a> {
    /// A line of `mountinfo`, if it is one of control groups.
    fn parse(line: &'a str) -> Option<Self> {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(3);
        let (root, point) = (front.next()?, front.next()?);
        let mut back = back.split(' ');
        let (kind, controllers) = (back.next()?, back.nth(1)?);
        match kind {
            "cgroup" => Some(Self { root, point, controllers: Some(controllers) }),
            "cgroup2" => Some(Self { root, point, controllers: None }),
            _ => None,
        }
    }

    /// The group that a line of `/proc/1/cgroup` names, if it speaks of this hierarchy.
    fn group<'g>(&self, line: &'g str) -> Option<&'g str> {
        let mut parts = line.splitn(3, ':').skip(1);
        let (names, group) = (parts.next()?, parts.next()?);
        let is_this = match self.controllers {
            None => names.is_empty(),
            Some(own) => !names.is_empty() && names.split(',').all(|name| own.split(',').any(|own| own == name)),
        };
        is_this.then_some(group)
    }
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The processors that a process may run on, from its `status`.
fn allowed_cpus(status: &str) -> Option<BTreeSet<u32>> {
    cpu_list(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?)
}

/// `0-3,8`, as the kernel writes sets of processors; none for an empty one.
fn cpu_list(text: &str) -> Option<BTreeSet<u32>> {
    let mut cpus = BTreeSet::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        // No kernel has more: this bounds what a file that is none can cost.
        cpus.extend((last < 1 << 16).then_some(first..=last)?);
    }
    (!cpus.is_empty()).then_some(cpus)
}

/// `150000 100000`: so much time in so long. None for `max`.
fn cpu_max(text: &str) -> Option<u64> {
    let (quota, period) = text.trim().split_once(' ')?;
    millis(quota, period)
}

/// Thousandths of a core. None for a quota that is none: `max`, or -1.
fn millis(quota: &str, period: &str) -> Option<u64> {
    let (quota, period): (u64, u64) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    quota.checked_mul(1000)?.checked_div(period)
}

#[cfg(test)]
mod tests;
