//! `fleet-bench`: what `make bench` measures. Prints a table, and the same as one JSON object on the last line; fails when
//! a figure misses what is required of it.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use fleet_tests::bench::inside::Inside;
use fleet_tests::bench::{Extent, RowName, Suite};

/// Measures what fleet costs on booted machines, beside what the same work costs without it.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Options {
    /// Measure these rows only.
    rows: Vec<RowName>,
    /// Measure less often: for a first impression.
    #[arg(long)]
    quick: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Be of help to the benchmark in a machine (for its own use).
    #[command(hide = true, subcommand)]
    Inside(Inside),
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("fleet-bench: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<bool> {
    if let Some(Command::Inside(inside)) = options.command {
        inside.run()?;
        return Ok(true);
    }
    let extent = if options.quick { Extent::Quick } else { Extent::Full };
    let report = Suite::new(extent, &options.rows).run(|what| eprintln!("fleet-bench: {what}"))?;
    writeln!(io::stdout(), "{report}\n{}", report.to_json()?)?;
    if !report.is_met() {
        eprintln!("fleet-bench: a required figure misses what it must reach");
    }
    Ok(report.is_met())
}
