//! Where the programs of this workspace are that a lab or a cluster runs.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folder of the programs of an etcd 3.5, which `scripts/etcd-3.5` fetches where it can. Where it could not, `None`
/// after saying so past whatever captures a test's output, and the test makes do with the etcd that is installed.
pub fn newer_etcd() -> Result<Option<PathBuf>> {
    let target = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target"));
    let programs = target.join("etcd-3.5/usr/bin");
    if programs.join("etcd").is_file() {
        return Ok(Some(programs));
    }
    let why = std::fs::read_to_string(target.join("etcd-3.5.absent"))
        .with_context(|| format!("there is no etcd in {}: run scripts/setup", programs.display()))?;
    writeln!(std::io::stderr(), "NOT TESTED with etcd 3.5: {}", why.trim())?;
    Ok(None)
}

/// Names the folder of the programs to test, where they are not beside the calling one.
const DIR_VARIABLE: &str = "FLEET_BIN_DIR";

/// A program of this workspace: from `FLEET_BIN_DIR` if it is there, else beside the calling
/// program (tests lie one folder below their programs).
pub fn find_program(name: &str) -> Result<PathBuf> {
    let own = env::current_exe().context("cannot find the calling program")?;
    let named = env::var_os(DIR_VARIABLE).map(PathBuf::from);
    let beside = own.ancestors().skip(1).take(2).map(PathBuf::from);
    named.into_iter().chain(beside).map(|dir| dir.join(name)).find(|program| program.is_file()).with_context(|| {
        format!(
            "there is no {name} beside {}: build it (cargo build --bins), or name its folder in {DIR_VARIABLE}",
            own.display()
        )
    })
}
