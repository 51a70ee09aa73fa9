//! What people type after `fleetctl`.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches};
use fleetctl::arguments::normalise;
use fleetctl::cli::Cli;

/// The most that is typed at once.
const MOST: usize = 32;

/// An argument a line. What was rewritten stays as it is when it is rewritten again, nothing is made up, what follows
/// `--` is left alone, and what cannot be read is refused with words and a code.
pub(crate) fn arguments(data: &[u8]) {
    let Some(text) = super::text(data) else { return };
    let typed: Vec<OsString> = std::iter::once("fleetctl").chain(text.lines().take(MOST)).map(OsString::from).collect();
    let mut command = Cli::command();
    let read = normalise(typed.clone(), &command);
    assert_eq!(normalise(read.clone(), &command), read);
    assert!(read.len() <= typed.len());
    let end = |words: &[OsString]| words.iter().skip(1).position(|word| word == "--").map(|at| at + 1);
    match (end(&typed), end(&read)) {
        (Some(before), Some(after)) => assert_eq!(typed[before..], read[after..]),
        (before, after) => assert_eq!(before, after),
    }
    let matches = match command.try_get_matches_from_mut(read) {
        Ok(matches) => matches,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(error.exit_code() != 0 || !error.use_stderr(), "{error}");
            return;
        }
    };
    let said = Cli::from_arg_matches(&matches).expect("what clap accepts is a command");
    _ = format!("{said:?}");
    _ = fleetctl::settings::Settings::new(&said.global, |_| None);
}
