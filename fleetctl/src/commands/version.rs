//! `fleetctl version`

use std::io::Write;

use crate::error::CommandError;
use crate::output::Output;

/// Prints the version.
pub fn run(output: &mut Output) -> Result<u8, CommandError> {
    writeln!(output.out(), "fleetctl version {}", env!("CARGO_PKG_VERSION"))?;
    Ok(0)
}
