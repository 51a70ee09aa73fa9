//! Who owns what a lab leaves outside its namespaces.
//!
//! The owner is the process whose end ends the lab. Its pid and start time are part of the
//! name of every folder, so that a later run can tell the folders of the dead from those of
//! a lab that runs beside it, even after the pid was used again.

use std::fmt;
use std::fs;
use std::io;

const PREFIX: &str = "fleet-lab-";

/// A process, told apart from any other that ever had its pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pid: u32,
    /// In clock ticks since the host booted, as in `/proc/PID/stat`.
    started: u64,
}

impl Owner {
    /// The calling process.
    pub fn current() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    /// The process that has this pid now.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let started = start_time(pid).ok_or_else(|| io::Error::other(format!("there is no process {pid}")))?;
        Ok(Self { pid, started })
    }

    /// Reads a name that [`Owner`]'s `Display` wrote; `None` for anything else.
    pub fn parse(name: &str) -> Option<Self> {
        let (pid, started) = name.strip_prefix(PREFIX)?.split_once('-')?;
        Some(Self { pid: pid.parse().ok()?, started: started.parse().ok()? })
    }

    /// The owner's pid.
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// Whether that very process still runs.
    pub fn is_alive(self) -> bool {
        start_time(self.pid) == Some(self.started)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}-{}", self.pid, self.started)
    }
}

/// When a process started, or `None` when there is none that could still do anything.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_start_time(&stat)
}

/// The second field, the command's name, may hold spaces and brackets: count from its end.
fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_owner() {
        let owner = Owner::current().unwrap();
        assert_eq!(Owner::parse(&owner.to_string()), Some(owner));
        assert!(owner.is_alive());
    }

    #[test]
    fn a_reused_pid_is_another_owner() {
        let owner = Owner::current().unwrap();
        assert!(!Owner { started: owner.started + 1, ..owner }.is_alive());
    }

    #[test]
    fn other_names_have_no_owner() {
        for name in ["", "system.slice", "fleet-lab-", "fleet-lab-1", "fleet-lab-x-1", "fleet-1-2"] {
            assert_eq!(Owner::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_command_name_may_hold_brackets() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(parse_start_time(&format!("7 (a) b (c)) {tail}")), Some(4242));
        assert_eq!(parse_start_time(&format!("7 (x) {}", tail.replacen('S', "Z", 1))), None);
    }
}
