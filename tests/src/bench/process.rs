//! What a fleetd costs, as the kernel counts it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::lab::Node;

/// A process of a machine, as the host numbers it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pid: u32,
}

/// Resident memory, in megabytes of a million bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Memory {
    /// All of it: what is shared with other processes is counted in full.
    pub(crate) resident: f64,
    /// What is no file's.
    pub(crate) anonymous: f64,
}

impl Process {
    /// The process with this number.
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid }
    }

    /// The fleetd of a machine.
    pub(crate) fn fleetd(node: Node<'_>) -> Result<Self> {
        match node.processes_named("fleetd")[..] {
            [pid] => Ok(Self { pid }),
            ref pids => bail!("{} has {} processes of the name fleetd, not one", node.name(), pids.len()),
        }
    }

    /// This one.
    pub(crate) fn this() -> Self {
        Self { pid: std::process::id() }
    }

    /// The CPU time that it has used so far, ended threads included, to the nanosecond.
    pub(crate) fn cpu_time(self) -> Result<Duration> {
        let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(self.pid)?))
            .with_context(|| format!("process {} has ended", self.pid))?;
        Ok(clock_gettime(clock).with_context(|| format!("cannot read the CPU time of {}", self.pid))?.into())
    }

    /// Its memory now.
    pub(crate) fn memory(self) -> Result<Memory> {
        let path = format!("/proc/{}/smaps_rollup", self.pid);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        Memory::parse(&text).with_context(|| format!("{path} has no Rss or no Anonymous"))
    }
}

impl Memory {
    fn parse(rollup: &str) -> Option<Self> {
        let megabytes = |name: &str| -> Option<f64> {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0 / 1e6)
        };
        Some(Self { resident: megabytes("Rss")?, anonymous: megabytes("Anonymous")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_kernels_sum() {
        let rollup = "5560-7ffd ---p 0 00:00 0 [rollup]\nRss:   15625 kB\nPss:  9000 kB\nAnonymous:  6250 kB\n";
        assert_eq!(Memory::parse(rollup), Some(Memory { resident: 16.0, anonymous: 6.4 }));
        assert_eq!(Memory::parse("Rss: 1 kB\n"), None);
    }

    #[test]
    fn the_time_of_a_process_that_works_goes_on() {
        let own = Process::this();
        let before = own.cpu_time().unwrap();
        let sum: u64 = (0..1_000_000u64).map(std::hint::black_box).sum();
        assert!(sum > 0 && own.cpu_time().unwrap() > before);
    }
}
