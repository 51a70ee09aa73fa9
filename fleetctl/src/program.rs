//! From the arguments of the process to its exit code.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use crate::cli::{Cli, Command};
use crate::error::CommandError;
use crate::output::Output;
use crate::settings::Settings;
use crate::{arguments, commands};

/// Runs `fleetctl` with these arguments, the first of which is its own name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut output = Output::standard();
    let result = parse(arguments).and_then(|cli| execute(&cli, &mut output));
    // What was said before an error comes before it.
    let result = output.flush().map_err(CommandError::Output).and(result);
    let code = match result {
        Ok(code) => code,
        Err(error) => {
            error.print(&mut output);
            error.exit_code()
        }
    };
    ExitCode::from(code)
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, CommandError> {
    let mut command = Cli::command();
    let arguments = arguments::normalise(arguments, &command);
    let matches = command.try_get_matches_from_mut(arguments).map_err(CommandError::Usage)?;
    Cli::from_arg_matches(&matches).map_err(CommandError::Usage)
}

fn execute(cli: &Cli, output: &mut Output) -> Result<u8, CommandError> {
    // The version can be told however wrong the settings are.
    if cli.global.version || matches!(cli.command, Some(Command::Version)) {
        return commands::version::run(output);
    }
    let settings = Settings::new(&cli.global, |name| std::env::var(name).ok())?;
    if settings.version {
        return commands::version::run(output);
    }
    let Some(command) = &cli.command else {
        let help = Cli::command().render_help();
        write!(output.out(), "{help}")?;
        return Ok(0);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::message(format!("cannot start: {error}")))?;
    let code = runtime.block_on(commands::run(command, &settings, output));
    // A lookup of a host's name under way must not hold up the end.
    runtime.shutdown_background();
    code
}

/// Whether clap's error is no error: the person asked for help.
pub(crate) fn is_help(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}
