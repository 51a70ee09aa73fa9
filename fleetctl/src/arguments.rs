//! Both styles of flags: fleet 0.11 read Go's (`-no-block`, `-full=true`), fleet 1.0 those with two dashes.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{ArgAction, Command};

/// What is known of a flag.
#[derive(Clone, Copy, Debug)]
struct Flag {
    /// It takes no value, so that `=true` and `=false` are Go's way to set it.
    is_switch: bool,
}

/// Rewrites Go's style of flags as clap reads it. What it does not know stays as it is, and so does everything after
/// `--`.
pub fn normalise(arguments: impl IntoIterator<Item = OsString>, command: &Command) -> Vec<OsString> {
    let flags = flags_of(command);
    let mut normalised = Vec::new();
    let mut arguments = arguments.into_iter();
    // The program's own name.
    normalised.extend(arguments.next());
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            normalised.push(argument);
            normalised.extend(arguments);
            break;
        }
        match argument.to_str() {
            Some(text) => normalised.extend(rewrite(text, &flags).map(OsString::from)),
            None => normalised.push(argument),
        }
    }
    normalised
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
        let flag = Flag { is_switch: matches!(argument.get_action(), ArgAction::SetTrue) };
        let longs = argument.get_long().into_iter().chain(argument.get_all_aliases().unwrap_or_default());
        flags.extend(longs.map(|name| (name.to_owned(), flag)));
        flags.extend(argument.get_short().map(|name| (name.to_string(), flag)));
    }
    for name in ["help", "h"] {
        flags.insert(name.to_owned(), Flag { is_switch: true });
    }
    flags
}

#[cfg(test)]
mod tests;
