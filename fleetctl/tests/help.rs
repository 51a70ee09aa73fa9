//! Everything that `fleetctl help` says: the reference of the command line.

use clap::{Command, CommandFactory};
use fleetctl::cli::Cli;

#[test]
fn reference() {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut reference = help_of(&mut command);
    for subcommand in command.get_subcommands_mut().filter(|command| command.get_name() != "help") {
        reference.push_str("\n--------\n\n");
        reference.push_str(&help_of(subcommand));
        for nested in subcommand.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            reference.push_str("\n--------\n\n");
            reference.push_str(&help_of(nested));
        }
    }
    insta::assert_snapshot!(reference.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

fn help_of(command: &mut Command) -> String {
    command.render_help().to_string()
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}
