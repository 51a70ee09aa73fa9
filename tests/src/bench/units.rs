//! The units that are started: all alike, all new.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::lab::Node;

/// Names of units that fleet starts begin so.
pub(crate) const FLEET: &str = "bench";

/// Names of units that systemd alone starts begin so.
pub(crate) const FLOOR: &str = "floor";

/// Where the person keeps unit files before fleet has them.
const HOME: &str = "/root/bench";

/// Where systemd alone finds new units; fleet's are as volatile.
const SYSTEMD: &str = "/run/systemd/system";

/// A plain service.
pub(crate) fn text(name: &str) -> String {
    format!("[Unit]\nDescription={name}\n\n[Service]\nExecStart=/usr/bin/sleep infinity\n")
}

/// The same, for one machine only.
pub(crate) fn text_for(name: &str, machine: &str) -> String {
    format!("{}\n[X-Fleet]\nMachineID={machine}\n", text(name))
}

/// So many names of units that there were none of before: `bench-pairs-7.service`.
pub(crate) fn names(starter: &str, batch: &str, count: usize) -> Vec<String> {
    (1..=count).map(|i| format!("{}{i}.service", beginning(starter, batch))).collect()
}

/// How all those names begin.
pub(crate) fn beginning(starter: &str, batch: &str) -> String {
    format!("{starter}-{batch}-")
}

/// Writes a unit file where the person is, and says where.
pub(crate) fn write_home(node: Node<'_>, name: &str, text: &str) -> Result<String> {
    write(node, HOME, name, text)
}

/// Writes a unit file where systemd finds it.
pub(crate) fn write_systemd(node: Node<'_>, name: &str, text: &str) -> Result<()> {
    write(node, SYSTEMD, name, text).map(drop)
}

/// From outside, which takes no process in the machine.
fn write(node: Node<'_>, folder: &str, name: &str, text: &str) -> Result<String> {
    let path = format!("{folder}/{name}");
    let outside = node.host_path(&path)?;
    let written = fs::create_dir_all(node.host_path(folder)?).and_then(|()| fs::write(&outside, text));
    written.with_context(|| format!("cannot write {path} on {}", node.name()))?;
    Ok(path)
}

/// The units of a machine whose names match a pattern and that run, and when systemd started their processes.
pub(crate) fn running(node: Node<'_>, pattern: &str) -> Result<BTreeMap<String, Duration>> {
    let properties = "--property=Id,MainPID,ExecMainStartTimestampMonotonic";
    let shown = node.exec(["systemctl", "show", "--no-pager", properties, pattern])?.ok()?;
    Ok(parse_running(&shown))
}

fn parse_running(shown: &str) -> BTreeMap<String, Duration> {
    shown
        .split("\n\n")
        .filter_map(|unit| {
            let value = |name: &str| unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            let started = value("ExecMainStartTimestampMonotonic")?.parse().ok()?;
            (value("MainPID")? != "0").then_some((value("Id")?.to_owned(), Duration::from_micros(started)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_that_run_are_told_from_those_that_do_not() {
        let shown = "MainPID=12\nExecMainStartTimestampMonotonic=1500000\nId=bench-a.service\n\n\
            MainPID=0\nExecMainStartTimestampMonotonic=1400000\nId=bench-b.service\n\n\
            Id=bench-c.timer\n";
        assert_eq!(parse_running(shown), [("bench-a.service".to_owned(), Duration::from_millis(1500))].into());
    }
}
