//! The one place where failures become words, hints, and exit codes.
//!
//! | exit code | means |
//! |---|---|
//! | 0 | done; also when whoever reads the output went away |
//! | 1 | the command failed |
//! | 2 | the command line makes no sense |
//! | 130 | interrupted |
//! | other | what `systemctl status`, ssh, or a command run by it ended with |

use std::io;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use fleet_api::{ApiError, EndpointError};

use crate::cli::Cli;
use crate::output::Output;
use crate::program::is_help;

/// Where etcd listens, then and now.
const ETCD_PORTS: [&str; 2] = [":2379", ":4001"];

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum CommandError {
    /// fleetd could not be asked, or will not.
    Api {
        /// What was being done, as fleet said it: `Error retrieving list of units from repository`.
        doing: String,
        /// What went wrong.
        source: ApiError,
    },
    /// The endpoint makes no sense.
    Endpoint(EndpointError),
    /// Something else, in whole sentences as fleet said them.
    Message {
        /// What went wrong.
        text: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// What was asked for is senseless, in fleet's words; the process ends with 2.
    Senseless(String),
    /// All has been said; the process ends with this code.
    Said(u8),
    /// The command line makes no sense, or help was asked for.
    Usage(clap::Error),
    /// Writing failed.
    Output(io::Error),
}

impl CommandError {
    /// An error in fleet's words.
    pub fn message(text: impl Into<String>) -> Self {
        Self::Message { text: text.into(), hint: None }
    }

    /// An error, and what to do about it.
    pub fn with_hint(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Message { text: text.into(), hint: Some(hint.into()) }
    }

    /// For `map_err`: says what was being done when a call failed.
    pub fn doing(doing: impl Into<String>) -> impl FnOnce(ApiError) -> Self {
        |source| Self::Api { doing: doing.into(), source }
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Api { .. } | Self::Endpoint(_) | Self::Message { .. } => 1,
            Self::Said(code) => *code,
            Self::Usage(error) if is_help(error) => 0,
            Self::Usage(_) | Self::Senseless(_) => 2,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) => 1,
        }
    }

    /// What is said on stderr, and the hint below it. Nothing where all has been said.
    pub fn words(&self) -> Option<String> {
        let (text, hint) = match self {
            Self::Api { doing, source } => (format!("{doing}: {source}"), hint_for(source)),
            Self::Endpoint(error) => (error.to_string(), None),
            Self::Message { text, hint } => (text.clone(), hint.clone()),
            Self::Senseless(text) => (text.clone(), None),
            Self::Said(_) => return None,
            Self::Usage(error) => return Some(usage_words(error)),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return None,
            Self::Output(error) => (format!("cannot write: {error}"), None),
        };
        Some(match hint {
            Some(hint) => format!("{text}\n{hint}"),
            None => text,
        })
    }

    /// Says it: help on stdout, errors on stderr.
    pub(crate) fn print(&self, output: &mut Output) {
        match self {
            Self::Usage(error) if is_help(error) => {
                use std::io::Write;
                // A closed pipe after help was shown is no failure.
                let _ = write!(output.out(), "{error}").and_then(|()| output.flush());
            }
            _ => {
                if let Some(words) = self.words() {
                    output.last_words(&words);
                }
            }
        }
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<EndpointError> for CommandError {
    fn from(error: EndpointError) -> Self {
        Self::Endpoint(error)
    }
}

/// What a person can do about a call that failed.
fn hint_for(error: &ApiError) -> Option<String> {
    match error {
        ApiError::Unreachable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            Some("Possible issues:\n  * you may not use this socket: run fleetctl as root, or as a member of its group".to_owned())
        }
        ApiError::Unreachable { endpoint, .. } => Some(possible_issues(endpoint)),
        ApiError::TimedOut { .. } => {
            Some("fleetd is there but does not answer: see \"journalctl -u fleet\" on that machine, or wait longer with --request-timeout".to_owned())
        }
        ApiError::Broken { endpoint, .. } | ApiError::BadAnswer { endpoint, .. } if is_etcd(endpoint) => Some(etcd_words()),
        ApiError::BadAnswer { .. } => Some("is that a fleetd, and of this version? \"fleetctl version\" prints this one's".to_owned()),
        ApiError::Refused { status: 404, message } if message.starts_with("fleetd answered") => {
            Some("the endpoint does not serve what this fleetctl asks for: is it a fleetd, and of this version?".to_owned())
        }
        ApiError::Refused { .. } | ApiError::Broken { .. } => None,
    }
}

fn possible_issues(endpoint: &str) -> String {
    let mut words = "Possible issues:".to_owned();
    if is_etcd(endpoint) {
        words = format!("{words}\n  * {}", etcd_words());
    }
    format!(
        "{words}\n  * fleetd does not run there: systemctl start fleet\
         \n  * it listens elsewhere: name the place with --endpoint, or in FLEETCTL_ENDPOINT"
    )
}

fn is_etcd(endpoint: &str) -> bool {
    ETCD_PORTS.iter().any(|port| endpoint.ends_with(port))
}

fn etcd_words() -> String {
    "that is etcd's port: fleetctl asks fleetd, as in --endpoint=unix:///var/run/fleet.sock".to_owned()
}

/// clap's words, with fleet's for an unknown command.
fn usage_words(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand)
    {
        let similar = match similar_commands(name, error) {
            names if names.is_empty() => String::new(),
            names => format!("Did you mean this?\n\t{}\n", names.join("\n\t")),
        };
        return format!("fleetctl: unknown subcommand: {name:?}\n{similar}Run \"fleetctl help\" for usage.");
    }
    error.to_string().trim_end().to_owned()
}

/// The commands that begin like this, or those that clap finds similar.
fn similar_commands(name: &str, error: &clap::Error) -> Vec<String> {
    let commands = Cli::command();
    let known = commands.get_subcommands().map(clap::Command::get_name);
    let beginning: Vec<String> = known.filter(|known| known.starts_with(name)).map(str::to_owned).collect();
    match error.get(ContextKind::SuggestedSubcommand) {
        _ if !beginning.is_empty() => beginning,
        Some(ContextValue::Strings(names)) => names.clone(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
