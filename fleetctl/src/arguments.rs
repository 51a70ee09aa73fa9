//! Both styles of flags: fleet 0.11 read Go's (`-no-block`, `-full=true`), fleet 1.0 those with two dashes. And the
//! beginnings of fleet's commands, which mean the same as ever whatever commands there are besides.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{ArgAction, Command};

/// The commands of fleet 1.0.
const COMMANDS: [&str; 18] = [
    "cat",
    "destroy",
    "fd-forward",
    "help",
    "journal",
    "list-machines",
    "list-unit-files",
    "list-units",
    "load",
    "restart",
    "ssh",
    "start",
    "status",
    "stop",
    "submit",
    "unload",
    "verify",
    "version",
];

/// What is known of a flag.
#[derive(Clone, Copy, Debug)]
struct Flag {
    /// It takes no value, so that `=true` and `=false` are Go's way to set it.
    is_switch: bool,
    /// Its value may be the next argument.
    takes_next: bool,
}

/// Rewrites Go's style of flags as clap reads it. What it does not know stays as it is, and so does everything after
/// `--`, and after the machine or unit that `ssh` is told.
pub fn normalise(arguments: impl IntoIterator<Item = OsString>, command: &Command) -> Vec<OsString> {
    let flags = flags_of(command);
    let mut normalised = Vec::new();
    let mut arguments = arguments.into_iter().peekable();
    // The program's own name.
    normalised.extend(arguments.next());
    let mut name = None;
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            normalised.push(argument);
            normalised.extend(arguments);
            break;
        }
        let Some(text) = argument.to_str() else {
            normalised.push(argument);
            continue;
        };
        if text == "-" || !text.starts_with('-') {
            match name {
                None => {
                    let whole = whole_name(text);
                    normalised.push(whole.into());
                    name = Some(whole.to_owned());
                }
                Some(ref name) if name == "ssh" => {
                    normalised.extend(["--".into(), argument]);
                    arguments.next_if(|next| next == "--");
                    normalised.extend(arguments);
                    break;
                }
                Some(_) => normalised.push(argument),
            }
            continue;
        }
        normalised.extend(rewrite(text, &flags).map(OsString::from));
        let known = flags.get(text.trim_start_matches('-'));
        if known.is_some_and(|flag| flag.takes_next) {
            normalised.extend(arguments.next());
        }
    }
    normalised
}

/// The one command of fleet that begins so, if there is one and this is not the whole of another.
fn whole_name(beginning: &str) -> &str {
    let mut candidates = COMMANDS.iter().filter(|command| command.starts_with(beginning));
    match (candidates.next(), candidates.next()) {
        (Some(command), None) => command,
        _ => beginning,
    }
}

/// One argument, or none where it switches off what is off anyway.
fn rewrite(text: &str, flags: &BTreeMap<String, Flag>) -> Option<String> {
    let Some(body) = text.strip_prefix("--").or_else(|| text.strip_prefix('-')) else {
        return Some(text.to_owned());
    };
    let (name, value) = match body.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (body, None),
    };
    let Some(flag) = flags.get(name) else {
        return Some(match text.starts_with("--") || body.is_empty() || is_short(body, flags) {
            true => text.to_owned(),
            // Meant as one flag, so that it is refused as one.
            false => format!("--{body}"),
        });
    };
    // Fleet 1.0 knew its short flags by two dashes only (`--l`).
    let dashes = if name.len() == 1 { "-" } else { "--" };
    match (value, flag.is_switch) {
        (Some("true" | "t" | "T" | "TRUE" | "True" | "1"), true) => Some(format!("{dashes}{name}")),
        (Some("false" | "f" | "F" | "FALSE" | "False" | "0"), true) => None,
        (Some(value), _) => Some(format!("{dashes}{name}={value}")),
        (None, _) => Some(format!("{dashes}{name}")),
    }
}

/// Whether this is short flags in one, such as `-fn5`: switches, and at most a number behind the last.
fn is_short(body: &str, flags: &BTreeMap<String, Flag>) -> bool {
    let letters = body.trim_end_matches(|c: char| c.is_ascii_digit());
    letters.chars().all(|c| flags.contains_key(c.to_string().as_str()))
        && letters.chars().rev().skip(1).all(|c| flags.get(c.to_string().as_str()).is_some_and(|flag| flag.is_switch))
}

/// Every flag of the command and its subcommands, by each of its names.
fn flags_of(command: &Command) -> BTreeMap<String, Flag> {
    let mut flags = BTreeMap::new();
    for argument in command.get_subcommands().flat_map(Command::get_arguments).chain(command.get_arguments()) {
        let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
        let flag = Flag {
            is_switch: matches!(argument.get_action(), ArgAction::SetTrue),
            takes_next: takes_value && !argument.is_require_equals_set(),
        };
        let longs = argument.get_long().into_iter().chain(argument.get_all_aliases().unwrap_or_default());
        flags.extend(longs.map(|name| (name.to_owned(), flag)));
        flags.extend(argument.get_short().map(|name| (name.to_string(), flag)));
    }
    for name in ["help", "h"] {
        flags.insert(name.to_owned(), Flag { is_switch: true, takes_next: false });
    }
    flags
}

#[cfg(test)]
mod tests;
