//! The next version of fleetd, for tests of clusters in which versions are mixed.

use anyhow::{anyhow, bail};
use fleet_tests::next;
use fleetd::cli::{self, Invocation};
use fleetd::daemon;

fn main() -> anyhow::Result<()> {
    match cli::parse(std::env::args_os()).map_err(|refusal| anyhow!(refusal.message))? {
        Invocation::Run(arguments) => daemon::run_over(&arguments, next::over),
        _ => bail!("this is a fleetd of tests: it runs, and nothing else"),
    }
}
