//! Where the programs of this workspace are that a lab or a cluster runs.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

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
