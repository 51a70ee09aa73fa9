//! The fleet daemon: agent, engine, and API server.

use std::io::Write;
use std::process::ExitCode;

use fleetd::cli::{self, Invocation};
use fleetd::{archive, config, daemon, http};

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(refusal) => {
            if refusal.code == 0 {
                print(&refusal.message);
            } else {
                complain(&refusal.message);
            }
            return ExitCode::from(refusal.code);
        }
    };
    let outcome = match invocation {
        Invocation::Version => {
            print(&format!("fleetd version {}\n", http::VERSION));
            Ok(())
        }
        Invocation::Check(arguments) => check(&arguments),
        Invocation::Registry(arguments) => daemon::run_registry(&arguments),
        Invocation::Migrate(arguments) => archive::migrate(&arguments).map(|done| print(&done)),
        Invocation::Restore(arguments) => restore(&arguments),
        Invocation::Run(arguments) => daemon::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("fleetd: {}\n", words(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Makes a registry of a snapshot.
fn restore(arguments: &cli::RestoreArguments) -> anyhow::Result<()> {
    let restored = archive::restore_offline(&arguments.snapshot, &arguments.directory, arguments.replace)?;
    print(&restored);
    Ok(())
}

/// Prints the configuration as it counts, and what is odd about it. Files that it names are read too.
fn check(arguments: &cli::RunArguments) -> anyhow::Result<()> {
    let (config, raw) = arguments.load()?;
    for warning in &raw.warnings {
        complain(&format!("warning: {warning}\n"));
    }
    daemon::check(&config)?;
    print(&config::describe(&raw));
    Ok(())
}

/// The error and what caused it, unless it says so itself.
fn words(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .reduce(|said, cause| if said.contains(&cause) { said } else { format!("{said}: {cause}") })
        .unwrap_or_default()
}

/// To a reader that may have left.
fn print(text: &str) {
    _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn complain(text: &str) {
    _ = std::io::stderr().lock().write_all(text.as_bytes());
}
