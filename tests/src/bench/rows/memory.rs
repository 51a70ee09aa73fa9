//! What an engine and its mirror take of the machine's memory.

use std::env;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bench::memory::Taken;
use crate::bench::row::{Row, RowName};
use crate::bench::suite::Extent;

/// A leader of 10,000 machines on which 100,000 units run.
pub(crate) fn memory(_: Extent) -> Result<Vec<Row>> {
    let own = env::current_exe().context("cannot find the benchmark's own program")?;
    let output = Command::new(own).args(["inside", "memory", "10000", "100000"]).output();
    let output = output.context("cannot start a process for the engine")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the engine's process failed ({}): {}", output.status, said.trim());
    let taken: Taken = serde_json::from_slice(&output.stdout).context("cannot read what the engine takes")?;
    let title = "memory of engine and mirror, 100,000 units running";
    let row = Row::absolute(RowName::MemoryScheduler, title, taken.allocated, "MB", 250.0);
    let detail = format!("{} units listed and reported; {:.0} MB resident", taken.listed, taken.resident);
    Ok(vec![row.with_detail(detail)])
}
