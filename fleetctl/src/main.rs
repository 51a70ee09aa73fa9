//! The `fleetctl` command: control a fleet cluster from the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleetctl::run(std::env::args_os())
}
